"""Codecs: results, errors, equality with and without msgspec."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import math
import pickle
import sys
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapidz.connectors.codecs import (
    Codec,
    CsvFormat,
    DecodeError,
    EncodeError,
    LineFormat,
    TruncatedFrame,
    read_codec,
    read_format,
)
from rapidz.connectors.codecs.json_codec import msgspec_codec, stdlib_codec
from rapidz.connectors.codecs.typed import converter

if TYPE_CHECKING:
    import msgspec
else:
    msgspec = pytest.importorskip("msgspec")

FAST, PLAIN = msgspec_codec(msgspec), stdlib_codec()
SECRET = "hunter2"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


@dataclasses.dataclass
class Reading:
    sensor: str
    value: float
    count: int = 0
    tags: list[str] = dataclasses.field(default_factory=list)
    place: Point | None = None
    when: datetime.datetime | None = None
    colour: Colour = Colour.RED
    kind: Literal["a", "b"] = "a"
    limits: tuple[int, int] = (0, 1)
    more: dict[str, int | str] = dataclasses.field(default_factory=dict)
    raw: bytes = b""


class Row(msgspec.Struct):
    a: int
    b: str = "x"


def outcome(func: Callable[[Any], Any], x: Any) -> Any:
    """Return the result, or the class of the codec error; other exceptions are failures."""
    try:
        return func(x)
    except (DecodeError, EncodeError) as error:
        return type(error)


minutes = st.integers(-23 * 60, 23 * 60).map(
    lambda m: datetime.timezone(datetime.timedelta(minutes=m))
)
zones = st.none() | st.just(datetime.UTC) | minutes
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"))
    | st.binary(max_size=20)
    | st.datetimes(timezones=zones)
    | st.dates()
    | st.timedeltas(datetime.timedelta(days=-10_000), datetime.timedelta(days=10_000))
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.sampled_from(Colour)
    | st.builds(Point, st.integers(), st.floats())
)
keys = st.text(max_size=5) | st.integers() | st.floats() | st.booleans() | st.none() | st.dates()
objects = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=4)
        | st.frozensets(st.integers(), max_size=4)
    ),
    max_leaves=10,
)


@given(objects)
def test_json_encodes_the_same_values_with_and_without_msgspec(x: Any) -> None:
    fast, plain = outcome(FAST.encode, x), outcome(PLAIN.encode, x)
    if isinstance(fast, type) or isinstance(plain, type):
        assert fast is plain
    else:
        assert json.loads(fast) == json.loads(plain)
        assert repr(FAST.decode(plain)) == repr(PLAIN.decode(fast))


json_text = st.recursive(
    st.sampled_from(
        ["null", "true", "NaN", "-Infinity", "1e400", "1E5", "-0", "-0.0", "01", "1.", "9" * 400]
    )
    | st.sampled_from(['"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\n"', "'a'", "", "\ufeff1"])
    | st.integers().map(str)
    | st.floats(allow_nan=False).map(json.dumps)
    | st.text(max_size=5).map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{' , '.join(items)}]")
        | st.dictionaries(st.text(max_size=3).map(json.dumps), inner, max_size=3).map(
            lambda items: "{" + ",".join(f"{k}:{v}" for k, v in items.items()) + "}"
        )
    ),
    max_leaves=6,
)


@given(json_text | st.text(max_size=10))
def test_json_decodes_the_same_with_and_without_msgspec(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    assert repr(outcome(FAST.decode, data)) == repr(outcome(PLAIN.decode, data))


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_but_a_decode_error(data: bytes) -> None:
    for name in ("json", "msgpack", "text", "raw", "jsonlines", "csv"):
        outcome(read_codec("t", name).decode, data)
    outcome(PLAIN.decode, data)


@pytest.mark.parametrize("codec", [FAST, PLAIN], ids=["msgspec", "stdlib"])
def test_json_is_strict(codec: Codec[Any]) -> None:
    assert codec.encode([math.nan, math.inf, -math.inf]) == b"[null,null,null]"
    assert codec.encode({1: 1, 2.5: 2, False: 3, None: 4}) == b'{"1":1,"2.5":2,"false":3,"null":4}'
    assert codec.encode(b"ab") == b'"YWI="'
    assert codec.decode(codec.encode(10**40)) == 10**40
    assert codec.encode(datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)) == (
        b'"2020-01-02T00:00:00Z"'
    )
    assert codec.encode(decimal.Decimal("1.50")) == b'"1.50"'
    assert codec.encode(uuid.UUID(int=5)) == b'"00000000-0000-0000-0000-000000000005"'
    assert codec.encode({"é": "\u2028"}) == '{"é":"\u2028"}'.encode()
    for bad in (b"NaN", b"1e400", b"\xff", b'"\\ud800"', b"[" * 100_000, b"", b"1 2"):
        with pytest.raises(DecodeError):
            codec.decode(bad)
    cycle: list[Any] = []
    cycle.append(cycle)
    for value in (object(), {(1, 2): 3}, "\ud800", cycle, complex(1)):
        with pytest.raises(EncodeError):
            codec.encode(value)


wrong = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
field_values: dict[str, st.SearchStrategy[Any]] = {
    "sensor": st.text(max_size=3) | wrong,
    "value": st.floats(allow_nan=False, allow_infinity=False) | wrong,
    "count": st.integers() | wrong,
    "tags": st.lists(st.text(max_size=2) | wrong, max_size=2) | wrong,
    "place": st.fixed_dictionaries({"x": st.integers() | wrong}, optional={"y": wrong}) | wrong,
    "when": st.datetimes(timezones=zones).map(datetime.datetime.isoformat) | wrong,
    "colour": st.sampled_from(["red", "blue", "green"]) | wrong,
    "kind": st.sampled_from(["a", "b", "c"]),
    "limits": st.lists(st.integers() | wrong, max_size=3),
    "more": st.dictionaries(st.text(max_size=2), wrong, max_size=2),
    "raw": st.binary(max_size=4).map(lambda data: json.loads(PLAIN.encode(data))) | wrong,
    "unknown": wrong,
}


@given(st.fixed_dictionaries({}, optional=field_values) | wrong)
def test_typed_json_is_the_same_with_and_without_msgspec(x: Any) -> None:
    data = PLAIN.encode(x)
    fast = outcome(msgspec_codec(msgspec, Reading).decode, data)
    assert repr(fast) == repr(outcome(stdlib_codec(Reading).decode, data))


@pytest.mark.parametrize("make", [lambda t: msgspec_codec(msgspec, t), stdlib_codec])
def test_typed_json_builds_a_dataclass(make: Callable[[Any], Codec[Any]]) -> None:
    codec = make(Reading)
    reading = Reading("s", 1.5, 2, ["x"], Point(1), datetime.datetime(2020, 1, 2), Colour.BLUE)
    assert codec.decode(codec.encode(reading)) == reading
    with pytest.raises(DecodeError, match=r"(?i)expected .*str.* at `?\$?\.sensor"):
        codec.decode(b'{"sensor": 5, "value": 1}')


def test_typed_json_builds_a_struct() -> None:
    for codec in (read_codec("t", "json", Row), read_codec("t", "msgpack", Row)):
        assert codec.decode(codec.encode(Row(1))) == Row(1)
    assert stdlib_codec(Row).decode(b'{"a": 1, "b": "y"}') == Row(1, "y")


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        (FAST, f'{{"password": {SECRET}}}'),
        (PLAIN, f'{{"password": {SECRET}}}'),
        (FAST, f'"{SECRET}\xff'),
        (msgspec_codec(msgspec, Colour), f'"{SECRET}"'),
        (stdlib_codec(Colour), f'"{SECRET}"'),
        (stdlib_codec(Reading), f'{{"sensor": "{SECRET}", "value": "{SECRET}"}}'),
        (msgspec_codec(msgspec, Reading), f'{{"sensor": "{SECRET}", "value": "{SECRET}"}}'),
        (read_codec("t", "text"), f"{SECRET}\xff"),
        (read_codec("t", "csv"), f"{SECRET},b\n{SECRET}\n"),
        (read_codec("t", "csv", Row), f"a\n{SECRET}\n"),
        (read_codec("t", "jsonlines"), f'"{SECRET}'),
        (read_codec("t", (str, lambda data: json.loads(data))), f'"{SECRET}'),
    ],
)
def test_decode_error_repeats_nothing_of_the_message(codec: Codec[Any], data: str) -> None:
    with pytest.raises(DecodeError) as caught:
        codec.decode(data.encode("latin-1"))
    assert SECRET not in str(caught.value) + repr(caught.value)
    assert len(str(caught.value)) < 300
    error = caught.value
    assert error.__context__ is None or error.__suppress_context__ or error.__cause__


def test_large_messages_have_short_errors() -> None:
    for name in ("json", "text", "msgpack", "csv", "jsonlines"):
        with pytest.raises(DecodeError) as caught:
            read_codec("t", name).decode(b"\xff\xc1" * 500_000)
        assert len(str(caught.value)) < 300, name


def test_pair_of_functions_is_a_codec() -> None:
    codec = read_codec("to_kafka", (lambda x: str(x).encode(), int))
    assert codec.decode(codec.encode(5)) == 5
    with pytest.raises(DecodeError, match="int: cannot decode 1 byte: ValueError") as caught:
        codec.decode(b"x")
    assert isinstance(caught.value.__cause__, ValueError)


def test_messages_of_raw_and_text() -> None:
    raw, text = read_codec("t", "raw"), read_codec("t", "text")
    assert raw.encode("é") == "é".encode()
    assert raw.decode(b"\xff") == b"\xff"
    assert text.decode(text.encode("é")) == "é"
    for codec, x in ((raw, 5), (text, 5), (text, b"x"), (text, "\ud800")):
        with pytest.raises(EncodeError):
            codec.encode(x)


def test_codecs_of_streams_decode_a_message_to_a_list() -> None:
    for name in ("jsonlines", "csv"):
        codec = read_codec("from_nats", name)
        rows = [{"a": "1", "b": "x\ny"}, {"a": "2", "b": 'q"'}]
        assert codec.decode(codec.encode(rows)) == rows
        assert codec.decode(codec.encode([])) == []
    with pytest.raises(DecodeError, match="element 2"):
        read_codec("t", "jsonlines").decode(b"1\nx\n")


def test_truncated_frame_is_never_decoded() -> None:
    frame = TruncatedFrame.of(b"12345", 3)
    for name in ("raw", "text", "json", "msgpack", "jsonlines", "csv"):
        with pytest.raises(DecodeError, match="longer than max_size"):
            read_codec("t", name).decode(frame)
    with pytest.raises(DecodeError, match="longer than max_size"):
        PLAIN.decode(frame)
    with pytest.raises(DecodeError, match="longer than max_size"):
        read_codec("t", (bytes, bytes)).decode(frame)


@pytest.mark.parametrize(
    ("codec", "kind", "error", "message"),
    [
        ("pickle", None, ValueError, r"from_x: codec must be 'raw', .* got 'pickle'"),
        (5, None, TypeError, "from_x: codec must be .* got 5"),
        ((json.dumps,), None, TypeError, "from_x: codec must be"),
        ("raw", Point, TypeError, "from_x: type must be None for this codec"),
        ((bytes, bytes), Point, TypeError, "from_x: type must be None for this codec"),
        (FAST, Point, TypeError, "from_x: type must be None for this codec"),
        ("csv", int, TypeError, "from_x: type must be a dataclass or a Struct, got <class 'int'>"),
    ],
)
def test_codec_arguments_are_checked(codec: Any, kind: Any, error: Any, message: str) -> None:
    for read in (read_codec, read_format):
        with pytest.raises(error, match=message):
            read("from_x", codec, kind)


def test_codecs_and_formats_pass_as_they_are() -> None:
    form = CsvFormat(delimiter=";")
    assert read_codec("t", FAST) is FAST
    assert read_format("t", form) is form
    assert read_codec("t", form).decode(b"a;b\n1;2\n") == [{"a": "1", "b": "2"}]
    assert isinstance(read_format("t", FAST), LineFormat)


def test_without_msgspec_json_works_and_msgpack_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    codec = read_codec("t", "json", Point)
    assert codec.decode(codec.encode(Point(1))) == Point(1)
    with pytest.raises(ImportError, match="from_nats: codec 'msgpack' needs msgspec: pip install"):
        read_codec("from_nats", "msgpack")
    with pytest.raises(TypeError, match=r"from_x: type must be .*cannot convert to .*complex"):
        read_codec("from_x", "json", complex)
    assert read_codec("t", "jsonlines").decode(b"[1]\n[2]") == [[1], [2]]


def test_no_codec_unpickles() -> None:
    data = pickle.dumps({"a": 1})
    for name in ("json", "msgpack", "csv", "jsonlines", "text", "raw"):
        assert outcome(read_codec("t", name).decode, data) != {"a": 1}


@given(objects)
def test_msgpack_round_trips_or_refuses(x: Any) -> None:
    codec = read_codec("t", "msgpack")
    data = outcome(codec.encode, x)
    if data is not EncodeError:
        codec.decode(data)


def test_lax_conversion_reads_text() -> None:
    assert converter(int, lax=True)("-12") == -12
    assert converter(float, lax=True)("1e3") == 1000.0
    assert converter(bool, lax=True)("True") is True
    assert converter(int | None, lax=True)("") is None
    assert converter(str | None, lax=True)("") == ""
    assert converter(Colour, lax=True)("blue") is Colour.BLUE
    for kind, text in ((int, "1_0"), (int, " 1"), (float, "1e999"), (bool, "yes"), (int, "")):
        with pytest.raises(ValueError, match="invalid"):
            converter(kind, lax=True)(text)
