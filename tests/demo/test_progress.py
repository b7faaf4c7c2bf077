from __future__ import annotations

import io

from rapidz.demo.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_file_gets_a_plain_line_each_quarter() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, lambda count: count / 1000, every=10, clock=clock)
    for _ in range(99):
        clock.now += 0.01
        progress.advance()
    clock.now = 102.0
    assert progress.finish(995) == 2.0
    assert out.getvalue().splitlines() == [
        " 25%        250 flights      1,000 flights/s",
        " 50%        500 flights      1,000 flights/s",
        " 75%        750 flights      1,000 flights/s",
        "100%        995 flights        498 flights/s",
    ]


def test_a_jump_over_two_quarters_is_one_line() -> None:
    out = io.StringIO()
    progress = Progress(out, lambda count: count / 10, every=6, clock=Clock())
    progress.advance()
    assert len(out.getvalue().splitlines()) == 1


def test_a_terminal_has_its_line_redrawn_at_most_ten_times_a_second() -> None:
    out, clock = Terminal(), Clock()
    progress = Progress(out, lambda count: count / 2000, every=1, clock=clock)
    for _ in range(2000):
        progress.advance()
        clock.now += 0.0005
    progress.finish(2000)
    drawn = out.getvalue()
    assert 10 <= drawn.count("\r") <= 12
    assert drawn.count("\n") == 1
    assert drawn.endswith("\r100%      2,000 flights      2,000 flights/s\n")


def test_nowhere_to_write_still_measures() -> None:
    clock = Clock()
    progress = Progress(None, lambda count: 0.0, clock=clock)
    progress.advance()
    clock.now += 3
    assert progress.finish(1) == 3.0
