"""Source of the names of new files."""

from __future__ import annotations

import asyncio
import glob
import os
from typing import Any, ClassVar

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import LiveInterval, Source


@Stream.register_api(staticmethod)
class filenames(Source[str]):
    """Watch a directory, and emit the name of each new file once.

    Lists the directory when it is started and then at every interval, in a
    thread; emits the new names, sorted, each as soon as downstream has
    capacity.  Never ends by itself.  `seen` is the set of the names emitted so
    far: a name removed from it is emitted again.

    Parameters
    ----------
    path : str or path
        A directory, or a pattern such as ``"data/*.csv"``.
    poll_interval : float or str
        Seconds, or a string such as ``"500ms"``, above 0.  May be changed while
        the source runs.
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
        **kwargs: Any,
    ) -> None:
        name = _check_path(path)
        self.path = os.path.join(glob.escape(name), "*") if os.path.isdir(name) else name
        self.poll_interval = poll_interval
        self.seen: set[str] = set()
        super().__init__(**kwargs)

    async def run(self) -> None:
        clock = self._pipeline.clock
        while self._may_emit():
            due = clock.time() + self.poll_interval
            await self._apply_policy(self._emit_new_names)
            await asyncio.sleep(max(0.0, due - clock.time()))

    async def _emit_new_names(self) -> None:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(None, glob.glob, self.path)
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
