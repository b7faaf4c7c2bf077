"""Framing and formats: streams of bytes in pieces of any size, within limits."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rapidz.connectors.codecs import (
    CsvFormat,
    EncodeError,
    Format,
    LineFormat,
    LineFramer,
    TruncatedFrame,
    Undecoded,
    read_codec,
    read_format,
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return *data* in pieces, cut at some places."""
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


def decode(form: Format, parts: list[bytes]) -> list[Any]:
    decoder = form.decoder()
    found = [x for part in parts for x in decoder.feed(part)]
    return found + decoder.finish()


cut_places = st.lists(st.integers(0, 200), max_size=8)


@given(st.lists(st.binary(max_size=8)), st.sampled_from([b"\n", b"\r\n", b"abab"]), cut_places)
def test_line_framer_is_split_for_any_pieces(
    frames: list[bytes], delimiter: bytes, cuts: list[int]
) -> None:
    data = delimiter.join(frames)
    expected = data.split(delimiter)
    if not expected[-1]:
        expected.pop()
    framer = LineFramer(delimiter)
    found = [frame for part in pieces(data, cuts) for frame in framer.feed(part)]
    assert found + framer.finish() == expected
    assert framer.pending == 0


@given(
    st.lists(st.binary(max_size=12).filter(lambda b: b"\n" not in b and b"b" not in b)),
    st.sampled_from([b"\n", b"\nb"]),
    cut_places,
)
def test_line_framer_truncates_what_is_too_long(
    frames: list[bytes], delimiter: bytes, cuts: list[int]
) -> None:
    framer = LineFramer(delimiter, max_size=5)
    found = []
    for part in pieces(b"".join(frame + delimiter for frame in frames), cuts):
        found += framer.feed(part)
        assert framer.pending <= 5 + len(delimiter)
    found += framer.finish()
    assert found == [frame[:5] for frame in frames]
    long = [type(frame) is TruncatedFrame for frame in found]
    assert long == [len(frame) > 5 for frame in frames]


def test_line_framer_reports_an_endless_frame_at_once() -> None:
    framer = LineFramer(max_size=10)
    assert framer.feed(b"x" * 11) == [b"x" * 10]
    for _ in range(100):
        assert framer.feed(b"x" * 1000) == []
        assert framer.pending == 0
    assert framer.is_skipping
    assert framer.feed(b"x\nnext\n") == [b"next"]


@pytest.mark.parametrize(("delimiter", "size"), [(b"", 5), ("\n", 5), (b"\n", 0), (b"\n", None)])
def test_line_framer_checks_its_arguments(delimiter: Any, size: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"framing: (delimiter|max_size) must be"):
        LineFramer(delimiter, size)


def shown(found: list[Any]) -> list[Any]:
    return [x.raw if isinstance(x, Undecoded) else [x] for x in found]


def check_offsets(form: Format, data: bytes, cuts: list[int]) -> None:
    """Check that decoding resumed at any offset gives the rest."""
    decoder = form.decoder()
    whole = decode(form, [data])
    before = 0
    for part in pieces(data, cuts):
        found = decoder.feed(part)
        for n in range(len(found) + 1):
            resumed = form.decoder()
            if isinstance(form, CsvFormat):
                resumed.names = getattr(decoder, "names")  # type: ignore[attr-defined] # noqa: B009
                if resumed.names is None:  # type: ignore[attr-defined]
                    continue
            offset = decoder.offset_after(n)
            rest = resumed.feed(data[offset:]) + resumed.finish()
            assert shown(rest) == shown(whole[before + n :]), (part, n, offset)
        before += len(found)


lines = st.lists(st.sampled_from(["1", "", "  ", '"a"', "[1, 2]", "bad", "é", "{}", "0" * 30]))


@given(lines, st.sampled_from([10, 1000]), st.booleans(), cut_places)
def test_json_lines_resume_at_any_offset(
    rows: list[str], max_size: int, skip: bool, cuts: list[int]
) -> None:
    codec = read_codec("t", "json")
    form = LineFormat(codec, max_size=max_size, skip_blank=skip)
    data = "".join(row + "\n" for row in rows).encode()
    found = decode(form, pieces(data, cuts))
    kept = [row for row in rows if row.strip() or not skip]
    assert len(found) == len(kept)
    for x, row in zip(found, kept, strict=True):
        if isinstance(x, Undecoded):
            assert x.raw == row.encode()[:max_size]
        else:
            assert x == json.loads(row)
    if max_size == 1000:
        check_offsets(form, data, cuts)


fields = st.text(st.sampled_from('ab," \r\n;é'), max_size=6)


@given(
    st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(fields, min_size=n, max_size=n))),
    cut_places,
)
def test_csv_reads_what_it_wrote_for_any_pieces(rows: list[list[str]], cuts: list[int]) -> None:
    form = CsvFormat(header=False)
    encoder = form.encoder()
    data = b"".join(encoder.encode(row) for row in rows)
    assert decode(form, pieces(data, cuts)) == rows
    check_offsets(form, data, cuts)


@given(st.text(st.sampled_from('a",\n\r'), max_size=60), cut_places)
@example('"a\n', [])
def test_csv_reads_as_the_csv_module_does(text: str, cuts: list[int]) -> None:
    expected = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    found = decode(CsvFormat(header=False), pieces(text.encode(), cuts))
    failed = [x for x in found if isinstance(x, Undecoded)]
    if not failed:
        assert found == expected
    else:  # an open quote at the end
        assert text.count('"')


def test_csv_header_names_the_fields() -> None:
    data = b'\xef\xbb\xbfname,text\n\na,"two\nlines"\r\n b ,\n'
    found = decode(CsvFormat(), [data])
    assert found == [{"name": "a", "text": "two\nlines"}, {"name": " b ", "text": ""}]
    named = CsvFormat(header=False, names=["x", "y"])
    assert decode(named, [b"1,2\n3,4"]) == [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]


@given(cut_places)
def test_csv_bad_records_are_undecoded_and_others_are_not(cuts: list[int]) -> None:
    data = b'a,b\n1,2\n3\n4,\xff\n5,6,7\n8,"9\n9"\n"x\ry",z\n10,"open\n11,12\n'
    found = decode(CsvFormat(), pieces(data, cuts))
    good = [x for x in found if not isinstance(x, Undecoded)]
    assert good == [
        {"a": "1", "b": "2"},
        {"a": "8", "b": "9\n9"},
        {"a": "x\ry", "b": "z"},
        {"a": "11", "b": "12"},
    ]
    raws = [x.raw for x in found if isinstance(x, Undecoded)]
    assert raws == [b"3", b"4,\xff", b"5,6,7", b'10,"open']


@given(cut_places)
def test_csv_refuses_a_header_that_has_a_name_more_than_once(cuts: list[int]) -> None:
    data = b"a,b,a,,\n1,2,3,4,5\n"
    for kind in (None, Reading):
        found = decode(CsvFormat(type=kind), pieces(data, cuts))
        assert [x.raw for x in found] == data.splitlines()
        for x in found:
            assert "the header has 'a', '' more than once; header=False and names=" in str(x.error)
    assert decode(CsvFormat(), [b",a\n1,2\n"]) == [{"": "1", "a": "2"}]
    with pytest.raises(ValueError, match="csv: names must be different, got 'x' more than once"):
        CsvFormat(header=False, names=["x", "y", "x"]).decoder()


@given(cut_places, st.integers(0, 400))
def test_csv_records_that_are_too_long_are_bounded(cuts: list[int], size: int) -> None:
    form = CsvFormat(header=False, max_size=50)
    decoder = form.decoder()
    data = b"a,b\n" + b"x" * size + b'\n1,2\n3,"' + b"yy\n" * (size // 3) + b'",z\n5,6\n'
    found = []
    for part in pieces(data, cuts):
        found += decoder.feed(part)
        assert decoder.pending <= 50 + len(part)
    found += decoder.finish()
    good = [x for x in found if not isinstance(x, Undecoded)]
    assert good[0] == ["a", "b"]
    assert ["1", "2"] in good
    for x in found:
        if isinstance(x, Undecoded):
            assert len(x.raw) <= 50


@dataclasses.dataclass
class Reading:
    sensor: str
    value: float
    count: int | None = None


def test_csv_builds_records_of_a_type() -> None:
    form = read_format("from_csv", "csv", Reading)
    found = decode(form, [b"sensor,value,count,other\ns,1.5,,x\nt,2,3,x\nu,?,4,x\n"])
    assert found[:2] == [Reading("s", 1.5), Reading("t", 2.0, 3)]
    assert isinstance(found[2], Undecoded)
    assert "invalid float - at .value" in str(found[2].error)
    encoder = form.encoder()
    data = encoder.begin(found[0]) + encoder.encode(found[0]) + encoder.encode(found[1])
    assert data == b"sensor,value,count\ns,1.5,\nt,2.0,3\n"


def test_csv_encoder_refuses_what_the_header_has_not() -> None:
    encoder = CsvFormat(names=["a", "b"]).encoder()
    assert encoder.begin({"b": 1}) == b"a,b\n"
    assert encoder.encode({"b": 1}) == b",1\n"
    assert encoder.encode([1, None]) == b"1,\n"
    with pytest.raises(EncodeError, match="the header has no field 'c'"):
        encoder.encode({"a": 1, "c": 2})
    with pytest.raises(EncodeError, match="must be a dict"):
        encoder.encode(5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ""}, "csv: delimiter must be a str of one character, got ''"),
        ({"encoding": "utf-16"}, "csv: encoding must be one with line feeds of one byte"),
        ({"encoding": "no such"}, "csv: encoding must be one"),
        ({"max_size": 0}, "csv: max_size must be an int >= 1, got 0"),
        ({"header": "a"}, "csv: header must be a bool, got 'a'"),
        ({"type": int}, "csv: type must be a dataclass or a Struct, got <class 'int'>"),
    ],
)
def test_csv_checks_its_arguments(options: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        CsvFormat(**options)


@given(
    st.lists(
        st.fixed_dictionaries({"a": fields | st.integers() | st.none(), "b": fields}), min_size=1
    )
)
def test_csv_writes_many_rows_as_it_writes_each(rows: list[dict[str, Any]]) -> None:
    many, each = CsvFormat().encoder(), CsvFormat().encoder()
    assert many.encode_all(rows) == b"".join([each.encode(row) for row in rows])
    assert many.encode_all(rows[::-1]) == b"".join([each.encode(row) for row in rows[::-1]])


def test_json_lines_of_many_elements_are_those_of_each() -> None:
    elements = [{"a": 1}, [None, True], {True: 1}, "x"]
    encoder = read_format("t", "json").encoder()
    assert encoder.encode_all(elements) == b"".join([encoder.encode(x) for x in elements])
