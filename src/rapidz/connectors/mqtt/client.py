"""MQTT client on an asyncio loop: the client of paho, whose reading can be paused."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from rapidz.connectors.mqtt.options import MqttOptions, MqttRejectedError
from rapidz.kernel.protocol.short_repr import short_repr

_READS: Final = 50
"""Packets that are read before the loop does something else."""
_TICK: Final = 1.0
"""Seconds between two looks at the keepalive time."""
_PING: Final = b"\xc0\x00"


class MqttClient:
    """One connection to a broker.

    While reading is paused, messages wait in the broker and in the buffers of TCP: this is the
    back pressure of a source.  The connection is kept alive meanwhile.

    Parameters
    ----------
    options : MqttOptions
        Where and how to connect.
    on_message : callable, optional
        Called with each message that arrives.
    manual_ack : bool
        Whether `acknowledge` is called for each message of quality of service 1 or 2.
    """

    def __init__(
        self,
        options: MqttOptions,
        on_message: Callable[[Any], object] | None = None,
        *,
        manual_ack: bool = False,
    ) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._connack: asyncio.Future[bool] = self._loop.create_future()
        self._answers: dict[tuple[str, int], asyncio.Future[Any]] = {}
        self._early: dict[tuple[str, int], Any] = {}
        self._socket: Any = None
        self._is_reading = self._is_writing = False
        self._received = 0
        self._on_message = on_message
        self._ticking: asyncio.Task[None] | None = None
        self.failure: Exception | None = None
        """Why the connection was lost."""
        self.on_lost: Callable[[], object] = lambda: None
        self._paho = client = options.new_client(manual_ack)
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_message = self._message
        client.on_publish = lambda _c, _u, mid, code, _p: self._answer("publish", mid, [code])
        client.on_subscribe = lambda _c, _u, mid, codes, _p: self._answer("subscribe", mid, codes)
        client.on_socket_register_write = lambda *_: self._from_any_thread(self._begin_writing)
        client.on_socket_unregister_write = lambda *_: self._from_any_thread(self._end_writing)
        client.on_socket_close = lambda *_: self._from_any_thread(self._release_socket)

    async def connect(self) -> bool:
        """Connect; return whether the broker has kept the session of this client."""
        try:
            await _in_own_thread(self._open, self._paho.disconnect)
            self._socket = self._paho.socket()
            self.resume()
            self._begin_writing()
            async with asyncio.timeout(self._options.timeout):
                present = await self._connack
        except BaseException as error:
            self._release_socket()
            self._close_socket()
            if isinstance(error, TimeoutError) and not str(error):
                where, limit = self._options.address, self._options.timeout
                raise TimeoutError(f"{where}: no answer in {limit:g} s") from None
            raise
        self._ticking = self._loop.create_task(self._keep_alive())
        return present

    def _open(self) -> None:
        self._options.connect(self._paho)

    async def disconnect(self) -> None:
        """Send what is to be sent, and close the connection."""
        try:
            if self._ticking is not None:
                self._ticking.cancel()
                await asyncio.gather(self._ticking, return_exceptions=True)
            if self.failure is None and self._socket is not None:
                self._paho.disconnect()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._options.timeout):
                        while self._paho.want_write() and self._socket is not None:
                            await asyncio.sleep(0.001)
        finally:
            self._fail_waiters(ConnectionError(f"{self._options.address}: disconnected"))
            self._release_socket()
            self._close_socket()

    def subscribe(self, topics: Sequence[str], qos: int) -> asyncio.Future[Any]:
        """Subscribe; return a future of the reason codes, for `check_subscription`."""
        self._raise_if_lost()
        _, mid = self._paho.subscribe([(topic, qos) for topic in topics])
        return self._wait_for("subscribe", mid)

    def publish(self, topic: str, payload: Any, qos: int, retain: bool) -> asyncio.Future[Any]:
        """Publish; return a future of the reason codes, when the broker has confirmed."""
        self._raise_if_lost()
        info = self._paho.publish(topic, payload, qos, retain)
        if info.rc not in (0, 4):  # 4: not connected, which `failure` reports
            raise ConnectionError(f"{self._options.address}: cannot publish: {info.rc}")
        return self._wait_for("publish", info.mid)

    def acknowledge(self, message: Any) -> None:
        """Tell the broker that a message is done."""
        if message.qos and self.failure is None:
            self._paho.ack(message.mid, message.qos)

    def pause(self) -> None:
        """Read nothing, until `resume`."""
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._socket)

    def resume(self) -> None:
        """Read again."""
        if not self._is_reading and self._socket is not None:
            self._is_reading = True
            self._loop.add_reader(self._socket, self._read)

    # --- callbacks of paho -------------------------------------------------------------------

    def _connected(self, _client: Any, _data: Any, flags: Any, code: Any, _properties: Any) -> None:
        if self._connack.done():
            return
        if code.is_failure:
            self._connack.set_exception(self._options.refusal(code))
        else:
            self._connack.set_result(bool(flags.session_present))

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, code: Any, _p: Any) -> None:
        self._lose(ConnectionError(f"{self._options.address}: connection lost: {code}"))

    def _message(self, _client: Any, _data: Any, message: Any) -> None:
        self._received += 1
        if self._on_message is not None:
            self._on_message(message)

    def _answer(self, kind: str, mid: int, codes: Any) -> None:
        if (future := self._answers.pop((kind, mid), None)) is None:
            self._early[kind, mid] = codes  # before the identifier was known
        elif not future.done():
            future.set_result(codes)

    # --- socket --------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read packets until there are no more, or reading is paused."""
        for _ in range(_READS):
            before = self._received
            self._guarded(self._paho.loop_read)
            if not self._is_reading or self._received == before:
                break
        pending = getattr(self._socket, "pending", None)
        while self._is_reading and pending is not None and pending() > 0:  # TLS has decrypted it
            self._guarded(self._paho.loop_read)

    def _write(self) -> None:
        self._guarded(self._paho.loop_write)

    def _guarded(self, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception as error:
            self._lose(error)

    def _begin_writing(self) -> None:
        if not self._is_writing and self._socket is not None and self._paho.want_write():
            self._is_writing = True
            self._loop.add_writer(self._socket, self._write)

    def _end_writing(self) -> None:
        if self._is_writing and not self._paho.want_write():
            self._is_writing = False
            self._loop.remove_writer(self._socket)

    def _from_any_thread(self, action: Callable[[], object]) -> None:
        if self._socket is not None:  # before that, `connect` still runs in its thread
            action()

    def _release_socket(self) -> None:
        """Take the socket out of the loop."""
        sock, self._socket = self._socket, None
        if sock is not None and sock.fileno() >= 0:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
        self._is_reading = self._is_writing = False

    def _close_socket(self) -> None:
        sock = self._paho.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    # --- state -----------------------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        """Let paho check the connection, or send pings while reading is paused."""
        interval, last = self._options.keepalive / 2, self._loop.time()
        was_reading = True
        while self.failure is None:
            await asyncio.sleep(_TICK)
            if self._is_reading and was_reading:
                self._guarded(self._paho.loop_misc)
            elif interval and self._loop.time() - last >= interval and not self._paho.want_write():
                last = self._loop.time()
                with contextlib.suppress(OSError):
                    self._socket.send(_PING)  # paho would wait for an answer that it cannot read
            was_reading = self._is_reading

    def _lose(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = error
            if not self._connack.done():
                self._connack.set_exception(error)
            self._fail_waiters(error)
            self._release_socket()
            self.on_lost()

    def _fail_waiters(self, error: Exception) -> None:
        waiters, self._answers = self._answers, {}
        for future in waiters.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # it is reported by whoever awaits it, if any code awaits it

    def _raise_if_lost(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _wait_for(self, kind: str, mid: int) -> asyncio.Future[Any]:
        self._raise_if_lost()
        future = self._loop.create_future()
        if (codes := self._early.pop((kind, mid), None)) is not None:
            future.set_result(codes)
        else:
            self._answers[kind, mid] = future
        return future


def check_subscription(topics: Sequence[str], codes: Sequence[Any]) -> None:
    """Raise `MqttRejectedError` if the broker has refused a topic."""
    for topic, code in zip(topics, codes, strict=False):
        if code.is_failure:
            raise MqttRejectedError(f"subscription to {short_repr(topic)} was refused: {code}")


def _in_own_thread(
    function: Callable[[], object], undo: Callable[[], object]
) -> Coroutine[Any, Any, None]:
    """Call *function* in a thread; if the wait is cancelled, call *undo* when it has returned."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: BaseException | None) -> None:
        if done.cancelled():
            undo()
        elif error is not None:
            done.set_exception(error)
        else:
            done.set_result(None)

    def work() -> None:
        failure: BaseException | None = None
        try:
            function()
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(finish, failure)

    async def wait() -> None:
        threading.Thread(target=work, name="rapidz-mqtt-connect", daemon=True).start()
        await done

    return wait()
