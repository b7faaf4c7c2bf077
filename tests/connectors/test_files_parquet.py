"""from_parquet and to_parquet: rows and tables, positions, schemas, files that cannot be read."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.support import settle

from rapidz import Stream

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

ROWS = [{"a": n, "b": f"x{n}"} for n in range(25)]


def write(path: Any, elements: Any, **options: Any) -> Any:
    with Stream[Any]() as source:
        node = source.to_parquet(path, **options)
        source.emit_many(elements)
    return node


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


async def collect(source: Any) -> list[Any]:
    seen = source.sink_to_list()
    source.start()
    await source.join()
    assert source.state == "done"
    return list(seen)


@dataclasses.dataclass
class Item:
    a: int
    b: str


def test_rows_are_in_one_file_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "x.parquet"
    source = Stream[Any]()
    node = source.to_parquet(path, batch=10, fsync=True)
    source.emit_many(ROWS[:24])
    source.emit(Item(24, "x24"))
    assert [p.name for p in path.parent.iterdir()] == ["x.parquet~part"]
    source.close()
    assert rows(path) == ROWS
    assert node.paths == [str(path)]


def test_each_batch_is_a_file_that_is_complete_when_emit_returns(tmp_path: Path) -> None:
    source = Stream[Any]()
    source.to_parquet(tmp_path / "{number}.parquet", batch=10)
    source.emit_many(ROWS)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["000000.parquet", "000001.parquet"]
    assert rows(tmp_path / "000001.parquet") == ROWS[10:20]
    source.close()
    assert rows(tmp_path / "000002.parquet") == ROWS[20:]


def test_files_of_keys(tmp_path: Path) -> None:
    write(tmp_path / "{key}.parquet", ROWS, key=lambda row: f"../{row['a'] % 2}", batch=7)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "%2E%2E%2F0.parquet",
        "%2E%2E%2F1.parquet",
    ]
    assert rows(tmp_path / "%2E%2E%2F1.parquet") == ROWS[1::2]


def test_tables_and_frames_are_written(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(ROWS[:5])
    elements = [
        *(table, table.to_batches()[0], table.to_pandas(), pl.DataFrame(ROWS[:5]), ROWS[0]),
    ]
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    write(tmp_path / "x", elements, schema=schema)
    assert rows(tmp_path / "x") == ROWS[:5] * 4 + ROWS[:1]


def test_elements_that_do_not_fit_are_failures(tmp_path: Path) -> None:
    bad = [{"a": "text", "b": "x"}, {"a": 1, "c": 2}, 5, object(), pa.table({"z": [1]})]
    with Stream[Any]() as source:
        node = source.to_parquet(tmp_path / "x", batch=4)
        failures = node.errors.sink_to_list()
        source.emit_many([ROWS[0], {"a": 7}, *bad, *ROWS[1:3]])
    assert rows(tmp_path / "x") == [ROWS[0], {"a": 7, "b": None}, *ROWS[1:3]]
    assert [f.element for f in failures] == bad


def test_a_later_field_of_the_first_batch_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "x", [{"a": 1}, {"a": 2, "b": 3}])
    assert rows(tmp_path / "x") == [{"a": 1, "b": None}, {"a": 2, "b": 3}]


@pytest.mark.parametrize("output", ["row", "rows", "arrow", "pandas", "polars"])
async def test_files_are_read_in_each_form(output: Any, tmp_path: Path) -> None:
    for name, part in (("b", ROWS[10:]), ("a", ROWS[:10])):
        pq.write_table(pa.Table.from_pylist(part), tmp_path / f"{name}.parquet", row_group_size=4)
    path = str(tmp_path / "*.parquet")
    seen = await collect(Stream.from_parquet(path, output=output, batch_rows=7))
    if output == "row":
        assert seen == ROWS
        return
    parts = {
        "rows": lambda x: x,
        "arrow": lambda x: x.to_pylist(),
        "pandas": lambda x: x.to_dict("records"),
        "polars": lambda x: x.to_dicts(),
    }
    assert [row for x in seen for row in parts[output](x)] == ROWS
    assert len(seen) > 2


async def test_columns_are_chosen_and_urls_read(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    write("memory://parquet/x", ROWS)
    seen = await collect(Stream.from_parquet("memory://parquet/*", columns=["a"]))
    assert seen == [{"a": n} for n in range(25)]
    fsspec.filesystem("memory").rm("/parquet", recursive=True)


@pytest.mark.parametrize("output", ["row", "rows"])
async def test_positions_resume_behind_any_element(output: Any, tmp_path: Path) -> None:
    for name, part in (("a", ROWS[:10]), ("b", ROWS[10:])):
        pq.write_table(pa.Table.from_pylist(part), tmp_path / name, row_group_size=4)
    path = str(tmp_path / "?")
    source = Stream.from_parquet(path, output=output, batch_rows=3)
    positions: list[Any] = []
    source.sink(lambda x: positions.append(source.position()))
    seen = await collect(source)
    flat = [row for x in seen for row in (x if output == "rows" else [x])]
    assert flat == ROWS
    done = 0
    for x, position in zip(seen, positions, strict=True):
        done += len(x) if output == "rows" else 1
        again = Stream.from_parquet(path, batch_rows=5)
        again.seek(position)
        assert await collect(again) == ROWS[done:]


async def test_a_file_that_cannot_be_read_goes_to_the_policy(tmp_path: Path) -> None:
    for name in "ac":
        write(tmp_path / name, ROWS[:3])
    (tmp_path / "b").write_bytes(b"no parquet")
    source = Stream.from_parquet(str(tmp_path / "?"))
    failures = source.errors.sink_to_list()
    assert await collect(source) == ROWS[:3] * 2
    assert [f.element for f in failures] == [str(tmp_path / "b")]
    assert "cannot read the file" in str(failures[0].exception)


async def test_files_that_appear_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", ROWS[:3])
    source = Stream.from_parquet(str(tmp_path / "*.parquet"), follow=True, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    write(tmp_path / "b.parquet", ROWS[3:5])
    await asyncio.sleep(1)
    await settle(source.close())
    assert seen == ROWS[:5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "x"}, "output must be 'row' or 'rows'.*, got 'x'"),
        ({"batch_rows": 0}, "batch_rows must be an int >= 1, got 0"),
        ({"path": 5}, "path must be a path or a URL, got 5"),
        ({"follow": 5}, "follow must be a bool, got 5"),
    ],
)
def test_from_parquet_checks_its_arguments(options: Any, message: str) -> None:
    make: Any = Stream.from_parquet
    with pytest.raises((TypeError, ValueError), match=f"from_parquet: {message}"):
        make(**{"path": "x", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codec": "x"}, "codec must be 'snappy' or .*, got 'x'"),
        ({"schema": 5}, "schema must be a pyarrow.Schema, got 5"),
        ({"mode": "a"}, "mode is no option of Parquet files"),
        ({"roll_count": 5}, "path must have {number} for files that roll"),
    ],
)
def test_to_parquet_checks_its_arguments(options: Any, message: str) -> None:
    source: Any = Stream()
    with pytest.raises((TypeError, ValueError), match=f"to_parquet: {message}"):
        source.to_parquet(**{"path": "x", **options})


async def test_a_source_that_was_stopped_continues_and_a_new_file_begins_anew(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    source = Stream.from_parquet(path, batch_rows=4)
    seen = source.sink_to_list()
    source.sink(lambda row: source.stop() if row["a"] % 6 == 5 else None)
    for _ in range(5):
        source.start()
        await settle(source.join())
    assert seen == ROWS
    position = source.position()
    pq.write_table(pa.Table.from_pylist(ROWS[:3]), path)
    again = Stream.from_parquet(path)
    again.seek(position)
    assert await collect(again) == ROWS[:3]
