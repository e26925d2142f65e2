"""Several models as one: what it answers, how it adapts, that it is saved, compressed and exported like any other."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.compression import prune, sparsity
from metagpt_tf.export import export_litert, export_saved_model, parity_report
from metagpt_tf.meta import MAML, AdaptationCurve, Apart, MetaLearner, MetaSGD
from metagpt_tf.models import FusedGPT, MetaClassifier, MetaGPT, Mixing
from metagpt_tf.saving import load_model
from metagpt_tf.tasks import Sinusoid, TextTasks
from metagpt_tf.tokenizers import ByteTokenizer
from metagpt_tf.tuning import fuse, greedy_soup
from tests.conformance.processes import run_python

LENGTH, K = 10, 3


def text_learner(seed, rate=0.1, **sizes):
    keras.utils.set_random_seed(seed)
    sizes = {"dim": 16, "num_heads": 2, "num_layers": 1, "hidden_dim": 32, "low_rank": 2, **sizes}
    learner = MetaLearner(MetaGPT(source_length=LENGTH, target_length=LENGTH, **sizes), MAML(2, rate, scope="low_rank"))
    learner.compile(keras.optimizers.Adam(1e-3), metrics=[])
    return learner


@pytest.fixture(scope="module")
def members():
    return [text_learner(0, 0.1), text_learner(1, 0.3, dim=8)]  # of two widths, and rates of their own


@pytest.fixture(scope="module")
def tasks():
    splits = {"meta_train": range(4), "meta_validation": range(4, 6)}
    pairs = {s: {f"+ {n}": [(f"w{i}", f"w{i + n}") for i in range(20)] for n in ns} for s, ns in splits.items()}
    return TextTasks.from_pairs(pairs, "bytes", LENGTH, LENGTH)


@pytest.fixture(scope="module")
def support(tasks):
    episode = next(iter(tasks.as_dataset(1, K, K)))
    return episode.support_x[0].numpy(), episode.support_y[0].numpy()


@pytest.fixture(scope="module")
def fused(members):
    return fuse(members, weights=[0.75, 0.25])


def regression(seed, units=8, algorithm=None):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(units, "tanh"), keras.layers.Dense(1)])
    learner = MetaLearner(model, algorithm or MAML(1, 0.05))
    learner.compile(keras.optimizers.Adam(1e-2), "mse")
    return learner


# ---------------------------------------------------------------- mixing


def probabilities(logits):
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits))


def test_a_weighted_average_mixes_probabilities():
    first, second = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    mixing = Mixing(2, "weighted")
    mixing.build([(None, 5)] * 2)
    mixing.scores.assign(np.log([0.75, 0.25]))
    expected = 0.75 * probabilities(first) + 0.25 * probabilities(second)
    np.testing.assert_allclose(np.exp(mixing([first, second])), expected, atol=1e-6)


def test_votes():
    answers = [np.log([[0.6, 0.4]]), np.log([[0.6, 0.4]]), np.log([[0.02, 0.98]])]
    assert np.argmax(Mixing(3, "soft_vote")(answers)) == 1 and np.argmax(Mixing(3, "hard_vote")(answers)) == 0
    found = np.exp(Mixing(3, "hard_vote")(answers))
    soft = np.mean([np.exp(a) for a in answers], axis=0)
    np.testing.assert_allclose(found, 0.9 * np.array([[2 / 3, 1 / 3]]) + 0.1 * soft, atol=1e-6)


def test_a_hard_vote_has_the_soft_votes_gradient():
    logits = [tf.constant([[0.3, -0.2, 0.1]]), tf.constant([[0.0, 0.5, 0.2]])]
    gradients = {}
    for how in ("soft_vote", "hard_vote"):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            answer = tf.convert_to_tensor(Mixing(2, how)(logits))[0, 1]
        gradients[how] = tape.gradient(answer, logits)
    np.testing.assert_allclose(gradients["soft_vote"], gradients["hard_vote"], atol=1e-6)


# ---------------------------------------------------------------- adapting and generating


def test_the_state_is_its_members_states(members, fused, support):
    own = np.concatenate([member.adapt(support) for member in members])
    np.testing.assert_allclose(fused.adapt(support), own, atol=1e-6)
    inputs = fused.model.training_inputs(*map(tf.constant, support))
    parts = [member.adapted(member.adapt(support))(inputs) for member in members]
    expected = 0.75 * probabilities(parts[0]) + 0.25 * probabilities(parts[1])
    np.testing.assert_allclose(np.exp(fused.adapted(fused.adapt(support))(inputs)), expected, atol=1e-5)


def test_it_writes_what_its_members_expect_together(fused, support):
    state = fused.adapt(support)
    text = fused.model.generate("w3", state=state, max_length=4)
    ids = fused.model.tokenizer.pack([text], 4, truncate=True)
    source = tf.constant(fused.model.tokenizer.pack(["w3"], LENGTH))
    inputs = fused.model.training_inputs(source, tf.constant(fused.model.text_generator.ids(["w3"], state)))
    written = fused.model.text_generator.ids(["w3"], state)
    np.testing.assert_array_equal(np.argmax(fused.adapted(state)(inputs), -1)[0, 0], written[0, 0])
    assert "".join(fused.model.generate("w3", state=state, max_length=4, stream=True)) == text and ids.shape == (1, 4)


def test_it_is_one_file_that_a_stranger_reads(fused, support, tmp_path):
    fused.save(tmp_path / "fused.keras")
    np.save(tmp_path / "x.npy", support[0])
    np.save(tmp_path / "y.npy", support[1])
    code = """
import sys
import numpy as np
from metagpt_tf.saving import load_model
folder = sys.argv[1]
learner = load_model(folder + "/fused.keras")
state = learner.adapt((np.load(folder + "/x.npy"), np.load(folder + "/y.npy")))
np.save(folder + "/state.npy", np.asarray(state))
print(learner.model.generate("w3", max_length=4))
"""
    done = run_python(code, str(tmp_path))
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "state.npy"), fused.adapt(support), atol=1e-6)
    assert done.stdout.strip("\n") == fused.model.generate("w3", max_length=4)


def test_it_is_exported_and_answers_the_same(fused, support, tmp_path):
    saved = export_saved_model(fused, tmp_path / "saved")
    litert = export_litert(fused, tmp_path / "fused.tflite", K)
    report = parity_report(fused, saved, litert, support)
    assert report.passed, str(report)


def test_it_trains_on_and_is_pruned():
    episodes = Sinusoid().as_dataset(2, 5, 5, num_batches=2)
    fused = fuse([regression(0), regression(1)], "stacking", validation=episodes)
    before = [v.numpy() for v in fused.model.mixing.variables]
    pruned = prune(fused, episodes, 0.5, steps=2)
    assert sparsity(pruned.model) == pytest.approx(0.5, abs=0.06)
    assert len(pruned.adapt((np.ones((3, 1)), np.ones((3, 1))))) == pruned.layout.size < fused.layout.size
    for old, new in zip(before, pruned.model.mixing.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())  # a task adapts members, and training too


def test_classifiers_are_fused_and_exported(tmp_path):
    made = []
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        model = MetaClassifier(n_way=3, image_shape=(8, 8, 1), backbone="conv", filters=4, num_blocks=1)
        made.append(MetaLearner(model, MAML(1, 0.1)))
        made[-1].compile("adam")
    fused = fuse(made, "hard_vote")
    x, y = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32"), np.arange(3)
    assert fused.model.mixing.outputs == "logits"
    directory = export_saved_model(fused, tmp_path)
    report = parity_report(fused, directory, None, (x, y))
    assert report.passed, str(report)
    found = tf.saved_model.load(directory).signatures["classify"](x=tf.constant(x))
    np.testing.assert_allclose(found["probabilities"], probabilities(fused.model(x)), atol=1e-5)
    np.testing.assert_array_equal(found["label"], np.argmax(fused.model(x), axis=-1))


# ---------------------------------------------------------------- weights that look at data


@pytest.fixture(scope="module")
def good_and_bad():
    good, bad = regression(0), regression(1)
    good.fit(Sinusoid().as_dataset(8, 5, 5, num_batches=150), verbose=0)
    bad.model.layers[-1].bias.assign([30.0])  # a step cannot mend that
    return good, bad


@pytest.fixture(scope="module")
def waves():
    return Sinusoid().split("meta_validation").as_dataset(4, 5, 5, num_batches=10)


@pytest.mark.parametrize("weights", ["validation", "learned"])
def test_the_better_member_has_the_larger_weight(good_and_bad, waves, weights):
    fused = fuse(good_and_bad, weights=weights, validation=waves, learning_rate=0.5)
    shares = probabilities(fused.model.mixing.scores)
    assert shares[0] > 0.95 and shares.sum() == pytest.approx(1.0)


def test_stacking_learns_whom_to_believe(good_and_bad, waves):
    plain, stacked = fuse(good_and_bad), fuse(good_and_bad, "stacking", validation=waves, learning_rate=0.1)
    before, after = (AdaptationCurve(one, (1,))(waves).mean() for one in (plain, stacked))
    assert after < 0.5 * before


# ---------------------------------------------------------------- soups


def test_a_soup_is_the_mean_of_the_weights():
    made = [regression(seed, algorithm=MAML(1, rate, learn_rate=True)) for seed, rate in enumerate((0.01, 0.04))]
    soup = fuse(made, "soup")
    for new, a, b in zip(soup.weights, *(m.weights for m in made), strict=True):
        if np.issubdtype(np.dtype(new.dtype), np.floating):
            np.testing.assert_allclose(new.numpy(), (a.numpy() + b.numpy()) / 2, atol=1e-6)
    assert np.exp(soup.algorithm.log_rate.numpy()) == pytest.approx(0.02)  # of learned rates the geometric mean
    assert type(soup) is MetaLearner


def test_a_greedy_soup_leaves_out_what_spoils_it(good_and_bad, waves):
    good, bad = good_and_bad
    soup, chosen = greedy_soup([bad, good, good], waves, steps=2)
    assert chosen == [1, 2]
    np.testing.assert_allclose(soup.model.get_weights()[0], good.model.get_weights()[0], atol=1e-6)
    assert fuse([bad, good], "greedy_soup", validation=waves).optimizer.iterations == 0


# ---------------------------------------------------------------- rates


def test_learned_rates_go_with_their_members():
    made = [regression(0, algorithm=MetaSGD(1, 0.1)), regression(1, 4, MetaSGD(1, 0.2))]
    x, y = np.ones((3, 1), "float32"), np.zeros((3, 1), "float32")
    fused = fuse(made)
    np.testing.assert_allclose(fused.adapt((x, y)), np.concatenate([m.adapt((x, y)) for m in made]), atol=1e-6)
    steps = [regression(0, algorithm=MAML(2, 0.1, learn_rate="per_step")), regression(1, 4, MAML(2, 0.01))]
    steps[0].algorithm.log_rate.assign(np.log([0.1, 0.02]))
    fused = fuse(steps)
    assert isinstance(fused.algorithm, Apart) and fused.algorithm.inner_steps == 2
    np.testing.assert_allclose(fused.adapt((x, y)), np.concatenate([m.adapt((x, y)) for m in steps]), atol=1e-6)
    assert fuse(steps, algorithm=MAML(1, 0.5)).algorithm.inner_learning_rate == 0.5


def test_a_changed_number_of_steps_survives_a_file(members, tmp_path):
    fused = fuse(members)
    fused.algorithm.inner_steps = 5
    fused.save(tmp_path / "fused.keras")
    assert load_model(tmp_path / "fused.keras").algorithm.inner_steps == 5


# ---------------------------------------------------------------- bad input


def test_bad_input_is_refused(members, waves):
    made = regression(0)
    other = text_learner(2, tokenizer=Tokens())
    for given, options, message in (
        (members[:1], {}, "at least two members"),
        (members, {"how": "wieghted"}, "Did you mean 'weighted'"),
        (members, {"weights": "learnt"}, "Did you mean 'learned'"),
        (members, {"weights": [1.0]}, "one for each of 2"),
        (members, {"how": "stacking"}, "needs validation"),
        (members, {"how": "soft_vote", "weights": "learned"}, "weights are for how='weighted'"),
        (members, {"how": "soup"}, "A soup averages weights of the same shapes"),
        ([members[0], other], {}, "one tokenizer"),
        ([members[0], made], {}, "both read text"),
        ([made, made], {"how": "hard_vote"}, "on classes"),
        ([members[0], text_learner(0, 0.1)], {"how": "stacking", "validation": waves.repeat()}, "endless"),
        ([made, regression(0, algorithm=MAML(1, 0.1, scope="kernel"))], {}, "adapt the same weights"),
        ([made, regression(0, algorithm=MAML(1, 0.1, learn_rate=True))], {"how": "soup"}, "learned rates"),
    ):
        with pytest.raises(ValueError, match=message):
            fuse(given, **options)


def test_shapes_and_kinds_are_refused():
    made = regression(0)
    wide = MetaLearner(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    wide.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"one shape: member 0 \(\(1,\), \(1,\)\), member 1 \(\(2,\), \(1,\)\)"):
        fuse([made, wide])
    with pytest.raises(TypeError, match="all models or all learners"):
        fuse([made, made.model])
    with pytest.raises(TypeError, match="give learners, not models"):
        fuse([made.model, made.model], "greedy_soup")
    with pytest.raises(TypeError, match="can be put side by side"):
        fuse([regression(0, algorithm="alfa"), regression(1, algorithm="alfa")])
    with pytest.raises(TypeError, match="received Dynamic"):  # a kin of MAML that is more than its rates
        fuse([regression(0, algorithm="dynamic"), regression(1, algorithm="dynamic")])
    with pytest.raises(ValueError, match="one shape"):
        fuse([MetaGPT(source_length=n, target_length=8, dim=8, num_heads=2, num_layers=1) for n in (8, 9)])
    assert isinstance(fuse([text_learner(0).model, text_learner(1).model]), FusedGPT)


class Tokens(ByteTokenizer):
    """Bytes of another name."""

    def get_config(self):
        return {**super().get_config(), "name": "other"}
