"""`rapidz.options`: process-wide options. Ruling 31."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

import rapidz
from rapidz.kernel.protocol.options import value_of


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with rapidz.options(pending_failure_log="2s"):
        yield


def test_options_apply_to_the_process_until_they_are_set_again() -> None:
    rapidz.options(pending_failure_log="5 min")
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(value_of("pending_failure_log")))
    thread.start()
    thread.join()
    assert seen == [300.0]
    rapidz.options(pending_failure_log=None)
    assert value_of("pending_failure_log") is None


def test_a_with_block_puts_back_what_was_there_also_after_an_exception() -> None:
    rapidz.options(pending_failure_log=7)
    with contextlib.suppress(KeyError), rapidz.options(pending_failure_log=timedelta(seconds=1)):
        with rapidz.options(pending_failure_log=None):
            assert value_of("pending_failure_log") is None
        assert value_of("pending_failure_log") == 1.0
        raise KeyError
    assert value_of("pending_failure_log") == 7.0


def test_an_object_may_be_entered_again() -> None:
    short = rapidz.options(pending_failure_log=1)
    for _ in range(2):
        with short:
            assert value_of("pending_failure_log") == 1.0
        assert value_of("pending_failure_log") == 2.0


def test_without_arguments_it_shows_the_present_values_and_sets_nothing() -> None:
    now = rapidz.options()
    assert repr(now) == "options(pending_failure_log='2s', unbounded_keys_warning=100000)"
    with rapidz.options(pending_failure_log=1):
        assert now.pending_failure_log == 1
        with now:
            pass
        assert now.pending_failure_log == 1
    assert now.pending_failure_log == "2s"


def test_a_name_that_is_no_option_is_refused_and_nothing_is_set() -> None:
    with pytest.raises(TypeError) as caught:
        rapidz.options(pending_failure_log=9, pending_failure_logs=1)  # type: ignore[call-arg]
    assert str(caught.value) == (
        "options: names must be among pending_failure_log, unbounded_keys_warning, "
        "got pending_failure_logs (did you mean pending_failure_log?)"
    )
    assert value_of("pending_failure_log") == 2.0
    with pytest.raises(TypeError, match=r"got colour$"):
        rapidz.options(colour="red")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        rapidz.options("2s")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("value", "kind"), [("two", ValueError), (-1, ValueError), (True, TypeError), ([], TypeError)]
)
def test_a_bad_value_is_refused_and_nothing_is_set(value: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="options: pending_failure_log must be a number of seconds >= 0"):
        rapidz.options(pending_failure_log=value)
    assert value_of("pending_failure_log") == 2.0


def test_options_is_a_public_name() -> None:
    assert "options" in rapidz.__all__
    assert rapidz.options.__doc__
