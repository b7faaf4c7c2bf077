"""Merge of sessions: those of new rows with those that are open."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.types import Bools, Ints

__all__ = ["Merged", "Sessions", "merge"]


class Sessions(NamedTuple):
    """Sessions by code: the key, the first and the last time of each."""

    keys: Ints
    first: Ints
    last: Ints

    def select(self, codes: Ints) -> Sessions:
        """Return some of them."""
        return Sessions(*(column[codes] for column in self))


class Merged(NamedTuple):
    """What becomes of sessions when rows arrive."""

    sessions: Sessions
    """All sessions from now on: those that were open under their codes, then new ones."""
    live: Bools
    """Which of them there are: one that another one has absorbed is not."""
    codes: Ints
    """The session of each row, -1 if it is late."""
    absorbed: Ints | None
    """The session that each one belongs to from now on, None if no session absorbed another."""


def merge(known: Sessions, keys: Ints, times: Ints, gap: int, watermark: int) -> Merged:
    """Merge rows with the sessions that are open.

    Two rows of a key are of one session if less than *gap* lies between them, or if a chain of
    such rows does.  A row is late if its session would have ended by the watermark.

    >>> none = np.empty(0, np.int64)
    >>> first = merge(Sessions(none, none, none), np.array([0, 0]), np.array([5, 20]), 10, 0)
    >>> first.codes, first.sessions.last
    (array([0, 1]), array([ 5, 20]))
    >>> bridge = merge(first.sessions, np.array([0]), np.array([12]), 10, 0)
    >>> bridge.codes, bridge.live, bridge.absorbed, bridge.sessions.last[0]
    (array([0]), array([ True, False]), array([0, 0]), np.int64(20))
    """
    runs, run_of_row = _runs(keys, times, gap)
    before = len(known.keys)
    key, first, last = (np.concatenate(pair) for pair in zip(known, runs, strict=True))
    order = np.lexsort((first, key))
    key, first, last = key[order], first[order], last[order]
    furthest = pd.Series(last).groupby(key).cummax().to_numpy()
    starts = np.ones(len(key), bool)
    starts[1:] = (key[1:] != key[:-1]) | (first[1:] - furthest[:-1] >= gap)
    at = np.flatnonzero(starts)
    whole = Sessions(key[at], first[at], np.maximum.reduceat(last, at) if len(at) else last)
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(starts) - 1
    return _coded(known, whole, group[:before], group[before:][run_of_row], gap, watermark)


def _runs(keys: Ints, times: Ints, gap: int) -> tuple[Sessions, Ints]:
    """Return the sessions of the rows alone, and that of each row."""
    order = np.lexsort((times, keys))
    key, time = keys[order], times[order]
    starts = np.ones(len(key), bool)
    starts[1:] = (key[1:] != key[:-1]) | (time[1:] - time[:-1] >= gap)
    at = np.flatnonzero(starts)
    run_of_row = np.empty(len(order), np.int64)
    run_of_row[order] = np.cumsum(starts) - 1
    ends = np.append(at[1:], len(order)) - 1
    return Sessions(key[at], time[at], time[ends]), run_of_row


def _coded(
    known: Sessions, whole: Sessions, of_known: Ints, of_row: Ints, gap: int, watermark: int
) -> Merged:
    """Give merged sessions their codes: that of the oldest one in them, or the next."""
    before = len(known.keys)
    code = np.full(len(whole.keys), -1, np.int64)
    code[of_known[::-1]] = np.arange(before - 1, -1, -1)
    absorbed = code[of_known]
    # A session that was open ends after the watermark, whatever it has absorbed.
    late = (code < 0) & (whole.last + gap <= watermark)
    # New ones in order of arrival.
    arrival = np.full(len(whole.keys), len(of_row), np.int64)
    arrival[of_row[::-1]] = np.arange(len(of_row) - 1, -1, -1)
    fresh = np.flatnonzero((code < 0) & ~late)
    fresh = fresh[np.argsort(arrival[fresh])]
    code[fresh] = np.arange(before, before + len(fresh))
    size = before + len(fresh)
    sessions = Sessions(*(np.zeros(size, np.int64) for _ in range(3)))
    for column, old, new in zip(sessions, known, whole, strict=True):
        column[:before] = old
        column[code[~late]] = new[~late]
    live = np.ones(size, bool)
    live[:before] = absorbed == np.arange(before)
    merged = None if live.all() else np.append(absorbed, np.arange(before, size))
    return Merged(sessions, live, code[of_row], merged)
