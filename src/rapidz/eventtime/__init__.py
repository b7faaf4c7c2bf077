"""Event time: watermarks, timers, windows, keyed streams, joins."""

from __future__ import annotations

#: Name of each operator → the module of this package that defines it, imported at the first call.
OPERATORS = {
    "event_time": "event_time",
    "timestamps": "event_time",
    "tumbling": "windows.definition",
    "sliding": "windows.definition",
    "session": "windows.definition",
    "key_by": "keyed.key_by",
    "process": "keyed.process",
    "interval_join": "joins.interval",
    "asof_join": "joins.asof",
    "lookup": "joins.lookup",
    "held_by": "explain",
    "why_open": "explain",
}
