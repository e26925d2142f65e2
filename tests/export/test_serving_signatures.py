"""What a server offers beside plain answers: sampling by request, scores, classes, states that know their model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.export import export_saved_model
from metagpt_tf.export.state_mark import read_mark
from metagpt_tf.generation import TopK, TopP
from metagpt_tf.generation.per_request import Settings
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaClassifier

from .conftest import small_learner, support


@pytest.fixture(scope="module")
def loaded(saved_model):
    return tf.saved_model.load(str(saved_model)).signatures


@pytest.fixture(scope="module")
def state(learner):
    return learner.adapt(support(learner.model), steps=8, rate_multiplier=5.0)


def asked(**columns):
    kinds = {"temperature": tf.float32, "top_p": tf.float32}
    return {name: tf.constant(columns[name], kinds.get(name, tf.int32)) for name in Settings._fields}


def texts(answer):
    return [text.decode(errors="replace") for text in answer["text"].numpy()]


def test_each_row_is_sampled_as_it_asks(loaded, learner):
    prompts = ["def f(x):", "a", "second prompt", "a"]
    settings = asked(
        temperature=[0.0, 1.0, 0.7, 1.0],
        top_k=[0, 5, 0, 5],
        top_p=[1.0, 1.0, 0.8, 1.0],
        seed=[1, 2, 3, 2],
        max_length=[99, 99, 99, 3],
    )
    found = texts(loaded["sample"](text=tf.constant(prompts), **settings))
    assert found[0] == learner.model.generate(prompts[0])
    assert found[1] == learner.model.generate(prompts[1], sampler=TopK(5), seed=2)
    assert found[2] == learner.model.generate(prompts[2], sampler=TopP(0.8, temperature=0.7), seed=3)
    assert found[3] == learner.model.generate(prompts[3], sampler=TopK(5), seed=2, max_length=3)


def test_sampling_with_a_state(loaded, learner, state):
    settings = asked(temperature=[1.0], top_k=[4], top_p=[1.0], seed=[9], max_length=[99])
    found = texts(loaded["sample_adapted"](prompt=tf.constant(["item 7"]), state=tf.constant(state), **settings))
    assert found == [learner.model.generate("item 7", state=state, sampler=TopK(4), seed=9)]


def test_scores_are_the_loss_of_each_row(loaded, learner, state):
    source, target = ["item 1", "item 2"], ["ITEM 1", "no"]
    pack, model = learner.model.tokenizer.pack, learner.model
    x, y = (tf.constant(pack(part, length)) for part, length in ((source, 12), (target, 12)))
    x, y = x[:, : model.source_length], y[:, : model.target_length]
    given = {"source": tf.constant(source), "target": tf.constant(target)}
    for name, extra, subject in (
        ("score", {}, model),
        ("score_adapted", {"state": tf.constant(state)}, learner.adapted(state)),
    ):
        found = loaded[name](**given, **extra)["loss"]
        expected = [
            float(learner.task_loss(y[i : i + 1], subject(model.training_inputs(x[i : i + 1], y[i : i + 1]))))
            for i in range(2)
        ]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_state_of_another_model_is_refused(loaded, learner, saved_model, tmp_path):
    other = small_learner()
    other.model.set_weights([w + 0.01 for w in other.model.get_weights()])
    x, y = (tf.constant(part) for part in support(learner.model))
    theirs = tf.saved_model.load(str(export_saved_model(other, tmp_path))).signatures["adapt"](support_x=x, support_y=y)
    own = loaded["adapt"](support_x=x, support_y=y)
    assert read_mark(own["state"].numpy()) not in (None, read_mark(theirs["state"].numpy()))
    loaded["generate_adapted"](prompt=tf.constant(["a"]), state=own["state"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="made by another model or version"):
        loaded["generate_adapted"](prompt=tf.constant(["a"]), state=theirs["state"])


@pytest.mark.parametrize(
    ("options", "shape"),
    [({"image_shape": (8, 8, 1), "patch_size": 4}, (8, 8, 1)), ({"vocabulary_size": 20, "max_length": 6}, (6,))],
)
def test_a_classifier(options, shape, tmp_path):
    keras.utils.set_random_seed(0)
    model = MetaClassifier(3, dim=16, num_heads=2, num_layers=1, hidden_dim=16, **options)
    learner = MetaLearner(model, MAML(1, 0.5))
    learner.compile("adam")
    draw = np.random.default_rng(0)
    x = draw.integers(1, 20, (6, *shape)).astype("int32") if len(shape) == 1 else draw.random((6, *shape), "float32")
    y = np.arange(6, dtype="int32") % 3
    model(x)
    signatures = tf.saved_model.load(str(export_saved_model(learner, tmp_path))).signatures
    found = signatures["classify"](x=tf.constant(x))
    np.testing.assert_allclose(found["probabilities"], tf.nn.softmax(model(x)), atol=1e-5)
    np.testing.assert_array_equal(found["label"], np.argmax(model(x), -1))
    given = signatures["adapt"](support_x=tf.constant(x), support_y=tf.constant(y))["state"]
    after = signatures["classify_adapted"](x=tf.constant(x), state=given)["probabilities"]
    np.testing.assert_allclose(after, tf.nn.softmax(learner.adapted(learner.adapt((x, y)))(x)), atol=1e-4)
    losses = signatures["score_adapted"](x=tf.constant(x), y=tf.constant(y), state=given)["loss"]
    np.testing.assert_allclose(losses, -np.log(after.numpy()[np.arange(6), y]), atol=1e-4)
