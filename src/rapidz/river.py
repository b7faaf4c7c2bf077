"""Online learning with models of the `river` library, one element at a time.

The nodes call methods of the model they are given and need nothing of `river` itself.  An exception
of the model is a failure of its element, which the policy of the node handles.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import LiveAttribute
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["RiverPredict", "RiverTrain", "RiverTransform"]


def _check_method(node: str, argument: str, value: object, method: str) -> None:
    """Refuse a model or metric that lacks what the node will call."""
    if not callable(getattr(value, method, None)):
        raise TypeError(
            f"{node}: {argument} must have a method {short_repr(method)}, got {short_repr(value)}"
        )


def _refuse_scattered(node: str, options: dict[str, Any]) -> None:
    """Refuse a scattered stream: the model is one object, in this process."""
    for upstream in (options.get("upstream"), *(options.get("upstreams") or ())):
        if getattr(upstream, "_wraps_edges", False):
            raise TypeError(
                f"{node}: upstream must not be a scattered stream, since the model is in this "
                f"process: call gather() before it, got {short_repr(upstream)}"
            )


def _learner(model: Any) -> Callable[..., object]:
    """Return a function of features, truth and weight that teaches *model*.

    It passes the weight as ``w=`` to a model, such as a pipeline, whose ``learn_one`` takes only
    keyword arguments after the truth.
    """
    learn: Callable[..., object] = model.learn_one
    try:
        signature = inspect.signature(learn)
    except (TypeError, ValueError):
        return learn
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    positional = sum(kind in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD) for kind in kinds)
    variadic = inspect.Parameter.VAR_POSITIONAL in kinds
    if positional != 2 or variadic or inspect.Parameter.VAR_KEYWORD not in kinds:
        return learn

    def learn_weighted(features: Any, *rest: Any) -> object:
        return learn(features, *rest) if len(rest) != 2 else learn(features, rest[0], w=rest[1])

    return learn_weighted


class RiverTransform(Stream[Any]):
    """Transformer: emit ``model.transform_one(*x)`` for every element *x*, a tuple.

    Does not train the model.  Applies back pressure when downstream does.

    Parameters
    ----------
    model : object
        A transformer or pipeline of `river`: what has ``transform_one``.

    >>> class Scale:
    ...     def transform_one(self, x):
    ...         return {key: value / 10 for key, value in x.items()}
    >>> source = Stream()
    >>> scaled = RiverTransform(Scale(), upstream=source).sink_to_list()
    >>> source.emit(({"a": 5},))
    >>> scaled
    [{'a': 0.5}]
    """

    model: LiveAttribute[Any] = LiveAttribute()

    def __init__(self, model: Any, **kwargs: Any) -> None:
        self._on_attribute_set("model", model)
        _refuse_scattered("RiverTransform", kwargs)
        self.model = model
        super().__init__(**kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        _check_method("RiverTransform", "model", value, "transform_one")

    def compile(self, push: Push[Any], port: int = 0) -> Push[Iterable[Any]]:
        model = self.model
        return lambda x: push(model.transform_one(*x))


class RiverTrain(Stream[Any]):
    """Online training: let *model* learn from every element, a tuple of features, truth, weight.

    Emits the metric after each element if there is one, or else the model if
    *pass_model* is True, or else nothing.  Applies back pressure when
    downstream does.  A weight reaches a pipeline of `river` as the keyword argument ``w``.

    Parameters
    ----------
    model : object
        A model or pipeline of `river`: what has ``learn_one``, and with a
        metric ``predict_one``.
    metric : object, optional
        A metric of `river`.  After each element that the model has learned, it
        is updated with the truth, the model's prediction, and the weight if
        there is one; its value is emitted.
    pass_model : bool
        Emit the model, the same object each time.

    >>> class Mean:
    ...     n, total = 0, 0.0
    ...
    ...     def learn_one(self, x, y):
    ...         self.n, self.total = self.n + 1, self.total + y
    >>> source = Stream()
    >>> means = RiverTrain(Mean(), pass_model=True, upstream=source).map(lambda m: m.total / m.n)
    >>> shown = means.sink(print)
    >>> source.emit_many([({"a": 1}, 4.0), ({"a": 2}, 6.0)])
    4.0
    5.0
    """

    model: LiveAttribute[Any] = LiveAttribute()
    metric: LiveAttribute[Any] = LiveAttribute()
    pass_model: LiveAttribute[bool] = LiveAttribute()

    def __init__(
        self, model: Any, metric: Any = None, pass_model: bool = False, **kwargs: Any
    ) -> None:
        if metric is not None and pass_model:
            raise TypeError("RiverTrain: pass_model must be False with a metric, got True")
        self._check(model, metric)
        _refuse_scattered("RiverTrain", kwargs)
        self.model, self.metric, self.pass_model = model, metric, pass_model
        super().__init__(**kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        self._check(self.model, self.metric)

    def _check(self, model: Any, metric: Any) -> None:
        _check_method("RiverTrain", "model", model, "learn_one")
        if metric is not None:
            _check_method("RiverTrain", "model", model, "predict_one")
            _check_method("RiverTrain", "metric", metric, "update")

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        model, metric, learn = self.model, self.metric, _learner(self.model)
        measure: Any = metric

        def train(x: Any) -> Pending:
            learn(*x)
            return None

        def train_and_score(x: Any) -> Pending:
            features, truth, *weight = x
            learn(*x)
            measure.update(truth, model.predict_one(features), *weight[:1])
            return push(measure.get())

        def train_and_pass(x: Any) -> Pending:
            learn(*x)
            return push(model)

        if metric is not None:
            return train_and_score
        return train_and_pass if self.pass_model else train


class RiverPredict(Stream[Any]):
    """Inference: emit ``model.predict_one(x)`` for every element *x*, a dict of features.

    Applies back pressure when downstream does.

    Parameters
    ----------
    model : object
        A model or pipeline of `river`: what has ``predict_one``.

    >>> class Double:
    ...     def predict_one(self, x):
    ...         return 2 * x["a"]
    >>> source = Stream()
    >>> shown = RiverPredict(Double(), upstream=source).sink(print)
    >>> source.emit({"a": 3})
    6
    """

    model: LiveAttribute[Any] = LiveAttribute()

    def __init__(self, model: Any, **kwargs: Any) -> None:
        self._on_attribute_set("model", model)
        _refuse_scattered("RiverPredict", kwargs)
        self.model = model
        super().__init__(**kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        _check_method("RiverPredict", "model", value, "predict_one")

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        model = self.model
        return lambda x: push(model.predict_one(x))
