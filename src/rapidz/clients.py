"""Historic door: what scattered streams send their work to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


def result_maybe(future_maybe: Any) -> Any:
    """The result of a future; anything else as it is.

    >>> result_maybe(1)
    1
    """
    return future_maybe.result() if isinstance(future_maybe, Future) else future_maybe


def delayed_execution(func: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that takes futures for its arguments, and waits for them.

    >>> done = Future()
    >>> done.set_result(2)
    >>> delayed_execution(pow)(done, 3)
    8
    """

    @functools.wraps(func)
    def with_results(*args: Any, **kwargs: Any) -> Any:
        values = [result_maybe(arg) for arg in args]
        return func(*values, **{key: result_maybe(value) for key, value in kwargs.items()})

    return with_results


def executor_to_client(executor: Executor) -> Executor:
    """Let *executor* take futures for arguments, and `scatter` and `gather`, as a Dask client does.

    Returns the executor itself.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(1) as executor:
    ...     client = executor_to_client(executor)
    ...     client.gather(client.submit(pow, client.scatter(2), 3))
    8
    """
    client: Any = executor
    if not hasattr(client, "_submit"):
        client._submit = executor.submit
        client.submit = functools.partial(_submit, client._submit)
        client.scatter = _scattered
        client.gather = _gathered
    return executor


def _submit(submit: Callable[..., Any], func: Any, *args: Any, **kwargs: Any) -> Any:
    return submit(delayed_execution(func), *args, **kwargs)


def _scattered(x: Any, **_: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(x)
    return future


def _gathered(futures: Any, **_: Any) -> Any:
    if isinstance(futures, (list, tuple)):
        return type(futures)([result_maybe(future) for future in futures])
    return result_maybe(futures)


def thread_default_client() -> Executor:
    """The pool of threads that all pipelines share."""
    from rapidz.parallel.pools import shared_threads

    return executor_to_client(shared_threads())


def _dask_default_client() -> Any:
    from rapidz.parallel.dask import current_client

    return current_client()


#: What the names of backends stand for: functions that return a client.
DEFAULT_BACKENDS: dict[str, Callable[[], Any]] = {
    "dask": _dask_default_client,
    "thread": thread_default_client,
}
