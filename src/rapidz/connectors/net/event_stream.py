"""Event stream parser: server-sent events, as the HTML standard defines them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    """One event of a server; *data* is decoded where a codec was given."""

    data: str
    event: str = "message"
    """Its kind."""
    id: str = ""
    """The position that a client sends to resume after it."""


class EventTooLarge(ValueError):
    """Event that is longer than the limit."""


class EventStreamParser:
    r"""Incremental parser of the format ``text/event-stream``.

    Lines end with CR, LF or both, also across chunks.  Comments and unknown fields are ignored,
    and so is an event that ends with the connection.

    Parameters
    ----------
    max_size : int
        Characters of an event at most; a longer one raises `EventTooLarge`.
    last_id : str
        The id of events until the server sends one.

    >>> parser = EventStreamParser()
    >>> list(parser.feed(b"id: 7\nevent: price\nda"))
    []
    >>> list(parser.feed(b"ta: 1.5\ndata: EUR\n\n: comment\n\n"))
    [ServerSentEvent(data='1.5\nEUR', event='price', id='7')]
    """

    def __init__(self, max_size: int = 1 << 20, last_id: str = "") -> None:
        self.max_size, self.last_id = max_size, last_id
        self.resume_id = last_id
        """The id after which a new connection resumes: that of the last complete event."""
        self.retry: float | None = None
        """Seconds that the server asks to wait before a new connection."""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._first, self._after_cr = True, False
        self._line: list[str] = []
        self._data: list[str] = []
        self._kind = ""
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Add *chunk*, and return the events that are complete."""
        text = self._decode(chunk)
        if not text:
            return
        if self._first:
            self._first = False
            text = text.removeprefix("\ufeff")
        if self._after_cr and text.startswith("\n"):
            text = text[1:]
            self._after_cr = False
        if not text:
            return
        self._after_cr = text.endswith("\r")
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in lines:
            if self._line:
                line = "".join([*self._line, line])
                self._line.clear()
            event = self._process(line)
            if event is not None:
                yield event
        if rest:
            self._line.append(rest)
            self._check(sum(map(len, self._line)))

    def _process(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(value) + 1
            self._check(0)
        elif name == "event":
            self._check(len(value))
            self._kind = value
        elif name == "id":
            self._check(len(value))
            if "\0" not in value:
                self.last_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value[:12]) / 1000
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        data, kind = self._data, self._kind
        self._data, self._kind, self._size = [], "", 0
        self.resume_id = self.last_id
        return ServerSentEvent("\n".join(data), kind or "message", self.last_id) if data else None

    def _check(self, further: int) -> None:
        if self._size + further > self.max_size:
            raise EventTooLarge(f"event stream: an event is longer than {self.max_size} characters")
