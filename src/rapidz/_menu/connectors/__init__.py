"""Typed methods of the connectors, one module for each kind."""

from __future__ import annotations

from rapidz._menu.connectors.files import FileSinks, FileSources
from rapidz._menu.connectors.kafka import KafkaSinks, KafkaSources
from rapidz._menu.connectors.mqtt import MqttSinks, MqttSources
from rapidz._menu.connectors.nats import NatsSinks, NatsSources
from rapidz._menu.connectors.redis import RedisSinks, RedisSources
from rapidz._menu.connectors.sql import SqlSinks, SqlSources
from rapidz._menu.connectors.web import WebSinks, WebSources
from rapidz._menu.types import T


class ConnectorMethods(
    FileSources[T],
    FileSinks[T],
    WebSources[T],
    WebSinks[T],
    KafkaSources[T],
    KafkaSinks[T],
    MqttSources[T],
    MqttSinks[T],
    RedisSources[T],
    RedisSinks[T],
    NatsSources[T],
    NatsSinks[T],
    SqlSources[T],
    SqlSinks[T],
):
    """Connectors, as methods."""
