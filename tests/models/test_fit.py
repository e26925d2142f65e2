"""Plain training with teacher forcing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.models import BitsPerToken, MaskedCrossentropy, MetaGPT, TokenAccuracy

from .conftest import SIZES


def new(seed: int = 0, **arguments) -> MetaGPT:
    keras.utils.set_random_seed(seed)
    return MetaGPT(**{**SIZES, **arguments})


def fitted(data: tuple, model: MetaGPT | None = None, **options) -> tuple[MetaGPT, dict]:
    model = model or new()
    model.compile(keras.optimizers.SGD(0.05))
    return model, model.fit(*data, verbose=0, **options).history


@pytest.fixture(scope="module")
def reference(ids) -> tuple[MetaGPT, dict]:
    return fitted(ids, batch_size=4, epochs=2, shuffle=False)


def test_training_lowers_the_loss(reference):
    _, history = reference
    assert set(history) == {"loss", "token_accuracy", "bits_per_token"}
    assert history["loss"][1] < history["loss"][0]


def test_a_dataset_trains_as_arrays_do(reference, ids):
    model, history = fitted((tf.data.Dataset.from_tensor_slices(ids).batch(4),), epochs=2)
    np.testing.assert_allclose(history["loss"], reference[1]["loss"], rtol=1e-5)
    for a, b in zip(model.get_weights(), reference[0].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_prepared_inputs_train_as_plain_targets_do(reference, ids):
    model = new()
    prepared = (model.training_inputs(*ids), ids[1])
    _, history = fitted(prepared, model, batch_size=4, epochs=2, shuffle=False)
    np.testing.assert_allclose(history["loss"], reference[1]["loss"], rtol=1e-5)


def test_the_step_is_teacher_forcing_by_hand(ids):
    """One SGD step equals the gradient of the masked loss on shifted targets."""
    model = new()
    loss = MaskedCrossentropy()
    with tf.GradientTape() as tape:
        value = loss(ids[1], model(model.training_inputs(*ids), training=True))
    variables = [v.value for v in model.trainable_variables]
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(value, variables)]
    expected = [v.numpy() - 0.05 * g.numpy() for v, g in zip(variables, gradients, strict=True)]
    model, history = fitted(ids, model, batch_size=8)
    np.testing.assert_allclose(history["loss"][0], value, rtol=1e-5)
    for a, b in zip(model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b, atol=1e-6)


def test_evaluate_and_validation_agree(reference, ids):
    model = reference[0]
    scores = model.evaluate(*ids, batch_size=4, verbose=0, return_dict=True)
    logits = np.asarray(model(model.training_inputs(*ids)))
    real = ids[1] != 0
    assert scores["token_accuracy"] == pytest.approx((logits.argmax(-1) == ids[1])[real].mean(), abs=1e-6)
    twin = new()
    twin.compile(keras.optimizers.SGD(0.0))
    twin.set_weights(model.get_weights())
    history = twin.fit(*ids, validation_data=ids, batch_size=4, verbose=0).history
    for name, value in scores.items():
        assert history[f"val_{name}"][0] == pytest.approx(value, rel=1e-5)


def test_sample_weights_leave_rows_out(ids):
    weights = np.array([1, 1, 1, 1, 0, 0, 0, 0], "float32")
    garbage = ids[1].copy()
    garbage[4:] = 77
    first, _ = fitted((ids[0], ids[1]), sample_weight=weights)
    second, _ = fitted((ids[0], garbage), sample_weight=weights)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


def test_weighted_metrics_follow_the_weights(ids):
    model, weights = new(), np.linspace(0, 1, 8, dtype="float32")
    model.compile("sgd", metrics=[], weighted_metrics=[TokenAccuracy(), BitsPerToken()])
    scores = model.evaluate(*ids, sample_weight=weights, batch_size=8, verbose=0, return_dict=True)
    assert scores["bits_per_token"] == pytest.approx(scores["loss"] / np.log(2), rel=1e-5)


def test_loss_and_metrics_can_be_chosen(ids):
    model = new()
    model.compile("sgd", loss=MaskedCrossentropy(label_smoothing=0.3), metrics=[])
    assert list(model.evaluate(*ids, verbose=0, return_dict=True)) == ["loss"]
    assert model.loss.label_smoothing == 0.3


def test_dropout_is_determined_by_the_seed_and_only_for_training(ids):
    def outputs(seed: int) -> tuple[np.ndarray, np.ndarray]:
        model = new(seed, dropout=0.5)
        model.set_weights(new(dropout=0.5).get_weights())
        inputs = model.training_inputs(*ids)
        return np.asarray(model(inputs, training=True)), np.asarray(model(inputs))

    (first, plain), (again, _), (other, other_plain) = outputs(1), outputs(1), outputs(2)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (first != plain).any()
    np.testing.assert_array_equal(plain, other_plain)


def test_predict_takes_the_prepared_pair(reference, ids):
    model = reference[0]
    inputs = [np.asarray(x) for x in model.training_inputs(*ids)]
    np.testing.assert_allclose(model.predict(inputs, batch_size=4, verbose=0), model(inputs), atol=1e-5)


def test_mixed_float16_trains_with_a_scaled_loss(ids):
    model, history = fitted(ids, new(dtype="mixed_float16"), batch_size=4, epochs=2)
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    assert np.isfinite(history["loss"]).all() and history["loss"][1] < history["loss"][0]


class Sequence(keras.utils.PyDataset):
    """Batches of one example, which record their order."""

    def __init__(self, data: tuple) -> None:
        super().__init__()
        self.data, self.order = data, []

    def __len__(self) -> int:
        return len(self.data[0])

    def __getitem__(self, i: int) -> tuple:
        self.order.append(i)
        return self.data[0][i : i + 1], self.data[1][i : i + 1]


def test_a_py_dataset_is_still_shuffled(ids):
    data = Sequence(ids)
    fitted((data,))
    assert sorted(set(data.order)) == list(range(8))
    assert data.order[-8:] != list(range(8))
