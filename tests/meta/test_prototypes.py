"""Class means as classifiers: prototypical networks, and Proto-MAML, which starts from them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.export import LiteRTRunner, export_litert
from metagpt_tf.meta import MAML, MetaLearner, get, registry
from metagpt_tf.meta.proto_maml import ProtoMAML
from metagpt_tf.meta.prototypes import PrototypicalNetwork, class_means, negative_distances
from metagpt_tf.models import MetaClassifier
from metagpt_tf.tasks import Episode

from .toys import largest_difference, weights_of

N_WAY, SHOT = 3, 2
CROSSENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def clouds(tasks: int = 4, noise: float = 1.0, seed: int = 0) -> Episode:
    """Classes are clouds in the first two of four coordinates; the other two are loud and say nothing."""
    rng = np.random.default_rng(seed)
    y = np.tile(np.tile(np.arange(N_WAY, dtype="int32"), SHOT), (tasks, 1))
    centres = np.zeros((tasks, N_WAY, 4))
    centres[..., :2] = rng.normal(size=(tasks, N_WAY, 2))
    parts = []
    for _ in range(2):
        x = np.take_along_axis(centres, y[..., None], axis=1)
        parts.append((x + rng.normal(size=x.shape) * [0.1, 0.1, 2 * noise, 2 * noise]).astype("float32"))
    return Episode(parts[0], y, parts[1], y)


def dataset(episode: Any, repeat: int = 1) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(Episode(*episode)).repeat(repeat)


def embedding(seed: int = 0) -> keras.Sequential:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(3)])


def classifier(seed: int = 0, **head: Any) -> keras.Sequential:
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    head = {"name": "head", **head}
    return keras.Sequential([keras.Input((4,)), layers.Dense(6, "tanh"), layers.Dense(5), layers.Dense(N_WAY, **head)])


def learner_of(algorithm: Any, model: keras.Model | None = None, **options: Any) -> MetaLearner:
    learner = MetaLearner(classifier() if model is None else model, algorithm, **options)
    learner.compile(keras.optimizers.Adam(0.01), CROSSENTROPY, metrics=["accuracy"])
    return learner


# -------------------------------------------------------------------- prototypical networks


def test_means_and_distances_are_numpys() -> None:
    rng = np.random.default_rng(1)
    features, y = rng.normal(size=(2, 6, 5)).astype("float32"), np.array([[0, 1, 1, 2, 0, 1], [2, 2, 1, 0, 0, 0]])
    means = np.array([[f[labels == n].mean(axis=0) for n in range(3)] for f, labels in zip(features, y, strict=True)])
    np.testing.assert_allclose(class_means(features, y, 3), means, atol=1e-6)
    expected = -np.sum((features[:, :, None] - means[:, None]) ** 2, axis=-1)
    np.testing.assert_allclose(negative_distances(features, means), expected, atol=1e-5)
    assert np.array_equal(class_means(features[0], np.zeros(6, int), 2)[1], np.zeros(5))


def test_the_call_is_adapt_and_classify_of_each_task() -> None:
    network, episode = PrototypicalNetwork(embedding(), N_WAY), clouds()
    logits = network((episode.support_x, episode.support_y, episode.query_x))
    assert logits.shape == (4, N_WAY * SHOT, N_WAY)
    for task in range(4):
        prototypes = network.adapt((episode.support_x[task], episode.support_y[task]))
        assert prototypes.shape == (N_WAY, 3)
        np.testing.assert_allclose(network.classify(episode.query_x[task], prototypes), logits[task], atol=1e-5)


def test_training_learns_which_coordinates_count() -> None:
    network, held_out = PrototypicalNetwork(embedding(), N_WAY), clouds(60, seed=99)
    network.compile(keras.optimizers.Adam(0.02))
    before = network.evaluate(dataset(held_out), verbose=0, return_dict=True)
    data = tf.data.Dataset.from_tensor_slices(tuple(clouds(800, seed=1))).batch(20)
    history = network.fit(data, validation_data=dataset(held_out), epochs=4, verbose=0).history
    after = network.evaluate(dataset(held_out), verbose=0, return_dict=True)
    assert after["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-4)
    assert after["loss"] < 0.8 * before["loss"] and after["accuracy"] > before["accuracy"] + 0.1


def test_a_network_survives_its_file(tmp_path: Path) -> None:
    network, episode = PrototypicalNetwork(embedding(), N_WAY), clouds()
    network.compile("adam")
    network.fit(dataset(episode), verbose=0)
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    inputs = (episode.support_x, episode.support_y, episode.query_x)
    np.testing.assert_array_equal(again(inputs), network(inputs))
    assert again.n_way == N_WAY and again.compiled and again.optimizer.iterations == 1


def test_bad_input_of_a_network_is_named() -> None:
    network, episode = PrototypicalNetwork(embedding(), N_WAY), clouds()
    with pytest.raises(TypeError, match="embedding must be a keras layer or model, received str"):
        PrototypicalNetwork("embedding")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_way must be at least 1, received 0"):
        PrototypicalNetwork(embedding(), 0)
    with pytest.raises(ValueError, match=r"each class of 0 … 2 at least once; received shape \(2,\) with classes"):
        network.adapt((episode.support_x[0, :2], episode.support_y[0, :2]))
    with pytest.raises(ValueError, match=r"called with \(support_x, support_y, query_x\) of a meta-batch"):
        network(episode.support_x)
    network.compile("adam")
    with pytest.raises(TypeError, match="takes a tf.data.Dataset of Episode"):
        network.fit(episode)
    with pytest.raises(ValueError, match="This dataset of episodes is endless: pass steps_per_epoch"):
        network.fit(dataset(episode).repeat())


# -------------------------------------------------------------------- Proto-MAML


@pytest.mark.parametrize("scope", ["all", "head"])
@pytest.mark.parametrize("labels", ["sparse", "one_hot"])
def test_the_start_is_a_prototypical_network(scope: str, labels: str) -> None:
    model, episode = classifier(), clouds()
    learner = MetaLearner(model, ProtoMAML(inner_steps=0, scope=scope))
    one_hot = labels == "one_hot"
    learner.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True) if one_hot else CROSSENTROPY)
    y = np.eye(N_WAY, dtype="float32")[episode.support_y[0]] if one_hot else episode.support_y[0]
    state = learner.adapt((episode.support_x[0], y))
    body = keras.Model(model.inputs[0], model.layers[-2].output)
    network = PrototypicalNetwork(body, N_WAY)
    expected = network.classify(
        episode.query_x[0], network.adapt((episode.support_x[0], episode.support_y[0]))
    ) + tf.reduce_sum(body(episode.query_x[0]) ** 2, axis=-1, keepdims=True)
    np.testing.assert_allclose(learner.adapted(state)(episode.query_x[0]), expected, atol=1e-5)


def test_a_head_without_bias_starts_from_the_means_too() -> None:
    model, episode = classifier(use_bias=False), clouds()
    state = learner_of(ProtoMAML(0, scope="head"), model).adapt((episode.support_x[0], episode.support_y[0]))
    body = keras.Model(model.inputs[0], model.layers[-2].output)
    means = class_means(body(episode.support_x[0]), episode.support_y[0], N_WAY)
    np.testing.assert_allclose(state, np.ravel(2 * np.transpose(means)), atol=1e-5)


def test_steps_go_on_from_there_and_the_model_stays() -> None:
    learner, episode = learner_of(ProtoMAML(inner_steps=3, inner_learning_rate=0.05)), clouds()
    before, support = weights_of(learner), (episode.support_x[0], episode.support_y[0])
    losses = [learner.adapted(learner.adapt(support, steps=n)).loss(learner.task_loss, *support) for n in (0, 1, 5)]
    assert losses[0] > losses[1] > losses[2]
    assert largest_difference(before, weights_of(learner)) == 0


def test_the_meta_gradient_runs_through_the_prototypes() -> None:
    """A step without inner steps trains the body as a prototypical network's gradient would, and not the head."""
    model, episode = classifier(), clouds()
    learner = MetaLearner(model, ProtoMAML(inner_steps=0))
    learner.compile(keras.optimizers.SGD(0.1), CROSSENTROPY)
    before = weights_of(model)
    body = keras.Model(model.inputs[0], model.layers[-2].output)
    network = PrototypicalNetwork(body, N_WAY)
    with tf.GradientTape() as tape:
        logits = network((episode.support_x, episode.support_y, episode.query_x))
        loss = CROSSENTROPY(episode.query_y, logits)  # ‖f‖² shifts all logits alike
    expected = tape.gradient(loss, [v.value for v in body.trainable_variables])
    learner.fit(dataset(episode), verbose=0)
    after = weights_of(model)
    for old, new, gradient in zip(before, after, [*expected, None, None], strict=True):
        np.testing.assert_allclose(old - new, 0.0 if gradient is None else 0.1 * gradient, atol=1e-5)


def test_second_order_differs_from_first_and_both_forms_agree() -> None:
    results = []
    for first, form in ((False, "vectorized"), (False, "sequential"), (True, "vectorized")):
        algorithm = ProtoMAML(1, 0.1, first_order=first)
        learner = MetaLearner(classifier(), algorithm, task_parallelism=form)
        learner.compile(keras.optimizers.SGD(0.1), CROSSENTROPY)
        learner.fit(dataset(clouds(noise=0.3)), verbose=0)
        results.append(weights_of(learner.model))
    assert largest_difference(results[0], results[1]) < 1e-5
    assert largest_difference(results[0], results[2]) > 1e-5


def test_it_learns_faster_than_maml_where_tasks_number_classes_at_will() -> None:
    held_out, data = clouds(60, seed=99), tf.data.Dataset.from_tensor_slices(tuple(clouds(800, seed=1))).batch(20)
    accuracy = {}
    for algorithm in (ProtoMAML(1, 0.1), MAML(1, 0.1)):
        learner = learner_of(algorithm)
        learner.fit(data, epochs=2, verbose=0)
        accuracy[type(algorithm)] = learner.evaluate(dataset(held_out), verbose=0, return_dict=True)["accuracy"]
    assert accuracy[ProtoMAML] > accuracy[MAML] + 0.1


def test_a_saved_learner_adapts_alike(tmp_path: Path) -> None:
    learner, episode = learner_of(ProtoMAML(1, 0.1, learn_rate=True)), clouds()
    learner.fit(dataset(episode), verbose=0)
    learner.save(tmp_path / "learner.keras")
    again = keras.saving.load_model(tmp_path / "learner.keras")
    support = (episode.support_x[0], episode.support_y[0])
    np.testing.assert_array_equal(again.adapt(support), learner.adapt(support))
    assert type(again.algorithm) is ProtoMAML and again.algorithm.get_config() == learner.algorithm.get_config()


def test_it_starts_and_steps_inside_a_litert_file(tmp_path: Path) -> None:
    model, episode = MetaClassifier(N_WAY, "conv", image_shape=(4, 4, 1), filters=3, num_blocks=1), clouds()
    learner = MetaLearner(model, ProtoMAML(2, 0.1, scope="head"))
    learner.compile("adam")
    x = np.tile(episode.support_x[0][:, :, None, None], (1, 1, 4, 1))  # (K, 4, 4, 1)
    file = tmp_path / "m.tflite"
    export_litert(learner, file, k_shot=6, batch_size=6, target=tf.TensorSpec((), tf.int32))
    found = LiteRTRunner(file).adapt(x, episode.support_y[0])
    np.testing.assert_allclose(found, learner.adapt((x, episode.support_y[0])), atol=1e-4)


def test_it_is_given_as_an_object_and_by_its_config() -> None:
    algorithm = ProtoMAML(3, 0.07)
    assert "proto_maml" not in registry.names()  # the registry's battery is regression, which has no classes
    assert get(algorithm) is algorithm
    assert get(keras.saving.serialize_keras_object(algorithm)).get_config() == algorithm.get_config()


def unnamed() -> keras.Model:
    return classifier(name="scores")


@pytest.mark.parametrize(
    ("model", "scope", "message"),
    [
        (unnamed, "all", r"needs a linear layer named 'head' .* found only \['dense', 'dense_1', 'scores'\]"),
        (lambda: classifier(activation="softmax"), "all", "needs a linear layer named 'head' .* found a Dense"),
        (classifier, "dense/", "scope 'dense/' does not hold them. Use scope='all' or scope='head'"),
    ],
)
def test_models_that_do_not_suit_are_named(model: Any, scope: str, message: str) -> None:
    keras.backend.clear_session()
    episode = clouds()
    learner = learner_of(ProtoMAML(1, scope=scope), model())
    with pytest.raises(ValueError, match=message):
        learner.adapt((episode.support_x[0], episode.support_y[0]))


def test_labels_of_another_shape_are_named() -> None:
    episode = clouds()
    learner = MetaLearner(classifier(), ProtoMAML(1))
    learner.compile("adam", lambda y_true, y_pred: tf.reduce_mean(y_pred))
    with pytest.raises(ValueError, match=r"needs labels \(K,\), \(K, 1\) or one-hot \(K, 3\), received shape \(6, 2\)"):
        learner.adapt((episode.support_x[0], np.zeros((6, 2), "int32")))
    with pytest.raises(ValueError, match="pass the task's TaskLoss as support_loss"):
        ProtoMAML().start([])
