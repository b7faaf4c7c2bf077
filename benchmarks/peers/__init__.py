"""Peers: the same windows by event time in bytewax, pathway and Quix Streams.

Each program does its work in a process of its own, on the same data.  The peers come from PyPI
(``pip install -e '.[bench-peers]'``, Python up to 3.12) and are no part of CI.
"""
