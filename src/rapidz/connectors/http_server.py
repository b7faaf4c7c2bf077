"""HTTP server: a source of the bodies of requests, which are answered when they are processed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hmac
import re
import ssl as tls
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from rapidz.connectors.codecs import Codec, read_codec
from rapidz.connectors.net.http_requests import Answer, RequestServer
from rapidz.connectors.net.listener import Listener, logger
from rapidz.connectors.net.sockets import read_limit, read_token
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_choice, check_count
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.failures import Raise, StreamClosed
from rapidz.sources.acknowledge import Acknowledgement, metadata_of

DONE, ACCEPTED = Answer(200, "OK", b"OK"), Answer(202, "Accepted", b"Accepted")
INVALID = Answer(400, "Bad Request", b"the body cannot be decoded")
FAILED = Answer(500, "Internal Server Error", b"the request could not be processed")
STOPPING = Answer(503, "Service Unavailable", b"stopping", closes=True)
LATE = Answer(503, "Service Unavailable", b"not processed in time", (("Retry-After", "1"),))

#: Failures of earlier elements that one request may meet, behind queues.
_MAX_EARLIER = 100


@Stream.register_api(staticmethod)
class from_http_server(Listener[Any]):
    """Listen for HTTP requests, and emit their bodies.

    A request is answered with 200 when everything that results from its element is done, sinks
    included: a client that repeats what was not answered with 200 loses nothing.  Elements have
    the order in which their requests were complete; those of one connection, the order of
    its requests.  At most *max_pending* requests wait for capacity or for their sinks; a
    further one is answered with 429 and ``Retry-After``, or waits.  Ends when stopped: requests
    that are in flight are answered, with ``Connection: close``.

    A failure that no policy handles is answered with 500 and logged; the source continues,
    because the client knows.  With a policy, the answer is 200.

    Parameters
    ----------
    port : int
        The port; 0 for one that the system chooses, which `port` then has.
    path : str
        Regular expression for the whole path; any other path is answered with 404.
    server_kwargs : dict, optional
        Arguments of `tornado.httpserver.HTTPServer`.
    host : str
        The address to listen on; the empty string is every address of the machine.
    methods : tuple of str
        Methods of requests; any other one is answered with 405.
    token : str, optional
        Secret that requests must send as ``Authorization: Bearer TOKEN``; else they are answered
        with 401.
    answer : str
        ``"done"``, or ``"accepted"`` to answer with 202 as soon as the pipeline has taken the
        element, so that nothing is known of its fate.
    answer_timeout : float or str, optional
        Seconds, or a string such as ``"30s"``, after which a request that is not done is answered
        with 503.  Its element stays in the pipeline.
    max_size : int
        Bytes of a body; a longer one is answered with 413.
    max_pending : int
        Requests that were received and are not answered.
    busy : str
        What becomes of further requests: ``"reject"``, or ``"wait"``.
    max_clients : int
        The connections that are open at a time; a further one is closed.
    timeout : float or str
        The time for the headers of a request, from the end of the one before, and for its body;
        then the connection is closed.
    ssl : ssl.SSLContext, optional
        Context of a server, which turns on TLS.
    codec : str, Codec or pair of functions, optional
        Decodes a body.  What it cannot decode goes to the policy of the source; without one, it is
        answered with 400.
    type : type, optional
        The type of the elements, for the codec.
    **kwargs
        Options of every `Source`.

    >>> from urllib.request import urlopen
    >>> source = Stream.from_http_server(0, codec="json")
    >>> readings = source.pluck("temperature").sink_to_list()
    >>> source.start()
    >>> with urlopen(f"http://127.0.0.1:{source.port}/", data=b'{"temperature": 21}') as answer:
    ...     answer.status, readings
    (200, [21])
    >>> source.stop()
    """

    def __init__(
        self,
        port: int,
        path: str = "/.*",
        server_kwargs: dict[str, Any] | None = None,
        *,
        host: str = "127.0.0.1",
        methods: Sequence[str] = ("POST", "PUT"),
        token: str | None = None,
        answer: Literal["done", "accepted"] = "done",
        answer_timeout: Interval | None = "60s",
        max_size: int = 1 << 20,
        max_pending: int = 100,
        busy: Literal["reject", "wait"] = "reject",
        max_clients: int = 1000,
        timeout: Interval = "30s",
        ssl: tls.SSLContext | None = None,
        codec: Any = None,
        type: Any = None,
        **kwargs: Any,
    ) -> None:
        name = "from_http_server"
        check_count(name, "max_size", max_size, least=0)
        check_count(name, "max_pending", max_pending)
        check_choice(name, "answer", answer, ("done", "accepted"))
        check_choice(name, "busy", busy, ("reject", "wait"))
        self.path, self._pattern = path, _read_path(path)
        self.methods = _read_methods(methods)
        self._token = read_token(name, token)
        self.server_kwargs = server_kwargs
        self.answer, self.busy = answer, busy
        self.answer_timeout = read_limit(name, "answer_timeout", answer_timeout)
        self.timeout = read_limit(name, "timeout", timeout)
        self.max_size, self.max_pending = max_size, max_pending
        self.pending = 0
        """Requests that were received and are not answered."""
        self._capacity: asyncio.Semaphore | None = None
        self._codec: Codec[Any] | None = None
        if codec is not None or type is not None:
            self._codec = read_codec(name, "raw" if codec is None else codec, type)
        super().__init__(port, host=host, max_clients=max_clients, ssl=ssl, **kwargs)

    @contextlib.asynccontextmanager
    async def _serving(self, sockets: Sequence[Any]) -> AsyncIterator[None]:
        self._capacity = asyncio.Semaphore(self.max_pending)
        self.server = server = RequestServer(self, self.server_kwargs or {})
        self._accept_by(server, sockets)
        try:
            yield
        finally:
            server.stop()
            server.close_idle()

    # --- what the server asks ----------------------------------------------------------------

    def refuse(self, method: str, path: str, authorization: str, length: int) -> Answer | None:
        """Return the answer to a request that is not accepted, before its body is read."""
        if self._token is not None:
            given = authorization.encode("latin-1", "replace")
            if not hmac.compare_digest(given, b"Bearer " + self._token):
                challenge = (("WWW-Authenticate", "Bearer"),)
                return Answer(401, "Unauthorized", b"the token is missing or wrong", challenge)
        if not self._pattern.fullmatch(path):
            return Answer(404, "Not Found", b"no such path")
        if method not in self.methods:
            allow = (("Allow", ", ".join(self.methods)),)
            return Answer(405, "Method Not Allowed", b"", allow)
        if length > self.max_size:
            return self.too_large()
        if self._is_full():
            return self._busy()
        return None

    def too_large(self) -> Answer:
        """Return the answer to a body that is too large."""
        text = f"the body must have at most {self.max_size} bytes".encode()
        return Answer(413, "Content Too Large", text, closes=True)

    async def take_body(self, body: bytes) -> Answer:
        """Emit a body, and return the answer."""
        if self._is_full():
            return self._busy()
        self.pending += 1
        capacity = self._capacity
        emission: asyncio.Future[None] | None = None
        assert capacity is not None
        try:
            async with asyncio.timeout(self.answer_timeout):
                await capacity.acquire()
                outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
                emission = asyncio.ensure_future(self._emit_body(body, outcome))
                return await outcome
        except TimeoutError:
            return LATE
        finally:
            if emission is None:
                self.pending -= 1
            else:  # an element that waits for capacity keeps its place
                emission.add_done_callback(functools.partial(self._release, capacity))

    # --- one request -------------------------------------------------------------------------

    def _is_full(self) -> bool:
        return self.busy == "reject" and self.pending >= self.max_pending

    def _busy(self) -> Answer:
        return Answer(429, "Too Many Requests", b"try again later", (("Retry-After", "1"),))

    def _release(self, capacity: asyncio.Semaphore, emission: asyncio.Future[None]) -> None:
        self.pending -= 1
        capacity.release()
        if not emission.cancelled():
            emission.result()

    async def _emit_body(self, body: bytes, outcome: asyncio.Future[Answer]) -> None:
        """Emit a body; *outcome* gets the answer."""

        def settle(answer: Answer) -> None:
            if not outcome.done():
                outcome.set_result(answer)

        try:
            x = body if self._codec is None else self._codec.decode(body)
        except Exception as error:
            settle(await self._settle_invalid(body, error))
            return
        counter = Acknowledgement(
            cb=lambda: settle(DONE),
            loop=self._pipeline.bind(),
            on_failure=lambda error: settle(FAILED),
        )
        if (answer := await self._emit_counted(x, counter)) is not None:
            settle(answer)
        elif self.answer == "accepted":
            settle(ACCEPTED)

    async def _emit_counted(self, x: Any, counter: Acknowledgement) -> Answer | None:
        """Emit an element; return the answer if that has failed."""
        for _ in range(_MAX_EARLIER):
            try:
                if not self._may_emit():
                    return STOPPING
                await self.emit(x, asynchronous=True, metadata=metadata_of(None, counter))
                return None
            except (asyncio.CancelledError, StreamClosed):
                return STOPPING
            except Exception as error:
                logger.error("%s: a request has failed", self, exc_info=error)
                if counter.failure is not None or counter.told:
                    break
                # else it is the failure of an earlier element, and this one was not taken
        return FAILED

    async def _settle_invalid(self, body: bytes, error: Exception) -> Answer:
        if self._policy is None or isinstance(self._policy, Raise):
            logger.warning("%s: %s", self, error)
            return INVALID

        def refuse(_: bytes) -> Any:
            raise error

        await self.emit_decoded(body, refuse)
        return DONE


def _read_path(path: Any) -> re.Pattern[str]:
    rule = "from_http_server: path must be a regular expression"
    if not isinstance(path, str):
        raise TypeError(f"{rule}, got {short_repr(path)}")
    try:
        return re.compile(path)
    except re.error as error:
        raise ValueError(f"{rule}, got {short_repr(path)}: {error}") from None


def _read_methods(methods: Any) -> tuple[str, ...]:
    if isinstance(methods, str) or not all(isinstance(method, str) for method in methods):
        raise TypeError(
            f"from_http_server: methods must be a tuple of str, got {short_repr(methods)}"
        )
    return tuple(methods)
