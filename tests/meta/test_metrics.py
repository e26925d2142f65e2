"""Logged losses and metrics, before and after adaptation, equal what one computes by hand."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.tasks import Episode

from .toys import compiled, mlp, numbers, one_batch, waves

M, K, Q, CLASSES = 3, 6, 4, 3


def classes(kind: str) -> Episode:
    """Three-way (or two-way) classification; labels sparse, one-hot or binary."""
    random = np.random.default_rng(0)
    support, query = (random.normal(size=(M, n, 2)).astype("float32") for n in (K, Q))
    labels = [random.integers(0, 2 if kind == "binary" else CLASSES, (M, n)) for n in (K, Q)]
    if kind == "one_hot":
        labels = [np.eye(CLASSES, dtype="float32")[y] for y in labels]
    elif kind == "binary":
        labels = [y[..., None].astype("float32") for y in labels]
    else:
        labels = [y.astype("int32") for y in labels]
    return Episode(support, labels[0], query, labels[1])


def by_hand(learner: MetaLearner, episode: Episode) -> tuple[np.ndarray, np.ndarray]:
    """Query predictions before and after adaptation, with the rows of all tasks one below the other."""
    before = [np.asarray(learner.model(x)) for x in episode.query_x]
    states = [learner.adapt(pair) for pair in zip(episode.support_x, episode.support_y, strict=True)]
    after = [np.asarray(learner.adapted(s)(x)) for s, x in zip(states, episode.query_x, strict=True)]
    return np.concatenate(before), np.concatenate(after)


def shift(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(y_pred - y_true, axis=-1)


@pytest.mark.parametrize("form", ["vectorized", "sequential"])
def test_losses_and_metrics_of_regression(form: str) -> None:
    given = ["mae", shift, keras.metrics.RootMeanSquaredError(name="rmse")]
    learner = compiled(mlp(), MAML(2, 0.05), metrics=given, task_parallelism=form)
    episode = numbers(next(iter(waves())))
    before, after = by_hand(learner, episode)
    y = episode.query_y.reshape(-1, 1)
    expected = {
        "loss": np.mean((after - y) ** 2),
        "pre_loss": np.mean((before - y) ** 2),
        "mae": np.mean(np.abs(after - y)),
        "pre_mae": np.mean(np.abs(before - y)),
        "shift": np.mean(after - y),
        "pre_shift": np.mean(before - y),
        "rmse": np.sqrt(np.mean((after - y) ** 2)),
        "pre_rmse": np.sqrt(np.mean((before - y) ** 2)),
    }
    expected["adaptation_gain"] = expected["pre_loss"] - expected["loss"]
    expected["support_loss"] = np.mean(
        [
            learner.adapted(learner.adapt(pair, steps=1)).loss(learner.task_loss, *pair)
            for pair in zip(episode.support_x, episode.support_y, strict=True)
        ]
    )
    scores = learner.evaluate(one_batch(episode), verbose=0, return_dict=True)
    assert scores == pytest.approx(expected, rel=1e-4, abs=1e-6)
    # A training step measures before it updates, so its first logs are the same.
    logs = {name: values[0] for name, values in learner.fit(one_batch(episode), verbose=0).history.items()}
    assert logs == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "outputs", "loss"),
    [
        ("sparse", CLASSES, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
        ("one_hot", CLASSES, keras.losses.CategoricalCrossentropy(from_logits=True)),
        ("binary", 1, "binary_crossentropy"),
    ],
)
def test_accuracy_is_the_one_the_labels_ask_for(kind: str, outputs: int, loss: Any) -> None:
    activation = "sigmoid" if kind == "binary" else None
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(5, "tanh"), keras.layers.Dense(outputs, activation)]
    )
    learner = compiled(model, MAML(3, 0.5), loss=loss, metrics=["accuracy"])
    episode = classes(kind)
    hits = []
    for predictions in by_hand(learner, episode):
        y = episode.query_y.reshape(M * Q, *episode.query_y.shape[2:])
        if kind == "binary":
            hits.append(np.mean((predictions > 0.5) == y))
        else:
            hits.append(np.mean(predictions.argmax(-1) == (y.argmax(-1) if kind == "one_hot" else y)))
    scores = learner.evaluate(one_batch(episode), verbose=0, return_dict=True)
    assert (scores["pre_accuracy"], scores["accuracy"]) == pytest.approx(tuple(hits))


def test_the_metrics_of_an_epoch_are_means_over_its_tasks() -> None:
    learner = compiled(mlp(), MAML(1, 0.05), metrics=["mae"])
    together = learner.evaluate(waves(batches=3), verbose=0, return_dict=True)
    each = [learner.evaluate(one_batch(numbers(e)), verbose=0, return_dict=True) for e in waves(batches=3)]
    assert together == pytest.approx({key: np.mean([scores[key] for scores in each]) for key in together}, rel=1e-5)


def test_names_are_keras_names() -> None:
    learner = compiled(mlp(), "maml", metrics=["mse", "acc", lambda t, p: keras.ops.mean(t - p)])
    learner.evaluate(waves(), verbose=0)
    names = [m.name for m in learner.metrics]
    assert names[3:] == ["mse", "acc", "lambda", "pre_mse", "pre_acc", "pre_lambda"]


def test_metrics_of_nested_predictions() -> None:
    """A metric of one's own takes what the model gives: here a dict of two outputs."""

    class Gap(keras.metrics.Mean):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            super().update_state(keras.ops.abs(y_true["a"] - y_pred["a"]) + keras.ops.abs(y_true["b"] - y_pred["b"]))

    inputs = keras.Input((1,))
    model = keras.Model(inputs, {"a": keras.layers.Dense(1)(inputs), "b": keras.layers.Dense(1)(inputs)})
    episode = numbers(next(iter(waves())))
    both = Episode(
        episode.support_x,
        {"a": episode.support_y, "b": -episode.support_y},
        episode.query_x,
        {"a": episode.query_y, "b": -episode.query_y},
    )

    def loss(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean((y_true["a"] - y_pred["a"]) ** 2) + keras.ops.mean((y_true["b"] - y_pred["b"]) ** 2)

    learner = compiled(model, MAML(1, 0.01), loss=loss, metrics=[Gap(name="gap")])
    scores = learner.evaluate(tf.data.Dataset.from_tensors(both), verbose=0, return_dict=True)
    parts = [model(x) for x in episode.query_x]
    gaps = [np.abs(p["a"] - y) + np.abs(p["b"] + y) for p, y in zip(parts, episode.query_y, strict=True)]
    assert scores["pre_gap"] == pytest.approx(np.mean(gaps), rel=1e-5)
    assert scores["gap"] < scores["pre_gap"]
