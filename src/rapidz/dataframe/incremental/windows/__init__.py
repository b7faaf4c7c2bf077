"""Windows: which rows are in, and the rows themselves."""
