"""Keyed streams: state, timers and pipelines for each key."""
