"""Streaming collections: validation, alignment and element-wise work."""
