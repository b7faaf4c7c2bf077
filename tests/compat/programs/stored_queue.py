"""A buffer whose queue is stored elsewhere: a plug-in sets its own, and takes from it.

stored [1, 2, 3]
delivered [1, 2, 3]
"""

import asyncio

from tornado.queues import Queue

from rapidz import RefCounter, Stream
from rapidz.core import buffer
from rapidz.sources import RefCounter as same_counter


class stored(Queue):
    """A queue that says what it has been given."""

    given = []

    def put(self, item, timeout=None):
        self.given.append(item[0])
        return super().put(item, timeout)


@Stream.register_api()
class stored_buffer(buffer):
    def __init__(self, upstream, n, **kwargs):
        super().__init__(upstream, n, **kwargs)
        self.queue = stored(n)
        self.loop.add_callback(self.carry)

    def update(self, x, who=None, metadata=None):
        self._retain_refs(metadata)
        return self.queue.put((x, metadata))

    async def carry(self):
        while True:
            x, metadata = await self.queue.get()
            await asyncio.gather(*self._emit(x, metadata))
            self._release_refs(metadata)


async def main():
    assert RefCounter is same_counter
    source = Stream(asynchronous=True)
    delivered = source.stored_buffer(2).sink_to_list()
    for x in (1, 2, 3):
        await source.emit(x, metadata=[{"ref": RefCounter()}])
    while len(delivered) < 3:
        await asyncio.sleep(0.001)
    print("stored", stored.given)
    print("delivered", delivered)


asyncio.run(main())
