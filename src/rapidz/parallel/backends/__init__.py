"""Backends: thread pools, process pools and clusters that run tasks."""

from rapidz.parallel.backends.protocol import Backend, FutureBackend

__all__ = ["Backend", "FutureBackend"]
