"""Exit statuses of the commands."""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
#: Added to the number of the signal that has ended the program, as shells do.
SIGNALLED = 128
INTERRUPTED = SIGNALLED + 2
