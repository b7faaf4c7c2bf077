"""Backends: where tasks run."""

from rapidz.parallel.backends.protocol import Backend, FutureBackend

__all__ = ["Backend", "FutureBackend"]
