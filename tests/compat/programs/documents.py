"""Nodes of a beamline: a mixin with document methods, tuned while they run, moved to first.

start run-1
event 4
event 10
stop run-1
first, then second
"""

from rapidz import Stream, move_to_first
from rapidz.core import zip as szip


class Documents:
    def dispatch(self, name, doc):
        return getattr(self, name)(doc)

    def start(self, doc):
        self.uid = doc
        return f"start {doc}"

    def event(self, doc):
        return f"event {self.scale * doc}"

    def stop(self, doc):
        return f"stop {self.uid}"


@Stream.register_api()
class translate(Documents, Stream):
    def __init__(self, upstream, scale, **kwargs):
        self.scale = scale
        Stream.__init__(self, upstream, **kwargs)

    def update(self, x, who=None):
        return self.emit(self.dispatch(*x))


@Stream.register_api()
class untranslate(Stream, Documents):
    """The mixin comes last: `stop` is its own all the same."""

    def update(self, x, who=None):
        name, doc = x.split()
        if name == "stop":
            self.uid = doc
            assert self.stop(doc) == x
        return self._emit(x)


source = Stream()
node = source.translate(2)
node.untranslate().sink(print)
source.emit(("start", "run-1"))
source.emit(("event", 2))
node.scale = 5
source.emit(("event", 2))
source.emit(("stop", None))

order = []
start = Stream()
start.sink(lambda x: order.append("second"))
assert move_to_first(start.sink(lambda x: order.append("first"))) in list(start.downstreams)
szip(start, start).sink(lambda x: None)
start.emit(1)
print(", then ".join(order))
