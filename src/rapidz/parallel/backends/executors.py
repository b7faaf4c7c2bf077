"""Executors as clients: adapter with futures for arguments, `scatter` and `gather`, as in Dask."""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from typing import Any


def result_maybe(future_maybe: Any) -> Any:
    """Return the result of a future; anything else as it is.

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

    Returns the executor itself; one that allows no new attributes stays as it is.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(1) as executor:
    ...     client = executor_to_client(executor)
    ...     client.gather(client.submit(pow, client.scatter(2), 3))
    8
    """
    client: Any = executor
    if not hasattr(client, "_submit"):
        submit = _unbound_submit(executor)
        with contextlib.suppress(AttributeError, TypeError):
            client._submit = submit
            client.submit = functools.partial(_submit, submit)
            client.scatter = _scatter
            client.gather = _gather
    return executor


def _unbound_submit(executor: Executor) -> Callable[..., Future[Any]]:
    """Return the method `submit` without a strong reference: an unused pool must be collected."""
    function = getattr(executor.submit, "__func__", None)
    if function is None:
        return executor.submit
    ref = weakref.ref(executor)
    return lambda *args, **kwargs: function(ref(), *args, **kwargs)


def _submit(submit: Callable[..., Any], func: Any, *args: Any, **kwargs: Any) -> Any:
    """Submit *func* once the futures among its arguments are done, with their results."""
    futures = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, Future)]
    if not futures:
        return submit(func, *args, **kwargs)

    def submit_now() -> Any:
        values = [result_maybe(arg) for arg in args]
        return submit(func, *values, **{key: result_maybe(arg) for key, arg in kwargs.items()})

    waiting = [future for future in futures if not future.done()]
    return _submit_after(waiting, submit_now) if waiting else _try_to_submit(submit_now)


def _try_to_submit(submit_now: Callable[[], Future[Any]]) -> Future[Any]:
    """Call *submit_now*; an argument that failed is the failure of the call."""
    try:
        return submit_now()
    except Exception as error:
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed


def _submit_after(waiting: list[Future[Any]], submit_now: Callable[[], Future[Any]]) -> Future[Any]:
    """Call *submit_now* once all of *waiting* are done; no worker waits for them meanwhile."""
    result: Future[Any] = Future()
    left = len(waiting)
    lock = threading.Lock()

    def on_done(_: Future[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left:
                return
        if result.set_running_or_notify_cancel():
            _try_to_submit(submit_now).add_done_callback(functools.partial(_copy_result, result))

    for future in waiting:
        future.add_done_callback(on_done)
    return result


def _copy_result(result: Future[Any], done: Future[Any]) -> None:
    error = CancelledError() if done.cancelled() else done.exception()
    if error is None:
        result.set_result(done.result())
    else:
        result.set_exception(error)


def _scatter(x: Any, **_: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(x)
    return future


def _gather(futures: Any, **_: Any) -> Any:
    if isinstance(futures, (list, tuple)):
        return type(futures)([result_maybe(future) for future in futures])
    return result_maybe(futures)
