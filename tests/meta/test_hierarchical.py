"""Gates, clusters and rates at three levels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MAML, Hierarchical, TaskEmbedding
from metagpt_tf.tasks import Episode

from .toys import compiled, largest_difference, mlp, numbers, one_batch, waves, weights_of


def support() -> tuple[np.ndarray, np.ndarray]:
    episode = numbers(next(iter(waves(seed=9))))
    return episode.support_x[0], episode.support_y[0]


@pytest.mark.parametrize("gate", ["parameter", "tensor"])
@pytest.mark.parametrize("example_size", [None, 2])
@pytest.mark.parametrize("three", [False, True])
def test_it_begins_as_maml(gate: str, example_size: int | None, three: bool) -> None:
    found = compiled(mlp(), Hierarchical(2, 0.05, gate=gate, example_size=example_size, three_level_rates=three)).adapt(
        support()
    )
    np.testing.assert_allclose(found, compiled(mlp(), MAML(2, 0.05)).adapt(support()), rtol=1e-5, atol=1e-6)


def test_all_its_parts_learn() -> None:
    learner = compiled(
        mlp(), Hierarchical(1, 0.05, example_size=2, three_level_rates=True), keras.optimizers.Adam(0.01)
    )
    own = learner.algorithm.trainable_variables
    before = [v.numpy() for v in own]
    learner.fit(waves(batches=4), verbose=0)
    still = [v.path for v, b in zip(own, before, strict=True) if np.abs(v.numpy() - b).max() < 1e-6]
    assert still == []


def test_two_kinds_of_task_get_two_initialisations() -> None:
    """Tasks y = 3 and y = -3: one start before any step cannot serve both, a gated one can."""
    x = np.random.default_rng(0).normal(size=(2, 5, 1)).astype("float32")
    y = np.full((2, 5, 1), [[[3.0]], [[-3.0]]], "float32")
    episode = Episode(x, y, x, y)
    losses = {}
    for algorithm in (MAML(0, 0.01), Hierarchical(0, 0.01, example_size=2, clusters=2)):
        learner = compiled(mlp(), algorithm, keras.optimizers.Adam(0.02))
        learner.fit(one_batch(episode).repeat(150), verbose=0)
        losses[algorithm.name] = learner.evaluate(one_batch(episode), verbose=0, return_dict=True)["loss"]
    plain, gated = losses.values()
    assert gated < 0.1 * plain


def test_the_embedding_does_not_depend_on_the_order_of_examples() -> None:
    x, y = support()
    for algorithm in (Hierarchical(example_size=2), Hierarchical()):
        learner = compiled(mlp(), algorithm)
        learner.algorithm.gate_kernel.assign(np.random.default_rng(0).normal(size=learner.algorithm.gate_kernel.shape))
        np.testing.assert_allclose(learner.adapt((x, y)), learner.adapt((x[::-1], y[::-1])), rtol=1e-4, atol=1e-5)


def test_assignment_is_a_distribution_that_follows_the_centres() -> None:
    learner = compiled(mlp(), Hierarchical(clusters=3, example_size=2))
    centre = tf.convert_to_tensor(learner.algorithm.centres)[1]
    share = learner.algorithm.assign(centre).numpy()
    assert share.argmax() == 1 and share.sum() == pytest.approx(1.0)


def test_rates_of_a_layer_move_its_tensors_alone() -> None:
    learner = compiled(mlp(), Hierarchical(1, 0.05, three_level_rates=True))
    algorithm = learner.algorithm
    layers = [v.path.rpartition("/")[0] for v in learner.layout.variables]
    assert len(set(layers)) == algorithm.layer_rates.shape[0] < len(layers)
    rates = np.zeros(algorithm.layer_rates.shape)
    rates[algorithm.layer_of[0]] = -30.0
    algorithm.layer_rates.assign(rates)
    before, after = (learner.layout.unpack(learner.adapt(support(), steps=n)) for n in (0, 1))
    moved = [float(np.abs(a - b).max()) > 1e-7 for a, b in zip(after, before, strict=True)]
    assert moved == [name != layers[0] for name in layers]


def test_saving(tmp_path) -> None:
    learner = compiled(mlp(), Hierarchical(1, 0.05, example_size=2, three_level_rates=True, gate="tensor"))
    learner.fit(waves(batches=2), verbose=0)
    learner.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert largest_difference(weights_of(again), weights_of(learner)) == 0
    np.testing.assert_array_equal(again.adapt(support()), learner.adapt(support()))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="clusters and embedding_dim must be >= 1, received 0 and 32"):
        Hierarchical(clusters=0)
    with pytest.raises(ValueError, match="gate must be one of parameter, tensor, received 'neuron'"):
        Hierarchical(gate="neuron")
    with pytest.raises(ValueError, match=r"An example has 2 numbers .* made for example_size=3"):
        compiled(mlp(), Hierarchical(example_size=3)).adapt(support())
    embedding = TaskEmbedding(4)
    assert embedding.get_config()["example_size"] is None
    gates = Hierarchical()
    compiled(mlp(units=6), gates)
    with pytest.raises(ValueError, match="Make a new Hierarchical"):
        compiled(mlp(units=7), gates)
