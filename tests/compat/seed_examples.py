"""The examples of the page "Asynchronous Computation", as they stand there.

Kept as text: each runs as a script of its own, in a fresh interpreter.
"""

from __future__ import annotations

TOYS = '''
from tornado import gen
import time

def increment(x):
    """ A blocking increment function

    Simulates a computational function that was not designed to work
    asynchronously
    """
    time.sleep(0.1)
    return x + 1

@gen.coroutine
def write(x):
    """ A non-blocking write function

    Simulates writing to a database asynchronously
    """
    yield gen.sleep(0.2)
    print(x)
'''

WITHIN_THE_LOOP = """
from rapidz import Stream
from tornado.ioloop import IOLoop

@gen.coroutine
def f():
    source = Stream(asynchronous=True)  # tell the stream we're working asynchronously
    source.map(increment).rate_limit(0.500).sink(write)

    for x in range(10):
        yield source.emit(x)

IOLoop().run_sync(f)
"""

ASYNC_AWAIT = """
from rapidz import Stream
from tornado.ioloop import IOLoop

async def f():
    source = Stream(asynchronous=True)  # tell the stream we're working asynchronously
    source.map(increment).rate_limit(0.500).sink(write)

    for x in range(10):
        await source.emit(x)

IOLoop().run_sync(f)
"""

SEPARATE_THREAD = """
from rapidz import Stream

source = Stream(asynchronous=False)  # starts IOLoop in separate thread
source.map(increment).rate_limit('500ms').sink(write)

for x in range(10):
    source.emit(x)
"""

EXAMPLES = {
    "within the loop": TOYS + WITHIN_THE_LOOP,
    "async and await": TOYS + ASYNC_AWAIT,
    "separate thread": TOYS + SEPARATE_THREAD,
}

USING_DASK = """
from dask.distributed import Client
client = Client(processes=False)  # starts thread pool, IOLoop in separate thread

from rapidz import Stream
source = Stream()
(source.scatter()       # scatter local elements to cluster, creating a DaskStream
       .map(increment)  # map a function remotely
       .buffer(5)       # allow five futures to stay on the cluster at any time
       .gather()        # bring results back to local process
       .sink(write))    # call write locally

for x in range(10):
    source.emit(x)
"""

ASYNCHRONOUS_DASK = """
from rapidz import Stream
from dask.distributed import Client
from tornado.ioloop import IOLoop

async def f():
    client = await Client(processes=False, asynchronous=True)
    source = Stream(asynchronous=True)
    source.scatter().map(increment).rate_limit('500ms').gather().sink(write)

    for x in range(10):
        await source.emit(x)

IOLoop().run_sync(f)
"""

DASK_EXAMPLES = {
    "using dask": TOYS + USING_DASK,
    "asynchronous dask": TOYS + ASYNCHRONOUS_DASK,
}
