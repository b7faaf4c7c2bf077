"""Joins by key and event time."""
