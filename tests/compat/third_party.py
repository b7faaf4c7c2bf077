# mypy: ignore-errors
# pyright: basic, reportAttributeAccessIssue=false
# ruff: noqa: UP008, UP032
"""Node classes as people outside write them, in both old manners; untyped on purpose.

The first manner knows ``update(self, x, who=None)`` and ``_emit(self, x)``; the
second one carries ``metadata`` as well.  Nothing here knows how the engine works.
"""

import asyncio
from collections import deque

from tornado import gen

from rapidz import Stream
from rapidz.core import accumulate, combine_latest, filter, map, zip
from rapidz.sinks import Sink
from rapidz.sources import Source, from_iterable

# ---------------------------------------------------------------- the first manner


class add_offset(Stream):
    def __init__(self, upstream=None, offset=1, **kwargs):
        self.offset = offset
        Stream.__init__(self, upstream, **kwargs)

    def update(self, x, who=None):
        return self._emit(x + self.offset)


class who_must_come(Stream):
    """Has no default for who."""

    def update(self, x, who):
        return self._emit((self.upstreams.index(who), x))


class tagged_inputs(Stream):
    """Two inputs told apart by who."""

    def __init__(self, left, right, **kwargs):
        self.left = left
        self.right = right
        Stream.__init__(self, upstreams=[left, right], **kwargs)

    def update(self, x, who=None):
        if who is self.left:
            return self._emit(("left", x))
        if who is self.right:
            return self._emit(("right", x))
        raise ValueError("who is it? {!r}".format(who))


class drops_odd(Stream):
    """Returns None now and then."""

    def update(self, x, who=None):
        if x % 2 == 0:
            return self._emit(x)


class refuses_negatives(Stream):
    def update(self, x, who=None):
        if x < 0:
            raise ValueError(x)
        return self._emit(x)


class forgets_to_return(Stream):
    def update(self, x, who=None):
        self._emit(x)


class expand(Stream):
    """Several elements for one: a list of lists."""

    def update(self, x, who=None):
        return [self._emit(item) for item in x]


class loops_inward(Stream):
    """Emits on itself instead of passing on."""

    def update(self, x, who=None):
        for item in x:
            self.emit(item)


class document_router(Stream):
    """Methods named after documents shadow the ones of Stream."""

    def __init__(self, upstream, **kwargs):
        Stream.__init__(self, upstream, **kwargs)
        self.descriptors = 0

    def update(self, x, who=None):
        name, doc = x
        return self._emit((name, getattr(self, name if name != "start" else "start_doc")(doc)))

    def start_doc(self, doc):
        self.start = doc
        return doc

    def descriptor(self, doc):
        self.descriptors += 1
        return {"start": self.start, **doc}

    def event(self, doc):
        return doc

    def stop(self, doc):
        return {"exit": doc}


class picks_its_update(Stream):
    """The update is an attribute of the instance, and changes."""

    def __init__(self, upstream, **kwargs):
        Stream.__init__(self, upstream, **kwargs)
        self.update = self._first

    def _first(self, x, who=None):
        self.update = self._later
        return self._emit(("first", x))

    def _later(self, x, who=None):
        return self._emit(("later", x))


class waits_a_moment(Stream):
    def __init__(self, upstream, seconds=1.0, **kwargs):
        self.seconds = seconds
        Stream.__init__(self, upstream, **kwargs)

    @gen.coroutine
    def update(self, x, who=None):
        yield gen.sleep(self.seconds)
        yield self._emit(x)


class loud(Stream):
    """Overrides _emit without metadata."""

    def update(self, x, who=None):
        return self._emit(x)

    def _emit(self, x):
        return Stream._emit(self, (x, "!"))


class counted_entrance(Stream):
    """Overrides emit without metadata."""

    entered = 0

    def emit(self, x, asynchronous=False):
        self.entered += 1
        return super(counted_entrance, self).emit(x, asynchronous=asynchronous)


# --------------------------------------------------------------- the second manner


class double_it(Stream):
    def update(self, x, who=None, metadata=None):
        self.metadata_seen = metadata
        return self._emit(2 * x, metadata=metadata)


class swapped_arguments(Stream):
    """metadata comes before who."""

    def update(self, x, metadata=None, who=None):
        assert isinstance(metadata, list)
        assert isinstance(who, Stream)
        return self._emit(x, metadata)


class any_keywords(Stream):
    def update(self, x, **kwargs):
        self.keywords = kwargs
        return self._emit(x, metadata=kwargs["metadata"])


class sleeps_first(Stream):
    def __init__(self, upstream, seconds=1.0, **kwargs):
        self.seconds = seconds
        super().__init__(upstream, **kwargs)

    async def update(self, x, who=None, metadata=None):
        await asyncio.sleep(self.seconds)
        waits = self._emit(x, metadata=metadata)
        await asyncio.gather(*waits)


class yields_first(Stream):
    @gen.coroutine
    def update(self, x, who=None, metadata=None):
        yield gen.sleep(1.0)
        yield self._emit(x, metadata=metadata)


class returns_a_future(Stream):
    def update(self, x, who=None, metadata=None):
        waits = self._emit(x, metadata=metadata)
        return asyncio.ensure_future(self.later(waits))

    async def later(self, waits):
        await asyncio.sleep(1.0)
        if waits:
            await asyncio.gather(*waits)


class nested_waits(Stream):
    """Awaitables, lists of them, lists of lists and None between."""

    def update(self, x, who=None, metadata=None):
        return [None, gen.sleep(1.0), [self._emit(x, metadata=metadata), [gen.sleep(2.0), None]]]


class keeps_two(Stream):
    """Holds elements back, and their references with them."""

    def __init__(self, upstream, **kwargs):
        self.held = []
        self.held_metadata = []
        super().__init__(upstream, **kwargs)

    def update(self, x, who=None, metadata=None):
        self._retain_refs(metadata)
        self.held.append(x)
        self.held_metadata.extend(metadata)  # pyright: ignore
        if len(self.held) < 2:
            return None
        batch, self.held = tuple(self.held), []
        references, self.held_metadata = self.held_metadata, []
        waits = self._emit(batch, references)
        self._release_refs(references)
        return waits


class sees_all_that_leaves(Stream):
    def __init__(self, *args, **kwargs):
        self.left = []
        super().__init__(*args, **kwargs)

    def update(self, x, who=None, metadata=None):
        return self._emit(x, metadata=metadata)

    def _emit(self, x, metadata=None):
        self.left.append((x, metadata))
        return super()._emit(x, metadata=metadata)


# ------------------------------------------------------- subclasses of the built-in


class labelled_zip(zip):
    """As the aligning nodes at beamlines: sees each element before zip does."""

    def __init__(self, *upstreams, **kwargs):
        self.arrived = []
        zip.__init__(self, *upstreams, **kwargs)

    def update(self, x, who=None):
        self.arrived.append((self.upstreams.index(who), x))
        return zip.update(self, x, who)


class zip_to_list(zip):
    """_emit without metadata below a built-in update."""

    def _emit(self, x):
        return zip._emit(self, list(x))


class zip_that_starts_over(zip):
    """Swaps buffers and literals when the word "start" comes."""

    def update(self, x, who=None):
        if x == "start":
            self.buffers = {upstream: deque() for upstream in self.buffers}
            self.literals = [(i, "new") for i, _ in self.literals]
            return None
        return super().update(x, who)


class counting_map(map):
    calls = 0

    def update(self, x, who=None):
        self.calls += 1
        return super(counting_map, self).update(x, who)


class counting_map_with_metadata(map):
    calls = 0

    def update(self, x, who=None, metadata=None):
        self.calls += 1
        return super().update(x, who=who, metadata=metadata)


class map_emits_twice(map):
    def _emit(self, x):
        return [super(map_emits_twice, self)._emit(x), super(map_emits_twice, self)._emit(x)]


class capped_total(accumulate):
    """Starts over at a cap, by hand."""

    def __init__(self, upstream, func, cap=10, **kwargs):
        self.cap = cap
        accumulate.__init__(self, upstream, func, **kwargs)

    def update(self, x, who=None):
        if self.state >= self.cap:
            self.state = 0
        return accumulate.update(self, x, who)


class filter_or_fallback(filter):
    def update(self, x, who=None):
        if self.predicate(x, *self.args, **self.kwargs):
            return super().update(x, who)
        return self._emit(None)


class newest_of_all(combine_latest):
    def update(self, x, who=None):
        if x is None:
            self.last[self.upstreams.index(who)] = None
            self.missing.add(who)
            return []
        return super().update(x, who)


class grows(Stream):
    """Takes any number of inputs, and keeps a book on them."""

    def __init__(self, *upstreams, **kwargs):
        self.inputs = list(upstreams)
        super().__init__(upstreams=upstreams, **kwargs)

    def _add_upstream(self, upstream):
        self.inputs.append(upstream)
        super()._add_upstream(upstream)

    def _remove_upstream(self, upstream):
        self.inputs.remove(upstream)
        super()._remove_upstream(upstream)

    def update(self, x, who=None, metadata=None):
        return self._emit((self.inputs.index(who), x), metadata=metadata)


class keeps_book_of_outputs(Stream):
    def __init__(self, *args, **kwargs):
        self.outputs = []
        super().__init__(*args, **kwargs)

    def _add_downstream(self, downstream):
        self.outputs.append(downstream)
        super()._add_downstream(downstream)

    def _remove_downstream(self, downstream):
        self.outputs.remove(downstream)
        super()._remove_downstream(downstream)

    def update(self, x, who=None, metadata=None):
        return self._emit(x, metadata=metadata)


# ---------------------------------------------- pipelines to link, as locals come and go


def doubles(raw, **kwargs):
    doubled = raw.map(lambda x: 2 * x)
    return locals()


def ends(doubled, **kwargs):
    end = doubled.sink_to_list()
    return locals()


# ------------------------------------------------------------------ sources, sinks


class polled_device(Source):
    """The first manner: no start= and no run; the constructor asks for a loop."""

    def __init__(self, readings, poll_interval=0.5, **kwargs):
        self.readings = list(readings)
        self.poll_interval = poll_interval
        self.stopped = True
        super(polled_device, self).__init__(ensure_io_loop=True, **kwargs)

    @gen.coroutine
    def do_poll(self):
        while self.readings and not self.stopped:
            yield self._emit(self.readings.pop(0))
            yield gen.sleep(self.poll_interval)

    def start(self):
        if self.stopped:
            self.stopped = False
            self.loop.add_callback(self.do_poll)  # pyright: ignore


class counts_up(Source):
    """The second manner, one turn at a time."""

    def __init__(self, limit, **kwargs):
        self.count = 0
        self.limit = limit
        super().__init__(**kwargs)

    async def _run(self):
        self.count += 1
        await asyncio.gather(*self._emit(self.count))
        if self.count >= self.limit:
            self.stop()
        else:
            await asyncio.sleep(1.0)


class all_at_once(Source):
    """The second manner, the whole run."""

    def __init__(self, items, **kwargs):
        self.items = items
        super().__init__(**kwargs)

    async def run(self):
        for item in self.items:
            await self.emit(item, asynchronous=True)


class all_at_once_in_tornado(all_at_once):
    @gen.coroutine
    def run(self):
        for item in self.items:
            yield self.emit(item, asynchronous=True)


class watched_iterable(from_iterable):
    def __init__(self, iterable, **kwargs):
        self.left = []
        super().__init__(iterable, **kwargs)

    def _emit(self, x, metadata=None):
        self.left.append(x)
        return super()._emit(x, metadata=metadata)


class list_sink(Sink):
    def __init__(self, upstream, into, **kwargs):
        self.into = into
        self.closed = 0
        super().__init__(upstream, **kwargs)

    def update(self, x, who=None, metadata=None):
        self.into.append(x)

    def destroy(self):
        self.closed += 1
        super().destroy()


class old_list_sink(Sink):
    """The first manner."""

    def __init__(self, upstream, into, **kwargs):
        self.into = into
        Sink.__init__(self, upstream, **kwargs)

    def update(self, x, who=None):
        self.into.append(x)


class has_a_label:
    """A mixin that takes its own keyword and hands the rest on."""

    def __init__(self, *args, label=None, **kwargs):
        self.label = label
        super().__init__(*args, **kwargs)


class labelled_sink(has_a_label, list_sink):
    pass


class labelled_source(has_a_label, all_at_once):
    pass


class labelled_node(has_a_label, double_it):
    pass


class ends_in_a_mixin:
    """A mixin behind the node in the order of resolution."""

    def describe(self):
        return type(self).__name__


class described_sink(list_sink, ends_in_a_mixin):
    pass
