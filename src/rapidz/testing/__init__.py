"""Testing of pipelines: virtual time, timestamped records, equivalence, and a pytest plug-in.

The plug-in is part of the package. With `rapidz_virtual_time = true` in pytest's configuration, or
the marker `virtual_time`, `async def` tests run in virtual time; the fixtures are `virtual_loop`,
`virtual_background` and `no_leaks`.
"""

from __future__ import annotations

from rapidz.testing.background import VirtualBackground, virtual_background
from rapidz.testing.conformance import check_operator
from rapidz.testing.equivalence import assert_equivalent
from rapidz.testing.loop import Deadlock, LeftBehindWarning, VirtualLoop, run
from rapidz.testing.recording import record

__all__ = [
    "Deadlock",
    "LeftBehindWarning",
    "VirtualBackground",
    "VirtualLoop",
    "assert_equivalent",
    "check_operator",
    "record",
    "run",
    "virtual_background",
]
