"""Watcher: reports changes of a folder as soon as the system does, by watchfiles."""

from __future__ import annotations

import asyncio
import contextlib
import glob
import importlib
import logging
import os
import threading
import time
from typing import Any

_log = logging.getLogger("rapidz.sources")


class FolderWatcher:
    """Thread that sets an event of a loop when something in a folder changes."""

    def __init__(self, watchfiles: Any, folder: str, is_recursive: bool) -> None:
        self.changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._watchfiles, self._folder, self._is_recursive = watchfiles, folder, is_recursive
        name = f"watcher of {folder}"
        threading.Thread(target=self._watch, name=name, daemon=True).start()

    def stop(self) -> None:
        """End the thread, within a twentieth of a second."""
        self._stopped.set()

    def _watch(self) -> None:
        try:
            for _ in self._watchfiles.watch(
                self._folder,
                watch_filter=None,
                stop_event=self._stopped,
                step=20,
                debounce=100,
                recursive=self._is_recursive,
                raise_interrupt=False,
            ):
                with contextlib.suppress(RuntimeError):  # the loop was closed
                    self._loop.call_soon_threadsafe(self.changed.set)
        except Exception as error:  # such as too many watchers: the source polls
            _log.debug("%s is not watched: %s", self._folder, error)


def watch_folder(pattern: str) -> FolderWatcher | None:
    """Return a watcher of the folder of a pattern; None where it cannot be watched.

    Without watchfiles there is none, nor on a loop in virtual time.
    """
    if abs(asyncio.get_running_loop().time() - time.monotonic()) > 1:
        return None
    try:
        watchfiles = importlib.import_module("watchfiles")
    except ImportError:
        return None
    folder, _ = os.path.split(pattern)
    is_recursive = glob.has_magic(folder)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    folder = folder or "."
    return FolderWatcher(watchfiles, folder, is_recursive) if os.path.isdir(folder) else None


async def wait_for_change(watcher: FolderWatcher | None, seconds: float) -> None:
    """Wait for a change, at most so many seconds."""
    if watcher is None:
        await asyncio.sleep(seconds)
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(watcher.changed.wait(), seconds)
