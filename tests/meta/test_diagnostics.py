"""Learned rates and gradient norms reach TensorBoard; figures show what they are given."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MAML, MetaTensorBoard, gradient_norms
from metagpt_tf.plotting import clusters_figure, rates_figure

from .toys import compiled, mlp, waves


def tags(folder: Path) -> set[str]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    events = [e for path in folder.rglob("events*") for e in EventFileLoader(str(path)).Load()]
    return {value.tag for event in events for value in event.summary.value}


def test_rates_and_gradient_norms_are_written(tmp_path: Path) -> None:
    learner = compiled(mlp(), MAML(2, 0.05, learn_rate="per_step"))
    callback = MetaTensorBoard(str(tmp_path), next(iter(waves())))
    learner.fit(waves(), verbose=0, callbacks=[callback])
    found = tags(tmp_path)
    rate = learner.algorithm.log_rate.path
    assert {f"meta/{rate}", f"meta/{rate}/all", f"meta/gradient_norm/{rate}"} <= found
    assert sum(tag.startswith("meta/gradient_norm/") for tag in found) == len(learner.trainable_variables)


def test_gradient_norms_are_those_of_a_step_of_sgd() -> None:
    learner, batch = compiled(mlp(), MAML(1, 0.05)), next(iter(waves(batches=1)))
    norms = gradient_norms(learner, batch)
    before = [v.numpy() for v in learner.trainable_variables]
    learner.fit(waves(batches=1), verbose=0)  # SGD(0.1)
    moved = [np.linalg.norm(b - v.numpy()) / 0.1 for b, v in zip(before, learner.trainable_variables, strict=True)]
    np.testing.assert_allclose(list(norms.values()), moved, rtol=1e-3, atol=1e-4)


def test_figures() -> None:
    figure = rates_figure([[0.1, 0.2, 0.3], [0.1, 0.1, 0.1]], ["a", "b", "c"])
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]
    shares = tf.nn.softmax([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    figure = clusters_figure(shares, ["line", "line", "wave"])
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(widths, [0.982, 0.018, 0.018, 0.982], atol=1e-3)
    with pytest.raises(ValueError, match=r"shape \(1, 3\).*expected 2 tensors"):
        rates_figure([0.1, 0.2, 0.3], ["a", "b"])
    with pytest.raises(ValueError, match=r"shape \(3, 2\).*not 1"):
        clusters_figure(shares, ["line"])
