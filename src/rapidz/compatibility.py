"""Compatibility module: differences between versions of Python."""

from __future__ import annotations

from threading import get_ident as get_thread_identity

__all__ = ["get_thread_identity"]
