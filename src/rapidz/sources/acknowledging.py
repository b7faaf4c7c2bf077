"""Positions and acknowledgement: what a source has emitted, and what of it is done."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, TypeVar

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_callable
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.failures import PolicyHandler, Raise
from rapidz.kernel.runtime.tracked_element import Metadata
from rapidz.kernel.runtime.tracking import tracked_push
from rapidz.sources.acknowledge import Acknowledgement, discard_result, metadata_of
from rapidz.sources.run import SourceRun

T = TypeVar("T")


class AcknowledgingSource(Stream[T]):
    """The part of `Source` that acknowledges elements, and knows its position."""

    seekable: ClassVar[bool] = False
    """Whether `position` and `seek` work."""

    _source_run: SourceRun | None

    def emit_tracked(
        self,
        x: T,
        done: Callable[[], object] | None = None,
        failed: Callable[[BaseException], object] | None = None,
        metadata: Metadata | None = None,
    ) -> Any:
        """Push one element, and acknowledge it when everything that derives from it is done.

        A failure that no policy handles fails the source: nothing after the element
        would ever be acknowledged.

        Parameters
        ----------
        x : object
            The element.
        done : callable, optional
            Called without arguments, on the loop of the source, when the element has
            reached all its sinks, or a policy has handled its failure; may be
            ``async def``.
        failed : callable, optional
            Called instead, with the exception, if no policy has handled it.
        metadata : list of dict, optional
            Travels with the element.

        Returns what to await before the next element.
        """
        counter = self._acknowledgement(done, failed)
        return self.emit(x, asynchronous=True, metadata=metadata_of(metadata, counter))

    async def emit_decoded(
        self,
        raw: Any,
        decode: Callable[[Any], T],
        done: Callable[[], object] | None = None,
        failed: Callable[[BaseException], object] | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        """Push ``decode(raw)`` as `emit_tracked` does.

        An exception of *decode* goes to the policy of the source, with *raw* as the
        element of the `Failure`.
        """
        try:
            x = decode(raw)
        except Exception as error:
            await self._settle_undecodable(raw, error, done, failed)
            return
        if done is None and failed is None:
            await self.emit(x, asynchronous=True, metadata=metadata)
        else:
            await self.emit_tracked(x, done, failed, metadata)

    def _acknowledgement(
        self,
        done: Callable[[], object] | None,
        failed: Callable[[BaseException], object] | None,
    ) -> Acknowledgement:
        for name, action in (("done", done), ("failed", failed)):
            if action is not None:
                check_callable(f"{self}", name, action)
        run = self._source_run

        def on_failure(error: BaseException) -> object:
            result = None if failed is None else failed(error)
            self._fail_unacknowledged(run, error)
            return result

        return Acknowledgement(
            cb=done or discard_result, loop=self._pipeline.bind(), on_failure=on_failure
        )

    def _fail_unacknowledged(self, run: SourceRun | None, error: BaseException) -> None:
        """End the run: an element failed, and no policy has handled that."""
        raise NotImplementedError

    async def _settle_undecodable(
        self,
        raw: Any,
        error: Exception,
        done: Callable[[], object] | None,
        failed: Callable[[BaseException], object] | None,
    ) -> None:
        attribute_to(error, self, raw)
        policy = self._policy
        if policy is None or isinstance(policy, Raise):
            raise error
        handler = PolicyHandler(self, policy)
        counter = self._acknowledgement(done, failed)
        wait = tracked_push(lambda: handler.apply_policy(raw, error, 1), [{"ref": counter}])
        if wait is not None:
            await wait

    def position(self) -> Any:
        """Return where a later run would resume: behind the last element that was pushed.

        Plain data that can be pickled.  Raises `io.UnsupportedOperation` if the
        source cannot seek.
        """
        self._refuse_seek()

    def seek(self, position: Any) -> None:
        """Resume at *position*, a result of `position`, at the next `start`.

        Raises `io.UnsupportedOperation` if the source cannot seek.
        """
        self._refuse_seek()

    def _refuse_seek(self) -> NoReturn:
        raise io.UnsupportedOperation(f"{self}: the source has no positions, it cannot seek")
