"""Nodes for models of the `river` library: online learning, one element at a time.

They call methods of the model they are given and need nothing of `river` itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["RiverPredict", "RiverTrain", "RiverTransform"]


def _check_method(node: str, argument: str, value: object, method: str) -> None:
    """Refuse a model or metric that lacks what the node will call."""
    if not callable(getattr(value, method, None)):
        raise TypeError(
            f"{node}: {argument} must have a method {short_repr(method)}, got {short_repr(value)}"
        )


class RiverTransform(Stream[Any]):
    """Transformer: emit ``model.transform_one(*x)`` for every element *x*, a tuple.

    Applies back pressure when downstream does.

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

    def __init__(self, model: Any, **kwargs: Any) -> None:
        _check_method("RiverTransform", "model", model, "transform_one")
        self.model = model
        super().__init__(**kwargs)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Iterable[Any]]:
        model = self.model
        return lambda x: push(model.transform_one(*x))


class RiverTrain(Stream[Any]):
    """Online training: let *model* learn from every element, a tuple of features, truth, weight.

    Emits the metric after each element if there is one, or else the model if
    *pass_model* is True, or else nothing.  Applies back pressure when
    downstream does.

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

    def __init__(
        self, model: Any, metric: Any = None, pass_model: bool = False, **kwargs: Any
    ) -> None:
        _check_method("RiverTrain", "model", model, "learn_one")
        if metric is not None:
            if pass_model:
                raise TypeError("RiverTrain: pass_model must be False with a metric, got True")
            _check_method("RiverTrain", "model", model, "predict_one")
            _check_method("RiverTrain", "metric", metric, "update")
        self.model, self.metric, self.pass_model = model, metric, pass_model
        super().__init__(**kwargs)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        model, metric = self.model, self.metric
        measure: Any = metric

        def train(x: Any) -> Pending:
            model.learn_one(*x)
            return None

        def train_and_score(x: Any) -> Pending:
            features, truth, *weight = x
            model.learn_one(*x)
            measure.update(truth, model.predict_one(features), *weight[:1])
            return push(measure.get())

        def train_and_pass(x: Any) -> Pending:
            model.learn_one(*x)
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

    def __init__(self, model: Any, **kwargs: Any) -> None:
        _check_method("RiverPredict", "model", model, "predict_one")
        self.model = model
        super().__init__(**kwargs)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        model = self.model
        return lambda x: push(model.predict_one(x))
