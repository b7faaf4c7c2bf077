"""asynchronous=True, but emitted into before any loop runs; nodes with async updates.

['1', '2']
[10, 20]
[1, 2, 3]
"""

import asyncio

from tornado import gen

from rapidz import Stream


class text(Stream):
    def update(self, x, who=None, metadata=None):
        return self._emit(str(x), metadata=metadata)


source = Stream(asynchronous=True)
seen = text(source).sink_to_list()
source.emit(1)
source.emit(2)
print(seen)


class slow(Stream):
    @gen.coroutine
    def update(self, x, who=None):
        yield gen.sleep(0.001)
        for wait in self._emit(10 * x):
            yield wait


plain = Stream()
tens = slow(plain).sink_to_list()
for x in (1, 2):
    plain.emit(x)
print(tens)


class slower(Stream):
    async def update(self, x, who=None):
        await asyncio.sleep(0.001)
        await asyncio.gather(*self._emit(x))


async def main():
    source = Stream(asynchronous=True)
    seen = slower(source).sink_to_list()
    for x in (1, 2, 3):
        await source.emit(x)
    return seen


print(asyncio.run(main()))
