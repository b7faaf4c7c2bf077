"""Nodes of scattered streams."""
