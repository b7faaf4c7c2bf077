"""Pipelines written apart and linked by name; one part only attaches sinks.

scaled 10
raw 1
scaled 20
raw 2
"""

from rapidz import Stream
from rapidz.link import link


def calibrate(raw, factor=10, **kwargs):
    scaled = raw.map(lambda x: factor * x)
    return locals()


def show(raw, scaled, **kwargs):
    raw.sink(lambda x: print("raw", x))
    scaled.sink(lambda x: print("scaled", x))


def ordered(raw, **kwargs):
    source = Stream()
    source.map(lambda x: x).connect(raw)
    return {"entry": source}


space = link(ordered, lambda raw, **kwargs: None, calibrate, raw=Stream())
link(show, **space)
for x in (1, 2):
    space["entry"].emit(x)
