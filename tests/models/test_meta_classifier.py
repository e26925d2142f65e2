"""MetaClassifier: what it computes, how it is saved, and that it is adapted, in Python and in a LiteRT file."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.export import LiteRTRunner, export_litert
from metagpt_tf.meta import CAVIA, MAML, MetaLearner
from metagpt_tf.models import MetaClassifier
from metagpt_tf.models.conv_backbone import ConvBlock, halved, neighbours
from metagpt_tf.models.transformer_backbone import patches
from metagpt_tf.tasks import Episode

SMALL = {"n_way": 3, "image_shape": (8, 8, 1), "dim": 8, "num_heads": 2, "num_layers": 1, "filters": 6, "num_blocks": 2}
KINDS = {
    "conv": {**SMALL, "backbone": "conv"},
    "transformer": {**SMALL, "low_rank": 2, "context_tokens": 2},
    "text": {**SMALL, "vocabulary_size": 11, "max_length": 7},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def rows(kind: str, count: int = 6, seed: int = 0) -> np.ndarray:
    """Inputs of one kind: images, or padded token ids."""
    rng = np.random.default_rng(seed)
    if kind == "text":
        ids = rng.integers(1, 11, (count, 7)).astype("int32")
        ids[0, 4:] = 0
        return ids
    return rng.normal(size=(count, 8, 8, 1)).astype("float32")


def episode(kind: str, tasks: int = 2) -> Episode:
    """A meta-batch of separable tasks: each class repeats one prototype with a little noise."""
    supports, queries = [], []
    for task in range(tasks):
        kinds = rows(kind, 3, seed=task)
        noise = np.random.default_rng(task + 50).normal(size=(2, 6, *kinds.shape[1:])) * (0 if kind == "text" else 0.1)
        both = (np.tile(kinds, (2, 1, 1, 1) if kind != "text" else (2, 1)) + noise).astype(kinds.dtype)
        supports.append(both[0]), queries.append(both[1])
    y = np.tile(np.arange(3, dtype="int32"), (tasks, 2))
    return Episode(np.stack(supports), y, np.stack(queries), y)


@every_kind
def test_logits_are_float32_and_one_for_each_class(kind: str) -> None:
    model = MetaClassifier(**KINDS[kind])
    logits = model(rows(kind))
    assert logits.shape == (6, 3) and logits.dtype == tf.float32
    np.testing.assert_allclose(logits, model.head(model.embed(rows(kind))), rtol=1e-6)
    assert all(np.ptp(column) > 1e-4 for column in np.transpose(logits))


@every_kind
def test_a_prediction_depends_on_its_own_input_alone(kind: str) -> None:
    model, x = MetaClassifier(**KINDS[kind]), rows(kind)
    together = model(x).numpy()
    alone = np.concatenate([model(x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_batch_statistics_are_those_of_the_examples_at_hand() -> None:
    model, x = MetaClassifier(**KINDS["conv"], normalization="batch"), rows("conv")
    assert np.abs(model(x).numpy()[:1] - model(x[:1]).numpy()).max() > 1e-3
    assert not model.non_trainable_variables


def test_padding_changes_nothing() -> None:
    model = MetaClassifier(**KINDS["text"])
    short = np.array([[3, 5, 2]], "int32")
    np.testing.assert_allclose(model(short), model(np.pad(short, ((0, 0), (0, 4)))), atol=1e-5)


def test_the_block_is_kerass_convolution_normalisation_and_pooling() -> None:
    x = np.random.default_rng(3).normal(size=(2, 7, 6, 3)).astype("float32")
    block = ConvBlock(5)
    found = block(x)
    kernel, bias = (np.array(w) for w in block.convolution.get_weights())
    y = tf.nn.conv2d(x, kernel.reshape(3, 3, 3, 5), 1, "SAME") + bias
    y = keras.layers.GroupNormalization(groups=1, epsilon=1e-5)(y)
    np.testing.assert_allclose(found, tf.nn.max_pool2d(tf.nn.relu(y), 2, 2, "VALID"), atol=1e-5)


def test_neighbours_halves_and_patches_are_where_they_should_be() -> None:
    x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(neighbours(x)[0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 4, 5])
    np.testing.assert_array_equal(neighbours(x)[0, 1, 2], [1, 2, 3, 5, 6, 7, 9, 10, 11])
    np.testing.assert_array_equal(halved(x)[0, :, :, 0], [[5, 7], [13, 15]])
    np.testing.assert_array_equal(patches(x, 2)[0], [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]])


@pytest.mark.parametrize("backbone", ["conv", "transformer"])
def test_presets(backbone: str) -> None:
    model = MetaClassifier.from_preset("nano", n_way=20, backbone=backbone)
    assert model(np.zeros((1, 28, 28, 1), "float32")).shape == (1, 20)
    assert 90_000 < model.count_params() < 125_000
    with pytest.raises(ValueError, match="Unknown preset 'nanno'. Did you mean 'nano'"):
        MetaClassifier.from_preset("nanno")


@every_kind
def test_config_and_file_round_trip(kind: str, tmp_path: Path) -> None:
    model, x = MetaClassifier(**KINDS[kind]), rows(kind)
    again = MetaClassifier.from_config(model.get_config())
    assert again.get_config() == model.get_config() and again.backbone_name == model.backbone_name
    trained = kind == "conv"
    if trained:
        model.compile("adam")
        model.fit(x, np.array([0, 1, 2] * 2), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.compiled == trained and (not trained or loaded.optimizer.iterations == 1)


def test_plain_training_learns_and_leaves_the_unlabelled_out() -> None:
    model = MetaClassifier(**KINDS["conv"])
    model.compile(keras.optimizers.Adam(0.01))
    x, y = rows("conv"), np.array([0, 1, 2, 0, 1, 2])
    losses = model.fit(x, y, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] > 0.9
    some = model.evaluate(x, np.array([0, 1, 2, -1, -1, -1]), verbose=0, return_dict=True)
    assert some["loss"] == pytest.approx(model.evaluate(x[:3], y[:3], verbose=0, return_dict=True)["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("conv", "maml"), ("conv", "anil"), ("transformer", "maml"), ("text", "anil")]
)
def test_meta_training_and_adapting(kind: str, algorithm: str) -> None:
    learner = MetaLearner(MetaClassifier(**KINDS[kind]), algorithm)
    learner.compile(keras.optimizers.Adam(1e-2))
    data = episode(kind)
    before = learner.model.get_weights()
    history = learner.fit(tf.data.Dataset.from_tensors(data), verbose=0).history
    assert {"accuracy", "pre_accuracy", "loss"} <= set(history)
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(before, learner.model.get_weights(), strict=True))
    support = (data.support_x[0], data.support_y[0])
    losses = [learner.adapted(learner.adapt(support, steps=n)).loss(learner.task_loss, *support) for n in (0, 2)]
    assert losses[1] < losses[0]
    if algorithm == "anil":
        assert learner.layout.size == learner.model.head.count_params()


def test_a_tasks_context_is_adapted() -> None:
    learner = MetaLearner(MetaClassifier(**KINDS["transformer"]), CAVIA(2, 0.5))
    learner.compile("adam")
    data = episode("transformer")
    state = learner.adapt((data.support_x[0], data.support_y[0]))
    assert state.shape == (2 * 8,) and np.abs(state).max() > 0


@pytest.mark.parametrize("kind", ["conv", "transformer"])
def test_it_adapts_inside_a_litert_file(kind: str, tmp_path: Path) -> None:
    """Builtin operations only, gradients of the convolutions included, and the same numbers as Keras."""
    learner = MetaLearner(MetaClassifier(**KINDS[kind]), MAML(1, 0.05))
    learner.compile("adam")
    path = export_litert(learner, tmp_path / "m.tflite", k_shot=6, batch_size=6, target=tf.TensorSpec((), tf.int32))
    runner, data = LiteRTRunner(path), episode(kind)
    support = (data.support_x[0], data.support_y[0])
    state = learner.adapt(support)
    found = runner.adapt(*support)
    np.testing.assert_allclose(found, state, atol=1e-5)
    assert np.abs(state - learner.layout.initial_state()).max() > 1e-3
    logits = runner.predict(data.query_x[0], found)
    np.testing.assert_allclose(logits, learner.adapted(state)(data.query_x[0]), atol=1e-4)


def test_mixed_precision_keeps_logits_in_float32() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    for kind in KINDS:
        model = MetaClassifier(**KINDS[kind])
        logits = model(rows(kind))
        assert logits.dtype == tf.float32 and np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_way": 0}, "expected n_way to be an integer >= 1, received 0"),
        ({"backbone": "convv"}, "unknown backbone 'convv'. Did you mean 'conv'"),
        ({"image_shape": (8, 8)}, r"expected image_shape \(H, W, C\), received \(8, 8\)"),
        ({"image_shape": (8, 0, 1)}, "expected width to be an integer >= 1, received 0"),
        ({"backbone": "conv", "num_blocks": 4}, "Give larger images or a smaller num_blocks"),
        ({"backbone": "conv", "vocabulary_size": 5}, "convolutions read images"),
        ({"patch_size": 3}, "patches of 3 x 3 do not tile images of 8 x 8"),
        ({"backbone": "conv", "normalization": "bach"}, "unknown normalization 'bach'. Did you mean 'batch'"),
        ({"dropout": 1.0}, r"expected dropout to be in \[0, 1\)"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MetaClassifier(**{**SMALL, **arguments})


def test_bad_inputs_are_named() -> None:
    model: Any = MetaClassifier(**KINDS["conv"])
    with pytest.raises(ValueError, match=r"images of shape \('B', 8, 8, 1\), received .* of shape \(2, 8, 8\)"):
        model(np.zeros((2, 8, 8), "float32"))
    with pytest.raises(ValueError, match="expected token ids"):
        MetaClassifier(**KINDS["text"])(np.zeros((2, 8, 8, 1), "int32"))
    learner = MetaLearner(model, "anil")
    learner.compile("adam")
    for labels in (np.array([0, 1, 3]), np.array([0.0, 1.0, 2.0]), np.array([[0], [1], [2]])):
        with pytest.raises(ValueError, match=r"expected labels \(K,\) of integers in \[0, 3\)"):
            learner.adapt((rows("conv", 3), labels))
