"""Rolling windows: one value for each row."""
