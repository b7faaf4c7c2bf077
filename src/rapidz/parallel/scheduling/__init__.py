"""Scheduling: handles, batches, tasks and their dependencies."""
