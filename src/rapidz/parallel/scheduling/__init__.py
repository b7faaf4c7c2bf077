"""Scheduling: elements are batched, batches are cut into tasks, and tasks are dispatched."""
