"""Event time: watermarks, timers, windows, keyed streams, joins."""
