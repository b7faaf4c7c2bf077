"""Groups: keys, group codes and reductions by code."""
