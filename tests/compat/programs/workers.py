"""Scattered pipelines of 0.2: a client by a callable, a node that submits, pairs by position.

[2, 3, 4]
True
[10, 20]
[(0, 0), (2, 1), (4, 2)]
"""

from concurrent.futures import ThreadPoolExecutor

from rapidz import Stream
from rapidz.clients import executor_to_client
from rapidz.parallel import ParallelStream

executor = ThreadPoolExecutor(2)


def client():
    return executor_to_client(executor)


source = Stream()
scattered = source.scatter(backend=client)
seen = scattered.map(lambda x: x + 1).buffer(8).gather().sink_to_list()
for x in (1, 2, 3):
    source.emit(x)
source.join()
print(seen)
print(scattered.default_client() is client())


class tenfold(ParallelStream):
    def update(self, x, who=None):
        return self._emit(self.default_client().submit(lambda y: 10 * y, x))


source = Stream()
seen = tenfold(source.scatter(backend="thread")).gather().sink_to_list()
for x in (1, 2):
    source.emit(x)
source.join()
print(seen)

source = Stream()
shared = source.scatter(backend="thread")
pairs = shared.filter(lambda x: x % 2 == 0).zip(shared).gather().sink_to_list()
for x in range(5):
    source.emit(x)
source.join()
print(pairs)
executor.shutdown()
