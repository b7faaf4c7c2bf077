"""Nodes: the operators of scattered streams, which push handles in the place of elements."""
