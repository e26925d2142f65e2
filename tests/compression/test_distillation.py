"""A small learner learns from a large one that has adapted to the same task."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.compression import distill, distillation
from metagpt_tf.compression.distillation import DistillingLearner, adapted_answers, encoded, soft_loss
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.meta.episodes import as_episode
from metagpt_tf.models import MetaGPT
from metagpt_tf.tasks import ArrayTasks, TextTasks

LENGTH = 8


def network(width, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(width, "tanh"), keras.layers.Dense(3)])


def learner(width, steps=1, seed=0):
    made = MetaLearner(network(width, seed), MAML(steps, 0.1))
    made.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


def episodes(batches=10):
    draw = np.random.default_rng(0)
    tasks = {}
    for index in range(6):
        x, turn = draw.normal(size=(30, 4)).astype("float32"), draw.normal(size=(4, 3))
        tasks[f"turn {index}"] = (x, (x @ turn).argmax(axis=1).astype("int32"))
    return ArrayTasks({"meta_train": tasks}).as_dataset(3, 5, 5, num_batches=batches)


def distance(teacher, student, data):
    """Mean divergence between the adapted two."""
    found = []
    for batch in data:
        for task in zip(*batch, strict=True):
            fields = as_episode(task)
            found.append(
                float(soft_loss(adapted_answers(teacher, fields)[0], adapted_answers(student, fields)[0], 1.0))
            )
    return np.mean(found)


def test_the_formula():
    teacher, student = tf.constant([[2.0, 0.0], [0.0, 0.0]]), tf.constant([[0.0, 0.0], [0.0, 0.0]])
    p = np.exp([1.0, 0.0]) / np.exp([1.0, 0.0]).sum()
    expected = 4.0 * (p * (np.log(p) - np.log(0.5))).sum()
    assert float(soft_loss(teacher, student, 2.0)) == pytest.approx(expected / 2, rel=1e-5)
    assert float(soft_loss(teacher, student, 2.0, [True, False])) == pytest.approx(expected, rel=1e-5)
    assert float(soft_loss(teacher, teacher, 2.0)) == pytest.approx(0.0, abs=1e-6)


def test_the_student_comes_to_answer_as_the_adapted_teacher():
    teacher, student = learner(32), learner(8, seed=1)
    teacher.fit(episodes(60), verbose=0)
    taught = distill(teacher, student, episodes(), steps=150, weight=1.0)
    assert distance(teacher, taught, episodes(5)) < 0.5 * distance(teacher, student, episodes(5))
    assert type(taught) is MetaLearner and taught.optimizer.iterations == 150


def test_teacher_and_student_stay():
    teacher, student = learner(16), learner(8)
    before = [w.copy() for w in teacher.get_weights()], [w.copy() for w in student.get_weights()]
    distill(teacher, student, episodes(), steps=3)
    for old, new in zip(before, (teacher.get_weights(), student.get_weights()), strict=True):
        for a, b in zip(old, new, strict=True):
            np.testing.assert_array_equal(a, b)


def test_without_the_teachers_word_it_is_meta_training():
    teacher, plain = learner(16), learner(8)
    taught = distill(teacher, plain, episodes(), weight=0.0)
    plain.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    plain.fit(episodes(), verbose=0)
    for a, b in zip(taught.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_teachers_weights_are_not_trained():
    pupil = DistillingLearner(network(8), learner(16), MAML(1, 0.1))
    assert len(pupil.trainable_variables) == 4


def text_learner(dim):
    sizes = {"num_heads": 2, "num_layers": 1, "low_rank": 2}
    made = MetaLearner(MetaGPT(source_length=LENGTH, target_length=LENGTH, dim=dim, **sizes), MAML(1, 0.1))
    made.compile("adam")
    return made


def test_text_models():
    pairs = {"meta_train": {f"shift {n}": [(f"w{i}", f"w{i + n}") for i in range(20)] for n in range(4)}}
    data = TextTasks.from_pairs(pairs, "bytes", LENGTH, LENGTH).as_dataset(2, 3, 3, num_batches=2)

    taught = distill(text_learner(16), text_learner(8), data)
    assert all(np.isfinite(w).all() for w in taught.get_weights())


def test_features():
    """Told nothing but the teacher's features, the student's encoder comes near them; sizes must agree."""
    pairs = {"meta_train": {f"shift {n}": [(f"w{i}", f"w{i + n}") for i in range(20)] for n in range(4)}}
    data = TextTasks.from_pairs(pairs, "bytes", LENGTH, LENGTH).as_dataset(2, 3, 3, num_batches=2)
    keras.utils.set_random_seed(0)
    teacher, student = text_learner(16), text_learner(16)
    options = {"temperature": 1.0, "weight": 0.0, "steps": 20}
    pair = [
        distill(teacher, student, data, feature_weight=weight, optimizer=keras.optimizers.Adam(1e-2), **options)
        for weight in (0.0, 5.0)
    ]

    def difference(taught):
        found = []
        for task in zip(*next(iter(data)), strict=True):
            fields = as_episode(task)
            own = [one.in_task(*fields[:2], one.algorithm.adapt) for one in (teacher, taught)]
            features = [encoded(task, run.fast, fields.query_x)[0] for task, run in own]
            found.append(float(tf.reduce_mean((features[0] - features[1]) ** 2)))
        return np.mean(found)

    assert difference(pair[1]) < 0.7 * difference(pair[0])
    with pytest.raises(ValueError, match="the teacher has dim=16, the student dim=8"):
        distill(teacher, text_learner(8), data, feature_weight=1.0)
    with pytest.raises(ValueError, match="received Sequential and Sequential"):
        distill(learner(8), learner(8), episodes(), feature_weight=1.0)
    with pytest.raises(ValueError, match="received -1"):
        distill(learner(8), learner(8), episodes(), feature_weight=-1)


def test_padding_does_not_count(monkeypatch):
    pairs = {"meta_train": {f"shift {n}": [(f"w{i}", f"w{i + n}") for i in range(20)] for n in range(4)}}
    tasks = TextTasks.from_pairs(pairs, "bytes", LENGTH, LENGTH)
    data = tasks.as_dataset(2, 3, 3, num_batches=1)
    real = adapted_answers

    def with_noise_where_padded(teacher, fields, with_features):
        padded = tf.cast(tf.equal(fields.query_y, 0), tf.float32)[..., None]
        return real(teacher, fields)[0] + noise[-1] * padded * tf.range(259, dtype=tf.float32), None

    monkeypatch.setattr(distillation, "adapted_answers", with_noise_where_padded)
    noise, weights = [], []
    for amount in (0.0, 1.0):
        noise.append(amount)
        keras.utils.set_random_seed(0)
        teacher, student = (text_learner(dim) for dim in (16, 8))
        weights.append(distill(teacher, student, data).get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_as_many_logits():
    with pytest.raises(ValueError, match="as many logits"):
        soft_loss(tf.zeros([2, 3]), tf.zeros([2, 4]), 1.0)
    with pytest.raises(ValueError, match="as many logits"):
        soft_loss(tf.zeros([2, 1]), tf.zeros([2, 1]), 1.0)


def test_plain_models_by_keras():
    teacher, student = network(16), network(8, seed=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.layers[0].trainable = False
    for model in (teacher, student):
        model.compile(keras.optimizers.Adam(1e-2), loss)
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, np.asarray(teacher(x)).argmax(axis=1).astype("int32"))).batch(16)
    taught = distill(teacher, student, data, steps=200, weight=1.0)
    agreement = [(np.asarray(m(x)).argmax(1) == np.asarray(teacher(x)).argmax(1)).mean() for m in (student, taught)]
    assert agreement[1] > 0.9 > agreement[0]
    assert [layer.trainable for layer in teacher.layers] == [False, True]


def test_one_of_each():
    with pytest.raises(TypeError, match="MetaLearner and Sequential"):
        distill(learner(8), network(8), episodes())


@pytest.mark.parametrize("options", [{"temperature": 0}, {"weight": 1.5}])
def test_out_of_range(options):
    with pytest.raises(ValueError, match=r"temperature > 0 and weight in \[0, 1\]"):
        distill(learner(8), learner(8), episodes(), **options)
