"""Crawler with a feedback edge: the links of each page return to the stream of pages.

Output::

    / -> /guide, /about
    /guide -> /, /guide/start
    /guide/start -> /guide
    /about -> /lost
    4 pages, 1 broken link: /lost
"""

from __future__ import annotations

from rapidz import Stream

SITE = {
    "/": ["/guide", "/about"],
    "/guide": ["/", "/guide/start"],
    "/guide/start": ["/guide"],
    "/about": ["/lost"],
}


def main() -> None:
    urls = Stream[str](stream_name="urls")
    new = urls.unique()  # without it, the first cycle of links would never end

    found = new.filter(SITE.__contains__)
    broken = new.remove(SITE.__contains__).sink_to_list()

    pages = found.map(lambda url: (url, SITE[url]))
    visited = pages.starmap(lambda url, links: f"{url} -> {', '.join(links)}")
    visited.sink(print)
    seen = visited.sink_to_list()

    links = pages.pluck(1).flatten()
    links.connect(urls)  # the feedback

    urls.emit("/")
    print(f"{len(seen)} pages, {len(broken)} broken link: {', '.join(broken)}")


if __name__ == "__main__":
    main()
