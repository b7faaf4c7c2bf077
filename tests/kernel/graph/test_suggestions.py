"""Errors of missing methods suggest close names, and do not hide other errors."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from rapidz import Stream

cls: Any = Stream


@pytest.mark.parametrize(
    ("get", "message"),
    [
        (lambda: cls.from_kafak, "Stream has no attribute 'from_kafak'; did you mean from_kafka"),
        (lambda: cls().to_kafak, "Stream has no attribute 'to_kafak'; did you mean to_kafka"),
        (lambda: cls.from_textfil, "did you mean from_textfile"),
        (lambda: cls().to_zzzzzzzzzzzzzzzzzzzzzzzzzzz, "see `rapidz.connectors.CONNECTORS`"),
        (lambda: cls.zzzzzzzzzzzzz, "^Stream has no attribute 'zzzzzzzzzzzzz'$"),
    ],
)
def test_a_missing_method_suggests_close_names(get: Any, message: str) -> None:
    with pytest.raises(AttributeError, match=message) as caught:
        get()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_property_that_fails_says_why() -> None:
    class odd(Stream[Any]):
        @property
        def to_x(self) -> Any:
            raise AttributeError("the reason")

    with pytest.raises(AttributeError, match="the reason"):
        odd().to_x
    assert not hasattr(odd(), "to_y")
