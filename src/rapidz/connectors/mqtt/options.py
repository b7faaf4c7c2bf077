"""Options of an MQTT connection."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from rapidz.connectors.extras import require
from rapidz.connectors.secrets import hide
from rapidz.kernel.protocol.checks import check_callable
from rapidz.kernel.protocol.short_repr import short_repr

_UNAVAILABLE = ("Server unavailable", "Server busy", "Use another server", "Quota exceeded")


class MqttRejectedError(Exception):
    """The broker has refused a connection, a subscription or a message."""


class MqttOptions:
    """Where and how to connect to a broker.

    Parameters
    ----------
    operator : str
        The connector, for messages.
    host, port : str, int
        Address of the broker.
    keepalive : int
        Seconds after which a silent connection is checked, at least 0; 0: never.
    client_kwargs : mapping, optional
        Keyword arguments of ``paho.mqtt.client.Client.connect``.
    user, pw : str, optional
        User and password.
    client_id : str, optional
        Identifier of a persistent session; without it, the broker forgets the client.
    tls : bool or ssl.SSLContext
        Whether to use TLS, and how; True verifies the broker's certificate.
    protocol : str
        ``"3.1.1"`` or ``"5"``.
    configure : callable, optional
        Called with each new client of paho before it connects.
    """

    def __init__(
        self,
        operator: str,
        host: str,
        port: int,
        keepalive: Any,
        client_kwargs: Mapping[str, Any] | None,
        user: str | None,
        pw: str | None,
        client_id: str | None,
        tls: bool | ssl.SSLContext,
        protocol: str,
        configure: Callable[[Any], object] | None,
        timeout: float = 10.0,
    ) -> None:
        self._mqtt = require(operator, "paho.mqtt.client", extra="mqtt", package="paho-mqtt")
        self._types = require(operator, "paho.mqtt.packettypes", extra="mqtt")
        self._properties = require(operator, "paho.mqtt.properties", extra="mqtt")
        if protocol not in ("3.1.1", "5"):
            raise ValueError(
                f"{operator}: protocol must be '3.1.1' or '5', got {short_repr(protocol)}"
            )
        if not isinstance(tls, (bool, ssl.SSLContext)):
            raise TypeError(
                f"{operator}: tls must be True, False or an SSLContext, got {short_repr(tls)}"
            )
        if isinstance(keepalive, bool) or not isinstance(keepalive, int) or keepalive < 0:
            raise ValueError(f"{operator}: keepalive must be an integer from 0 on, got {keepalive}")
        if configure is not None:
            check_callable(operator, "configure", configure)
        self.host, self.port, self.keepalive, self.timeout = host, port, keepalive, timeout
        self.client_id, self.protocol, self._tls = client_id, protocol, tls
        self._user, self._pw, self._configure = user, pw, configure
        self._connect = dict(client_kwargs or {})

    def __repr__(self) -> str:
        return f"MQTT broker {self.address}"

    @property
    def address(self) -> str:
        """``host:port``."""
        return hide(f"{self.host}:{self.port}")

    def new_client(self, manual_ack: bool) -> Any:
        """Return a new client of paho."""
        mqtt, persistent = self._mqtt, self.client_id is not None
        is_5 = self.protocol == "5"
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=self.client_id or "",
            clean_session=None if is_5 else not persistent,
            protocol=mqtt.MQTTv5 if is_5 else mqtt.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        client.max_inflight_messages_set(1000)
        if self._user is not None:
            client.username_pw_set(self._user, self._pw)
        if self._tls:
            context = ssl.create_default_context() if self._tls is True else self._tls
            client.tls_set_context(context)
        if self._configure is not None:
            self._configure(client)
        return client

    def connect(self, client: Any) -> None:
        """Open the connection; this blocks."""
        options = dict(self._connect)
        if self.protocol == "5" and self.client_id is not None:
            options.setdefault("clean_start", False)
            options.setdefault("properties", self._session_properties())
        try:
            client.connect(self.host, self.port, self.keepalive, **options)
        except OSError as error:
            _close_sockets(error)
            raise

    def _session_properties(self) -> Any:
        """Return what keeps a session of MQTT 5 until the client comes back."""
        properties = self._properties.Properties(self._types.PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 0xFFFF_FFFF
        return properties

    def refusal(self, code: Any) -> Exception:
        """Return the exception for a connection that the broker has refused."""
        text = f"{self.address}: connection refused by the broker: {code}"
        temporary = any(str(code).startswith(reason) for reason in _UNAVAILABLE)
        return ConnectionRefusedError(text) if temporary else MqttRejectedError(text)


def _close_sockets(error: BaseException) -> None:
    """Close the socket that paho leaves open when a TLS handshake fails."""
    trace = error.__traceback__
    while trace is not None:
        for value in list(trace.tb_frame.f_locals.values()):
            if isinstance(value, socket.socket):
                value.close()
        trace = trace.tb_next


def check_qos(operator: str, qos: object) -> None:
    """Raise unless *qos* is a quality of service."""
    if isinstance(qos, bool) or qos not in (0, 1, 2):
        raise ValueError(f"{operator}: qos must be 0, 1 or 2, got {short_repr(qos)}")
