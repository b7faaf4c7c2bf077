"""Compile layer: from nodes and edges to functions."""
