"""Files of text, CSV and JSON lines: read into a map and a sink, and written in batches."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.sides import new_stream

REACH = Reach("ratio", 1.11)  # 0.9 times as fast
NAMES = ["id", "name", "value", "ok"]


def row(n: int) -> dict[str, Any]:
    return {"id": n, "name": f"sensor-{n % 100}", "value": n / 2, "ok": True}


def line(n: int) -> str:
    return f"line number {n} with some text in it, as logs have"


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def encode_json() -> Callable[[Any], bytes]:
    encode: Callable[[Any], bytes] = import_module("msgspec").json.Encoder().encode
    return encode


def write_text(path: Path, elements: Iterable[str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        for x in elements:
            file.write(x + "\n")


def write_json(path: Path, elements: Iterable[Any]) -> None:
    encode = encode_json()
    with path.open("ab") as file:
        for x in elements:
            file.write(encode(x) + b"\n")


def write_csv(path: Path, elements: Iterable[Any]) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, NAMES, lineterminator="\n")
        writer.writeheader()
        for x in elements:
            writer.writerow(x)


def read_text(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from file


def read_json(path: Path) -> Iterator[Any]:
    decode = import_module("msgspec").json.Decoder().decode
    with path.open("rb") as file:
        for x in file:
            yield decode(x)


def read_csv(path: Path) -> Iterator[Any]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


FORMATS: dict[str, tuple[Callable[[int], Any], Any, Any, Callable[[Any], Any]]] = {
    "textfile": (line, write_text, read_text, len),
    "csv": (row, write_csv, read_csv, itemgetter("value")),
    "jsonlines": (row, write_json, read_json, itemgetter("value")),
}


@cache
def file_of(form: str, n: int) -> Path:
    """Return a file with *n* elements."""
    make, write, _, _ = FORMATS[form]
    path = Path(folder().name, f"{form}-{n}")
    write(path, map(make, range(n)))
    return path


def read_by_hand(form: str) -> Side:
    _, _, read, func = FORMATS[form]

    def run(n: int) -> Sample:
        path, out = file_of(form, n), list[object]()
        append = out.append
        with Watch() as watch:
            for x in read(path):
                append(func(x))
        return Sample(watch.ns, out)

    return Side("by hand", run, needs="msgspec" if form == "jsonlines" else "")


def read_by_source(form: str) -> Side:
    func = FORMATS[form][3]

    def run(n: int) -> Sample:
        path, out = file_of(form, n), list[object]()
        source = getattr(new_stream("rapidz"), f"from_{form}")(path, follow=False)
        source.map(func).sink(out.append)
        with Watch() as watch:
            source.start()
            source.join()
        source.close()
        return Sample(watch.ns, out)

    return Side("rapidz", run, needs="msgspec" if form == "jsonlines" else "")


def written(n: int, form: str, write: Callable[[Path, list[Any]], None]) -> Sample:
    elements = [FORMATS[form][0](i) for i in range(n)]
    path = Path(folder().name, "out")
    with Watch() as watch:
        write(path, elements)
    outcome = [FORMATS[form][3](x) for x in FORMATS[form][2](path)]
    path.unlink()
    return Sample(watch.ns, outcome)


def write_by_hand(form: str) -> Side:
    needs = "msgspec" if form == "jsonlines" else ""
    return Side("by hand", lambda n: written(n, form, FORMATS[form][1]), needs=needs)


def write_by_sink(form: str) -> Side:
    def write(path: Path, elements: list[Any]) -> None:
        with new_stream("rapidz") as source:
            getattr(source, f"to_{form}")(path, batch=1000)
            source.emit_many(elements)

    needs = "msgspec" if form == "jsonlines" else ""
    return Side("rapidz", lambda n: written(n, form, write), needs=needs)


READ_ROWS = tuple(
    Row(
        name=f"from_{form}",
        what=f"`from_{form}`, map, sink, on the background loop; against the loop over the file",
        n=100_000,
        reach=REACH,
        baseline=read_by_hand(form),
        rapidz=read_by_source(form),
    )
    for form in FORMATS
)
WRITE_ROWS = tuple(
    Row(
        name=f"to_{form}",
        what=f"`emit_many` into `to_{form}(batch=1000)`; against the loop that writes",
        n=100_000,
        reach=REACH,
        baseline=write_by_hand(form),
        rapidz=write_by_sink(form),
    )
    for form in FORMATS
)
