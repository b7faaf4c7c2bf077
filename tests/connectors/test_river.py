"""Nodes for models of river: results of the real library, one element at a time."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rapidz import Stream
from rapidz.river import RiverPredict, RiverTrain, RiverTransform
from rapidz.testing import assert_equivalent

cluster: Any = pytest.importorskip("river.cluster")
compose: Any = pytest.importorskip("river.compose")
datasets: Any = pytest.importorskip("river.datasets")
drift: Any = pytest.importorskip("river.drift")
linear_model: Any = pytest.importorskip("river.linear_model")
metrics: Any = pytest.importorskip("river.metrics")
naive_bayes: Any = pytest.importorskip("river.naive_bayes")
preprocessing: Any = pytest.importorskip("river.preprocessing")
tree: Any = pytest.importorskip("river.tree")

MODES = ["inline", "loop", "background"]

Row = tuple[dict[str, Any], Any]


def classifier() -> Any:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def regressor() -> Any:
    return preprocessing.StandardScaler() | linear_model.LinearRegression()


@pytest.fixture(scope="module")
def phishing() -> list[Row]:
    return list(datasets.Phishing().take(300))


def test_a_trained_model_is_the_one_of_the_loop_by_hand(phishing: list[Row]) -> None:
    by_hand, by_stream = classifier(), classifier()
    for x, y in phishing:
        by_hand.learn_one(x, y)
    source = Stream[Any]()
    node = RiverTrain(by_stream, upstream=source)
    source.emit_many(phishing)
    assert [by_stream.predict_proba_one(x) for x, _ in phishing] == [
        by_hand.predict_proba_one(x) for x, _ in phishing
    ]
    node.destroy()


@pytest.mark.parametrize(
    ("model", "metric"),
    [
        (classifier, metrics.Accuracy),
        (classifier, metrics.ROCAUC),
        (classifier, metrics.LogLoss),
        (lambda: tree.HoeffdingTreeClassifier(grace_period=20), metrics.F1),
        (naive_bayes.GaussianNB, metrics.CohenKappa),
    ],
)
def test_a_metric_follows_each_element_learned(
    phishing: list[Row], model: Callable[[], Any], metric: Callable[[], Any]
) -> None:
    learner, score, expected = model(), metric(), []
    for x, y in phishing:
        learner.learn_one(x, y)
        score.update(y, learner.predict_one(x))
        expected.append(score.get())
    source = Stream[Any]()
    seen = RiverTrain(model(), metric=metric(), upstream=source).sink_to_list()
    source.emit_many(phishing)
    assert seen == expected


def test_weights_reach_model_and_metric() -> None:
    rows = [({"a": 1.0}, 2.0, 1.0), ({"a": 2.0}, 4.5, 2.0), ({"a": 3.0}, 6.5, 3.0)]
    model, metric, expected = linear_model.LinearRegression(), metrics.MAE(), []
    for x, y, w in rows:
        model.learn_one(x, y, w)
        metric.update(y, model.predict_one(x), w)
        expected.append(metric.get())
    source = Stream[Any]()
    seen = RiverTrain(
        linear_model.LinearRegression(), metric=metrics.MAE(), upstream=source
    ).sink_to_list()
    source.emit_many(rows)
    assert seen == expected


def test_a_weight_reaches_the_last_step_of_a_pipeline() -> None:
    rows = [({"a": 1.0}, 2.0, 1.0), ({"a": 2.0}, 4.5, 0.5), ({"a": 4.0}, 6.5, 3.0)]
    by_hand, by_stream = regressor(), regressor()
    for x, y, w in rows:
        by_hand.learn_one(x, y, w=w)
    source = Stream[Any]()
    node = RiverTrain(by_stream, upstream=source)
    source.emit_many(rows)
    assert by_stream.predict_one({"a": 3.0}) == by_hand.predict_one({"a": 3.0})
    node.destroy()


def test_a_transformer_is_trained_apart_from_its_output(phishing: list[Row]) -> None:
    scaler, by_hand, expected = preprocessing.StandardScaler(), preprocessing.StandardScaler(), []
    for x, _ in phishing:
        by_hand.learn_one(x)
        expected.append(by_hand.transform_one(x))
    source = Stream[Any]()
    rows = source.map(lambda row: row[:1])
    node = RiverTrain(scaler, upstream=rows)
    seen = RiverTransform(scaler, upstream=rows).sink_to_list()
    source.emit_many(phishing)
    assert seen == expected
    node.destroy()


def test_a_prediction_connected_first_precedes_the_learning(phishing: list[Row]) -> None:
    model, expected = classifier(), []
    for x, y in phishing:
        expected.append((model.predict_one(x), y))
        model.learn_one(x, y)
    source, model = Stream[Any](), classifier()
    predictions = RiverPredict(model, upstream=source.pluck(0))
    seen = predictions.zip(source.pluck(1)).sink_to_list()
    node = RiverTrain(model, upstream=source)
    source.emit_many(phishing)
    assert seen == expected
    node.destroy()


def test_a_model_without_truth_learns_from_features_alone(phishing: list[Row]) -> None:
    def clusters() -> Any:
        return cluster.DBSTREAM(clustering_threshold=1.5, fading_factor=0.05, cleanup_interval=4)

    by_hand = clusters()
    for x, _ in phishing[:50]:
        by_hand.learn_one(x)
    source, by_stream = Stream[Any](), clusters()
    seen = RiverTrain(by_stream, pass_model=True, upstream=source).sink_to_list()
    source.emit_many([(x,) for x, _ in phishing[:50]])
    assert len(by_stream.micro_clusters) == len(by_hand.micro_clusters)
    assert seen == [by_stream] * 50


def test_a_drift_detector_is_an_ordinary_function_of_map() -> None:
    source, detector = Stream[Any](), drift.ADWIN()

    def detect(x: float) -> bool:
        detector.update(x)
        return bool(detector.drift_detected)

    changes = source.map(detect).sink_to_list()
    source.emit_many([0.0] * 500 + [1.0] * 500)
    assert any(changes[500:])
    assert not any(changes[:500])


# --- execution modes ------------------------------------------------------------------------------


def test_training_is_the_same_in_all_execution_modes(phishing: list[Row]) -> None:
    assert_equivalent(
        lambda stream: RiverTrain(classifier(), metric=metrics.Accuracy(), upstream=stream),
        phishing[:100],
        on=MODES,
    )


def test_prediction_is_the_same_in_all_execution_modes(phishing: list[Row]) -> None:
    model = classifier()
    for x, y in phishing:
        model.learn_one(x, y)
    features = [x for x, _ in phishing[:100]]
    assert_equivalent(lambda stream: RiverPredict(model, upstream=stream), features, on=MODES)
    assert_equivalent(
        lambda stream: stream.map(model.predict_one), features, on=[*MODES, "thread", "process"]
    )


def test_transformation_is_the_same_in_all_execution_modes(phishing: list[Row]) -> None:
    scaler = preprocessing.StandardScaler()
    for x, _ in phishing:
        scaler.learn_one(x)
    features = [(x,) for x, _ in phishing[:100]]
    assert_equivalent(lambda stream: RiverTransform(scaler, upstream=stream), features, on=MODES)


@pytest.mark.parametrize("behind", [False, True])
def test_a_scattered_stream_is_refused(behind: bool) -> None:
    scattered: Any = Stream[Any]().scatter("thread")
    upstream = scattered.map(len) if behind else scattered
    for build in (
        lambda: RiverTrain(classifier(), upstream=upstream),
        lambda: RiverPredict(classifier(), upstreams=[upstream]),
        lambda: RiverTransform(preprocessing.StandardScaler(), upstream=upstream),
    ):
        with pytest.raises(TypeError, match=r"River\w+: upstream must not be a scattered stream"):
            build()
    assert not list(upstream.downstreams)


# --- while the pipeline runs ----------------------------------------------------------------------


def test_another_model_is_used_from_the_next_element_on() -> None:
    source = Stream[Any]()
    node = RiverPredict(linear_model.LinearRegression(intercept_init=1.0), upstream=source)
    seen = node.sink_to_list()
    source.emit({"a": 0.0})
    node.model = linear_model.LinearRegression(intercept_init=5.0)
    source.emit({"a": 0.0})
    assert seen == [1.0, 5.0]


def test_metric_and_pass_model_can_be_set_while_it_runs() -> None:
    source = Stream[Any]()
    node = RiverTrain(model := linear_model.LinearRegression(), upstream=source)
    seen = node.sink_to_list()
    source.emit(({"a": 1.0}, 2.0))
    node.metric = metrics.MAE()
    source.emit(({"a": 1.0}, 2.0))
    node.metric, node.pass_model = None, True
    source.emit(({"a": 1.0}, 2.0))
    assert seen == [pytest.approx(1.8432), model]


def test_a_wrong_model_is_refused_when_set_and_the_old_one_stays() -> None:
    source = Stream[Any]()
    node = RiverPredict(linear_model.LinearRegression(intercept_init=1.0), upstream=source)
    seen = node.sink_to_list()
    with pytest.raises(TypeError, match="RiverPredict: model must have a method 'predict_one'"):
        node.model = preprocessing.StandardScaler()
    source.emit({"a": 0.0})
    assert seen == [1.0]


# --- failures -------------------------------------------------------------------------------------


def test_wrong_arguments_are_refused_when_built() -> None:
    source = Stream[Any]()
    with pytest.raises(TypeError, match="RiverTransform: model must have a method 'transform_one'"):
        RiverTransform(linear_model.LinearRegression(), upstream=source)
    with pytest.raises(TypeError, match="RiverTrain: metric must have a method 'update'"):
        RiverTrain(classifier(), metric="accuracy", upstream=source)
    with pytest.raises(TypeError, match="RiverTrain: model must have a method 'predict_one'"):
        RiverTrain(preprocessing.StandardScaler(), metric=metrics.MAE(), upstream=source)
    assert not list(source.downstreams)


def test_an_element_that_the_model_refuses_goes_to_the_policy() -> None:
    source, model = Stream[Any](), compose.Select("a") | linear_model.LinearRegression()
    node = RiverTrain(model, metric=metrics.MAE(), upstream=source)
    failures = node.errors.sink_to_list()
    seen = node.sink_to_list()
    source.emit_many([({"a": 1.0}, 2.0), ({"a": "one"}, 2.0), ({"a": 1.0}, 2.0)])
    assert len(seen) == 2
    assert [failure.element for failure in failures] == [({"a": "one"}, 2.0)]


def test_the_nodes_need_nothing_of_river_and_import_nothing_of_it() -> None:
    code = "import sys, rapidz; rapidz.river.RiverTrain; print('river' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr


def test_the_example_of_the_page_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "connectors" / "river.md").read_text("utf-8")
    [example] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "river.md", "exec"), {})
    assert f"print(accuracy)  # {capsys.readouterr().out}" in example
