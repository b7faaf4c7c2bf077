"""Addresses are shown without their passwords, also those that no client could read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from rapidz import Stream
from rapidz.connectors.kafka.params import ClientParams
from rapidz.connectors.mqtt.options import MqttOptions
from rapidz.connectors.secrets import hide, short_hidden_repr
from rapidz.connectors.sql.database import read_database
from rapidz.sources.filesystem import hide_credentials

SHAPES = [
    "redis://u:{}@h:6379/0",
    "redis://:{}@h:xx/0",
    "mysql+x://u:{}@h/db?x=1",
    "nats://u:{}@h:x",
    " http://u:{}@h/",
    "//u:{}@h",
    "rediss//:{}@h",
    "postgres:/u:{}@h/db",
    "redis:u:{}@h",
    "u:{}@h:6379",
    "u:{}@",
]


@settings(max_examples=60, deadline=None)
@given(shape=st.sampled_from(SHAPES), password=st.text(min_size=3))
@example(shape="u:{}@h:6379", password="/S@C:T/ key=1 RET")
@example(shape="u:{}@h:6379", password="SEC key=RET")
@example(shape="redis://u:{}@h:6379/0", password="SEC RET&token=x")
def test_no_address_shows_its_password(shape: str, password: str) -> None:
    # "u://a:b@h" is an address of its own, whose user is a.
    assume(not (shape.startswith(("u:", "redis:u:")) and password.startswith("//")))
    assume(password not in hide(shape.format("12345")))
    assert password not in hide(shape.format(password))


@settings(deadline=None)
@given(text=st.text().filter(lambda text: "@" not in text and "=" not in text))
@example(text="redis://h:6379/0")
@example(text="C:/data/events.db")
def test_an_address_without_a_login_is_unchanged(text: str) -> None:
    assert hide(text) == text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://me:hunter2@host:6379/0?db=1", "redis://me:***@host:6379/0?db=1"),
        ("redis://me:hunter2@a:1/?password=x@b", "redis://me:***"),
        ("postgresql://u:SEC/RET@h/db", "postgresql://u:***@h/db"),
        ("postgres:/u:SECRET@h/db", "postgres:***@h/db"),
        ("u:SECRET@h:6379", "u:***@h:6379"),
        ("nats://token@h", "nats://***@h"),
        ("host=h:1 password='x y@z w' user=me", "host=h:*** user=me"),
        ("me@host:5432", "me@host:5432"),
        ("host=db password='it is", "host=db password=***"),
    ],
)
def test_the_rest_of_an_address_is_shown(address: str, shown: str) -> None:
    assert hide(address) == shown


@settings(max_examples=60, deadline=None)
@given(password=st.text(min_size=3))
@example(password="SEC/RET@x y")
def test_no_url_of_a_file_shows_its_password(password: str) -> None:
    assume(password not in hide_credentials("ftp://u:12345@h/x"))
    assert password not in hide_credentials(f"ftp://u:{password}@h/x")
    assert password not in hide_credentials(f"zip://x.csv::ftp://u:{password}@h/x")


@pytest.mark.parametrize("path", ["s3://bucket/a:b/c.csv", "/data/a@b.csv", "s3://bucket/a@b.csv"])
def test_a_path_without_a_login_is_unchanged(path: str) -> None:
    assert hide_credentials(path) == path


def _message(build: Any, *args: Any) -> str:
    with pytest.raises((TypeError, ValueError, OSError)) as raised:
        build(*args)
    return str(raised.value)


@pytest.mark.parametrize("text", ["u:SECRET@h:1", "x//:SECRET@h", "x://u:SEC/SECRET@h:xx/0"])
@pytest.mark.parametrize("kind", [str, str.encode])
def test_no_connector_shows_the_password_of_an_address_it_refuses(text: str, kind: Any) -> None:
    pytest.importorskip("redis")
    address = kind(text)
    messages = [
        _message(Stream.from_redis_list, address, "key"),
        _message(Stream.from_http, address),
        _message(Stream.from_sse, address),
        _message(Stream.from_websocket_client, address),
        _message(lambda: read_database("from_sql", address).connect()),
        short_hidden_repr([address]),
    ]
    assert [message for message in messages if "SECRET" in message] == []


def test_hosts_with_a_login_by_mistake_are_shown_without_it() -> None:
    pytest.importorskip("paho.mqtt")
    options = MqttOptions(
        "from_mqtt", "me:SECRET@h", 1883, 60, None, None, None, None, False, "5", None
    )
    params = ClientParams({"bootstrap.servers": "me:SECRET@h:1"})
    assert "SECRET" not in repr(options) + repr(params) + params.servers
    assert params.hide("cannot reach me:SECRET@h:1") == "cannot reach me:***@h:1"


def test_a_list_of_wrong_servers_shows_no_password() -> None:
    pytest.importorskip("nats")
    message = _message(Stream.from_nats, "s", ["nats://u:SECRET@h", "SECRET@h", 5])
    assert "SECRET" not in message
