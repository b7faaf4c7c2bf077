"""Source of the names of new files."""

from __future__ import annotations

import glob
import os
import posixpath
from typing import Any, ClassVar

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_bool
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import LiveInterval, Source
from rapidz.sources.filesystem import locate
from rapidz.sources.watching import wait_for_change, watch_folder


@Stream.register_api(staticmethod)
class filenames(Source[str]):
    """Watch a directory, and emit the name of each new file once.

    Lists the directory when it is started and then at every interval, in a
    thread; emits the new names, sorted, each as soon as downstream has
    capacity.  Where watchfiles is installed, the system reports changes of a local
    directory, and the source lists it at once, too.  Never ends by itself.  `seen` is
    the set of the names emitted so far: a name removed from it is emitted again.

    Parameters
    ----------
    path : str or path
        A directory, a pattern such as ``"data/*.csv"``, or a URL of one that fsspec knows.
    poll_interval : float or str
        Seconds, or a string such as ``"500ms"``, above 0.  May be changed while
        the source runs.
    force_polling : bool
        Whether to list the directory at every interval only.
    storage_options : dict, optional
        Passed to the file system of fsspec.
    **kwargs
        Options of every `Source`.

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> pathlib.Path(folder.name, "first.csv").touch()
    >>> source = Stream.filenames(folder.name + "/*.csv")
    >>> seen = source.map(os.path.basename).sink_to_list()
    >>> last = source.sink(lambda _: source.stop())
    >>> source.start()
    >>> source.join()
    >>> seen
    ['first.csv']
    >>> folder.cleanup()
    """

    infinite: ClassVar[bool | None] = True
    poll_interval: LiveInterval = LiveInterval()

    def __init__(
        self,
        path: str | os.PathLike[str],
        poll_interval: Interval = 0.1,
        *,
        force_polling: bool = False,
        storage_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        files, name = locate("filenames", _check_path(path), storage_options)
        if files.is_directory(name):
            name = posixpath.join(glob.escape(name), "*")
        self.path, self._files = name, files
        self.poll_interval = poll_interval
        self._watches = files.is_local and not check_bool(
            "filenames", "force_polling", force_polling
        )
        self.seen: set[str] = set()
        super().__init__(**kwargs)

    async def run(self) -> None:
        clock = self._pipeline.clock
        watcher = watch_folder(self.path) if self._watches else None
        try:
            while self._may_emit():
                due = clock.time() + self.poll_interval
                if watcher is not None:
                    watcher.changed.clear()
                await self._apply_policy(self._emit_new_names)
                await wait_for_change(watcher, max(0.0, due - clock.time()))
        finally:
            if watcher is not None:
                watcher.stop()

    async def _emit_new_names(self) -> None:
        found = await self.in_thread(self._files.names, self.path)
        for name in sorted(set(found) - self.seen):
            if not self._may_emit():
                return
            self.seen.add(name)
            for wait in self._emit(name):
                await wait


def _check_path(path: Any) -> str:
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if isinstance(name, str) and name:
        return name
    kind = ValueError if name == "" else TypeError
    raise kind(f"filenames: path must be a path or a pattern, got {short_repr(path)}")
