"""Sink that writes elements as lines of a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, TextIO, TypeVar

from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import Push
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sinks.base import Sink

T = TypeVar("T")


@Stream.register_api()
class sink_to_textfile(Sink[T]):
    r"""Write every element as a line of a file.

    Never applies back pressure.  When the sink is destroyed or the stream is
    closed, it flushes and closes the file; a file object stays open.

    Parameters
    ----------
    file : str, path or file object
        The file.
    end : str
        Written after each element.
    mode : str
        Mode of `open`, if *file* is a path: ``"a"`` appends.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "lines")
    ...     with Stream() as source:
    ...         node = source.map(str).sink_to_textfile(path)
    ...         source.emit_many([1, 2])
    ...     path.read_text()
    '1\n2\n'
    """

    def __init__(
        self,
        upstream: Stream[Any],
        file: str | os.PathLike[str] | TextIO | Any,
        end: str = "\n",
        mode: str = "a",
        **kwargs: Any,
    ) -> None:
        self._path = file if isinstance(file, (str, os.PathLike)) else None
        if self._path is None and not callable(getattr(file, "write", None)):
            raise TypeError(
                f"sink_to_textfile: file must be a path or a file object, got {short_repr(file)}"
            )
        self.file, self.end, self.mode = file, end, mode
        self._fp: Any = file if self._path is None else open(self._path, mode)  # noqa: SIM115
        try:
            super().__init__(upstream, **kwargs)
        except BaseException:
            self._close_file()
            raise

    def _can_inline(self) -> bool:
        return True

    def inline(self, code: Code, port: int = 0) -> None:
        code.line(f"{code.bind('write', self._fp.write)}(x + {code.bind('end', self.end)})")

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        return self._compile_inline(None)

    def _on_restart(self) -> None:
        """Open the file again, to append, when elements follow the end of the stream."""
        if self._path is not None and self._fp.closed:
            self._fp = open(self._path, self.mode.replace("w", "a"))  # noqa: SIM115

    def _close_file(self) -> None:
        if self._fp.closed:
            return
        if self._path is None:
            flush = getattr(self._fp, "flush", None)
            if flush is not None:
                flush()
        else:
            self._fp.close()

    def destroy(self, streams: Iterable[Stream[Any]] | None = None) -> None:
        """Disconnect the sink, and close its file."""
        super().destroy(streams)
        if not self.upstreams:
            self._close_file()

    def _on_end(self) -> None:
        self._close_file()
