"""HTTP to Parquet: request pages at a limited rate, try again what fails, write columns.

Run it as ``rapidz run http_to_parquet.py:main -- https://example.org/readings 100 readings``, for
pages 1 to 100 of a service that answers with a JSON array.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tornado.httpclient import AsyncHTTPClient

import rapidz
from rapidz import Failure, Retry, Stream


def pipeline(url: str, pages: int, folder: str) -> Stream[Any]:
    failed = Stream[Failure](stream_name="failed")
    failed.map(describe).sink(print, file=sys.stderr)

    urls = Stream.from_iterable([f"{url}?page={page}" for page in range(1, pages + 1)])
    answers = urls.rate_limit("50ms").map_async(fetch, parallelism=4)  # 20 a second
    answers.on_error(Retry(times=4, wait="50ms", then=failed))
    rows = answers.flatten()
    rows.to_parquet(f"{folder}/{{key}}-{{number}}.parquet", key="day", batch=10_000)
    return urls


async def fetch(url: str) -> list[dict[str, Any]]:
    answer = await AsyncHTTPClient().fetch(url, request_timeout=10)
    rows: list[dict[str, Any]] = json.loads(answer.body)
    return rows


def describe(failure: Failure) -> str:
    return f"{failure.element}: {failure.exception} ({failure.attempts} attempts)"


def main() -> Stream[Any]:
    url, pages, folder = sys.argv[1:]
    return pipeline(url, int(pages), folder)


if __name__ == "__main__":
    rapidz.run(main())
