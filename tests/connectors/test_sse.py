"""from_sse: the parser of event streams, and connections that are resumed."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.connectors.helpers import no_leaks, wait_until
from tests.connectors.servers import HOST, free_port
from tests.connectors.web import Authority, Handler, running, web_server

from rapidz import Stream
from rapidz.connectors.net.event_stream import (
    EventStreamParser,
    EventTooLarge,
    ServerSentEvent,
)
from rapidz.connectors.net.http_client import HttpStatusError
from rapidz.sources.restart import Restart

FAST = Restart(wait=0.01, limit=0.05)


def collect(stream: Stream[Any]) -> list[Any]:
    elements: list[Any] = []
    stream.sink(elements.append)
    return elements


def parse(*chunks: bytes, **options: Any) -> list[ServerSentEvent]:
    parser = EventStreamParser(**options)
    return [event for chunk in chunks for event in parser.feed(chunk)]


# --- the parser ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: a\n\n", [("a", "message", "")]),
        (b"data:a\r\rdata: b\r\n\r\n", [("a", "message", ""), ("b", "message", "")]),
        (b"data: a\ndata\ndata: b\n\n", [("a\n\nb", "message", "")]),
        (b"data:  a\n\n", [(" a", "message", "")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("a", "message", "")]),
        (b"\n\xef\xbb\xbfdata: a\n\n", []),
        (b": comment\n\n", []),
        (b"event: x\n\n", []),
        (b"event: x\ndata: a\n\ndata: b\n\n", [("a", "x", ""), ("b", "message", "")]),
        (b"id: 1\ndata: a\n\ndata: b\n\n", [("a", "message", "1"), ("b", "message", "1")]),
        (b"id: 1\n\nid\ndata: b\n\n", [("b", "message", "")]),
        (b"id: 1\nid: 2\x00\ndata: a\n\n", [("a", "message", "1")]),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"data\n\n", [("", "message", "")]),
        (b"Data: a\n data: b\nnothing\n\n", []),
        (b"data: \xff\n\n", [("\ufffd", "message", "")]),
        ("data: ä€\u2028x\n\n".encode(), [("ä€\u2028x", "message", "")]),
    ],
)
def test_event_streams_are_read_as_the_standard_says(data: bytes, events: list[Any]) -> None:
    assert parse(data) == events
    assert parse(*(data[n : n + 1] for n in range(len(data)))) == events


def reference(data: bytes) -> list[tuple[str, str, str]]:
    """The standard's algorithm, on a whole stream."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    events: list[tuple[str, str, str]] = []
    buffer, kind, last = "", "", ""
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and value.startswith(" "):
            value = value[1:]
        if not line:
            if buffer:
                events.append((buffer[:-1], kind or "message", last))
            buffer, kind = "", ""
        elif name == "data":
            buffer += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            last = value
    return events


PIECES = st.sampled_from(
    [
        *(b"data", b"event", b"id", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"a", b"1"),
        *(b"\x00", b"\xc3\xa4", b"\xff", b"\xef\xbb\xbf"),
    ]
)


@given(st.lists(PIECES, max_size=40).map(b"".join), st.lists(st.integers(0, 100), max_size=5))
@example(b"data: a\r\n\r\n", [8])
def test_chunks_and_malformed_streams_change_nothing(data: bytes, cuts: list[int]) -> None:
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in itertools.pairwise(bounds)]
    assert parse(*chunks) == reference(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_stream(data: bytes) -> None:
    assert parse(data) == reference(data)


def test_event_beyond_the_limit_is_refused_and_comments_are_not_counted() -> None:
    assert len(parse(b"data: " + b"x" * 90 + b"\n\n", max_size=100)) == 1
    assert parse(*[b": comment\n"] * 1000, max_size=100) == []
    for data in (b"data: " + b"x" * 200, b"data: x\n" * 100, b"x" * 200, b"event:" + b"x" * 200):
        with pytest.raises(EventTooLarge):
            parse(data, b"\n\n", max_size=100)


def test_retry_is_in_milliseconds_and_only_of_digits() -> None:
    parser = EventStreamParser()
    list(parser.feed(b"retry: 1500\nretry: x\nretry: -1\nretry:\n"))
    assert parser.retry == 1.5


def test_incomplete_event_is_no_position() -> None:
    parser = EventStreamParser(last_id="0")
    list(parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n"))
    assert (parser.last_id, parser.resume_id) == ("2", "1")


# --- the source ----------------------------------------------------------------------------------


class Feed:
    """Web server of numbered events, which resumes after the last one that the client has."""

    def __init__(self, count: int, cut: int = 0, first: bytes = b"", linger: bool = True) -> None:
        self.count, self.cut, self.first, self.linger = count, cut, first, linger
        self.asked: list[str | None] = []
        self.instants: list[float] = []
        self.sent = 0
        self.ended = threading.Event()

    def __call__(self, handler: Handler) -> None:
        last = handler.headers.get("Last-Event-ID")
        self.asked.append(last)
        self.instants.append(time.monotonic())
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(self.first)
        handler.close_connection = True
        begin = int(last) + 1 if last else 0
        for n in range(begin, self.count):
            handler.wfile.write(b"id: %d\ndata: %d\n\n" % (n, n))
            self.sent += 1
            if self.cut and n and n % self.cut == 0:
                handler.wfile.write(b"id: %d\ndata: incom" % (n + 1))
                return
        if self.linger:
            self.ended.wait(30)


@pytest.fixture
def feeds() -> Any:
    made: list[Feed] = []

    def make(*args: Any, **options: Any) -> Feed:
        made.append(Feed(*args, **options))
        return made[-1]

    yield make
    for feed in made:
        feed.ended.set()


def test_from_sse_emits_100_000_events_in_order(feeds: Any) -> None:
    feed = feeds(100_000)
    with web_server(feed) as server:
        source = Stream.from_sse(server.url)
        events = collect(source)
        with running(source):
            wait_until(lambda: len(events) == 100_000)
            feed.ended.set()
        assert source.position() == "99999"
    assert [int(event.data) for event in events] == list(range(100_000))
    assert events[5] == ServerSentEvent("5", "message", "5")


def test_from_sse_resumes_and_loses_nothing_of_a_server_with_ids(feeds: Any) -> None:
    feed = feeds(2000, cut=300)
    with web_server(feed) as server:
        source = Stream.from_sse(server.url, restart=FAST)
        events = collect(source)
        with running(source):
            wait_until(lambda: len(events) >= 2000)
            feed.ended.set()
    assert [int(event.data) for event in events] == list(range(2000))
    assert feed.asked[:3] == [None, "300", "600"]


def test_from_sse_waits_as_long_as_the_server_asks(feeds: Any) -> None:
    feed = feeds(3, cut=1, first=b"retry: 300\n\n")
    with web_server(feed) as server:
        source = Stream.from_sse(server.url, restart=FAST)
        events = collect(source)
        with running(source):
            wait_until(lambda: len(events) == 3)
            feed.ended.set()
    assert feed.instants[1] - feed.instants[0] >= 0.3


def test_from_sse_begins_after_a_position(feeds: Any) -> None:
    feed = feeds(10)
    with web_server(feed) as server:
        source = Stream.from_sse(server.url)
        source.seek("6")
        events = collect(source)
        with running(source):
            wait_until(lambda: len(events) == 3)
            feed.ended.set()
    assert [event.data for event in events] == ["7", "8", "9"]


def test_from_sse_does_not_read_while_the_sink_is_slow(feeds: Any) -> None:
    feed, gate, seen = feeds(1_000_000), threading.Event(), []

    async def write(x: Any) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.01)
        seen.append(x)

    with web_server(feed) as server:
        source = Stream.from_sse(server.url)
        source.sink(write)
        with running(source):
            before = -1
            while feed.sent != before or not before:
                before = feed.sent
                time.sleep(0.3)
            assert before < 900_000, "the rest waits in the server"
            gate.set()
            wait_until(lambda: len(seen) > 1000)
        feed.ended.set()


def test_from_sse_ends_when_the_server_answers_204() -> None:
    with web_server(lambda handler: handler.reply(204)) as server:
        source = Stream.from_sse(server.url)
        batches = source.partition(2).sink_to_list()
        source.start()
        source.join(30)
    assert (source.state, batches) == ("done", [])


def test_from_sse_refuses_what_is_no_event_stream() -> None:
    with web_server(lambda h: h.reply(200, b"{}", Content_Type="application/json")) as server:
        source = Stream.from_sse(server.url)
        collect(source)
        source.start()
        with pytest.raises(ValueError, match="must be text/event-stream, got 'application/json'"):
            source.join(30)
    with web_server(lambda handler: handler.reply(404)) as server:
        source = Stream.from_sse(server.url)
        collect(source)
        source.start()
        with pytest.raises(HttpStatusError, match="404"):
            source.join(30)


def test_from_sse_decodes_data_and_gives_the_rest_to_the_policy(feeds: Any) -> None:
    feed = feeds(2, first=b"data: {\n\n")
    with web_server(feed) as server:
        source = Stream.from_sse(server.url, codec="json")
        failures = collect(source.on_error("send").errors)
        events = collect(source)
        with running(source):
            wait_until(lambda: len(events) == 2)
            feed.ended.set()
    assert [event.data for event in events] == [0, 1]
    assert [failure.element.data for failure in failures] == ["{"]


def test_from_sse_refuses_an_endless_event() -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        for _ in range(10_000):
            handler.wfile.write(b"data: " + b"x" * 10_000)

    with web_server(answer) as server:
        source = Stream.from_sse(server.url, max_size=100_000)
        collect(source)
        source.start()
        with pytest.raises(EventTooLarge):
            source.join(30)


def test_from_sse_loses_a_silent_server_on_request(feeds: Any) -> None:
    feed = feeds(1)
    with web_server(feed) as server:
        source = Stream.from_sse(server.url, idle_timeout=0.1, restart=FAST)
        events = collect(source)
        with running(source):
            wait_until(lambda: len(feed.asked) >= 3)
        feed.ended.set()
    assert [event.data for event in events] == ["0"]


def test_failure_downstream_fails_from_sse(feeds: Any) -> None:
    feed = feeds(10)
    with web_server(feed) as server:
        source = Stream.from_sse(server.url)
        source.map(lambda event: 1 // (int(event.data) - 3)).sink_to_list()
        source.start()
        with pytest.raises(ZeroDivisionError):
            source.join(30)
        feed.ended.set()
    assert (source.state, source.position()) == ("failed", "3")


def test_from_sse_fails_at_once_without_a_server() -> None:
    source = Stream.from_sse(f"http://{HOST}:{free_port()}/")
    collect(source)
    source.start()
    with pytest.raises(OSError, match="refused"):
        source.join(30)


def test_from_sse_verifies_certificates(feeds: Any) -> None:
    trusted, other, feed = Authority(), Authority(), feeds(1)
    with web_server(feed, trusted.server) as server:
        source = Stream.from_sse(server.url, ssl=trusted.client)
        events = collect(source)
        with running(source):
            wait_until(lambda: events)
        feed.ended.set()
        source = Stream.from_sse(server.url, ssl=other.client)
        collect(source)
        source.start()
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            source.join(30)


def test_twenty_starts_and_stops_of_from_sse_leave_nothing(feeds: Any) -> None:
    feed = feeds(1000)
    with web_server(feed) as server:
        source = Stream.from_sse(server.url)
        events = collect(source)
        with no_leaks():
            for _ in range(20):
                count = len(events)
                source.seek("")
                source.start()
                wait_until(lambda count=count: len(events) > count)  # type: ignore[misc]
                source.stop()
                source.join(30)
            feed.ended.set()
            wait_until(lambda: not server._open)


@pytest.mark.parametrize("position", ["a\nb", "a\x00", 5])
def test_from_sse_refuses_a_bad_position(position: Any) -> None:
    with pytest.raises(ValueError, match="last_event_id must be a str without line breaks"):
        Stream.from_sse("http://x/", last_event_id=position)
