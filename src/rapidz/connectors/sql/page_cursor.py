"""Page cursor: the rows of a page as elements, and the position behind those that were taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from operator import length_hint
from typing import Any, TypeAlias

from rapidz.connectors.sql.readers import Page, Row
from rapidz.connectors.sql.selection import Key

#: A row that cannot be decoded, and why.
Refusal: TypeAlias = tuple[dict[str, Any], Exception]


class PageCursor:
    """Iterates over the rows of one page, once.

    Parameters
    ----------
    page : Page
        The rows, all those with equal keys among them.
    names : list of str
        The columns.
    key_of : callable
        Returns the key of a row.
    before : tuple, optional
        The position before the first row.
    """

    def __init__(
        self, page: Page, names: list[str], key_of: Callable[[Row], Key], before: Key | None
    ) -> None:
        self._page, self._names, self._key_of, self._before = page, names, key_of, before
        self._left = iter(page.rows)
        self.refusal: Refusal | None = None
        """The row behind which `decoded` has ended."""

    def position(self) -> Key | None:
        """Return the key of the last row that was taken, and all others with its key."""
        rows, key_of = self._page.rows, self._key_of
        taken = len(rows) - length_hint(self._left)
        while taken:
            key = key_of(rows[taken - 1])
            if taken == len(rows) or key_of(rows[taken]) != key:
                return key
            taken -= 1
        return self._before

    def elements(self, make: Callable[..., Any] | None) -> Iterator[Any]:
        """Return an iterator over the elements, up to the first row that is refused."""
        self.refusal = None
        if make is None and not self._page.broken:
            return map(dict, map(zip, repeat(self._names), self._left))
        return self._decoded(make)

    def _decoded(self, make: Callable[..., Any] | None) -> Iterator[Any]:
        page, names = self._page, self._names
        for row in self._left:
            number = len(page.rows) - length_hint(self._left) - 1
            values: dict[str, Any] = dict(zip(names, row, strict=True))
            try:
                if (broken := page.broken.get(number)) is not None:
                    raise next(iter(broken.values()))
                x = values if make is None else make(**values)
            except Exception as error:
                self.refusal = values, error
                return
            yield x
