"""Sessions of at most some length: cut at the same places whatever the order of arrival."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, ClassVar

from rapidz.eventtime.windows.fold import Fold
from rapidz.eventtime.windows.session import Session, session_window
from rapidz.eventtime.windows.session_state import SessionState
from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.runtime.tracked_element import unbox

#: An element of a session: its instant, its place in the order of arrival, itself, its timestamp.
Row = tuple[int, int, Any, Any]


class ElementFold(Fold):
    """Fold that keeps the elements, and folds those of a piece when it leaves.

    Where a session is cut is known when its first element is.
    """

    def __init__(self, fold: Fold, to_ns: Any) -> None:
        self._fold, self._to_ns = fold, to_ns
        self._count = 0

    def add(self, states: dict[Any, Any], key: Any, x: Any, ts: Any) -> None:
        self._fold.add({}, key, x, ts)  # fails now if it ever will
        self._count += 1
        states.setdefault(key, []).append((self._to_ns(ts), self._count, x, ts))

    def check(self, x: Any) -> None:
        self._fold.check(x)

    def merge(self, a: Any, b: Any) -> Any:
        return [*a, *b]

    def results(self, states: Iterable[Any]) -> Iterable[Any]:
        return map(self._folded, states)

    def _folded(self, rows: list[Row]) -> Any:
        states: dict[Any, Any] = {}
        for _, _, x, ts in sorted(rows, key=itemgetter(1)):
            self._fold.add(states, None, x, ts)
        return self._fold.result(states[None])


class bounded_session_window(session_window):
    """Sessions that are cut a length after their first element, and again after the next one.

    A piece leaves when the watermark passes the cut, so elements older than the watermark
    are late.

    Parameters
    ----------
    longest : int
        In nanoseconds.
    """

    _needs_local_elements: ClassVar[bool] = True

    def __init__(self, *args: Any, longest: int, **kwargs: Any) -> None:
        self._longest = longest
        super().__init__(*args, **kwargs)
        self._fold = ElementFold(self._fold, self._domain.to_ns)

    def _can_inline(self) -> bool:
        return False

    def _take(self, x: Any, ts: Any, key: Any) -> Pending:
        t, reached = self._domain.to_ns(ts), self._clock.caught_up()
        if t < reached:
            return self._send_late(unbox(x), reached - t, self._domain, ((t, t + self._gap),))
        return super()._take(x, ts, key)

    def _watch(self, session: Session, when: int) -> None:
        super()._watch(session, min(when, self._domain.to_ns(session.start) + self._longest))

    def _find_over(self, sessions: list[Session], t: int) -> list[tuple[int, int, Session]]:
        over: list[tuple[int, int, Session]] = []
        for session in sessions:
            if session.closed:
                self._drop(session)
            else:
                over += self._pieces(session, t)
        return over

    def _pieces(self, session: Session, t: int) -> list[tuple[int, int, Session]]:
        """Return the pieces of *session* that are complete at *t*; it stays as the rest."""
        rows: list[Row] = sorted(session.state, key=itemgetter(0, 1))
        from_ns, pieces = self._domain.from_ns, []
        while rows:
            cut = rows[0][0] + self._longest
            within = [row for row in rows if row[0] < cut]
            end = min(within[-1][0] + self._gap, cut)
            if end > t:
                break
            rows = rows[len(within) :]
            piece = session
            if rows:
                piece = Session(session.key, session.number, within[0][3], None)
                piece.gone = True
            piece.start, piece.last, piece.end = within[0][3], within[-1][3], from_ns(end)
            piece.state = within
            pieces.append((end, session.number, piece))
        if rows:
            session.start, session.state = rows[0][3], rows
            session.emitted, session.finals, session.due = False, 0, None
            self._watch(session, rows[-1][0] + self._gap)
        return pieces

    def _restore(self, state: SessionState) -> None:
        super()._restore(state)
        rows = [row for session in self._all() for row in session.state]
        self._fold._count = max((row[1] for row in rows), default=0)  # type: ignore[attr-defined]
