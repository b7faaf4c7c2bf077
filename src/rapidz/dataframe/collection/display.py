"""Display of collections: text, HTML and notebooks."""

from __future__ import annotations

import html
import importlib
from typing import Any

from rapidz.dataframe.collection.example import Example


class DisplayMixin:
    """Representations of a collection by its example; none changes the collection."""

    _example: Example

    def _converted(self, x: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__} - elements like:\n{self._head()}"

    def _head(self) -> Any:
        example = self._example.get()
        if example is None:
            return "not known yet"
        example = example.head(2) if hasattr(example, "head") else example
        return self._converted(example)

    def _repr_html_(self) -> str:
        head = self._head()
        make = getattr(head, "_repr_html_", None)
        body = f"<pre>{html.escape(str(head))}</pre>" if make is None else make()
        return f"<h5>{type(self).__name__} - elements like</h5>\n{body}"

    def _ipython_display_(self, **kwargs: Any) -> None:
        """Display an example of the elements; the collection does not change."""
        try:
            display = importlib.import_module("IPython.display").display
        except ImportError:
            print(repr(self))
            return
        shown = {"text/plain": repr(self), "text/html": self._repr_html_()}
        display(shown, raw=True, **kwargs)

    def __iter__(self) -> Any:
        raise TypeError(
            f"{type(self).__name__} has no end: it cannot be iterated over; "
            "attach a sink, e.g. collection.stream.sink_to_list()"
        )
