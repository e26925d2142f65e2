"""One elastic training serves many sizes; the best that keeps a measured budget comes out as an ordinary model."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.compression.recovery import recover
from metagpt_tf.meta import MAML, AdaptationCurve, MetaLearner
from metagpt_tf.models import ElasticGPT, MetaGPT
from metagpt_tf.models.elastic import Sizes
from metagpt_tf.saving import load_learner, load_model, save_learner
from metagpt_tf.tasks import TextTasks
from metagpt_tf.tuning import ElasticLearner, FileBudget, elastic, find_architecture, part_of
from metagpt_tf.tuning.architecture import evolve
from metagpt_tf.tuning.costs import Costs

LENGTH, K = 8, 3


@pytest.fixture(scope="module")
def learner():
    keras.utils.set_random_seed(0)
    sizes = {"dim": 8, "num_heads": 4, "num_layers": 2, "hidden_dim": 16, "low_rank": 2}
    made = MetaLearner(
        MetaGPT(source_length=LENGTH, target_length=LENGTH, **sizes),
        MAML(1, 0.1, scope="norm_bias", first_order=True, learn_rate="per_tensor"),
    )
    for variable in made.model.trainable_variables:  # adapters and biases begin at zero: give all something to do
        if not np.any(variable.numpy()):
            variable.assign(np.random.default_rng(0).normal(0, 0.1, variable.shape))
    made.algorithm.log_rate.assign(np.random.default_rng(1).normal(-3, 0.1, made.algorithm.log_rate.shape))
    made.compile(keras.optimizers.Adam(1e-3), metrics=[])
    return made


@pytest.fixture(scope="module")
def episodes():
    splits = {"meta_train": range(4)}
    pairs = {s: {f"+ {n}": [(f"w{i}", f"w{i + n}") for i in range(20)] for n in ns} for s, ns in splits.items()}
    return TextTasks.from_pairs(pairs, "bytes", LENGTH, LENGTH).as_dataset(2, K, K, num_batches=2)


@pytest.fixture(scope="module")
def made(learner, episodes):
    return elastic(learner, episodes, {"num_heads": [2, 4]}, scoring_batches=1)


@pytest.fixture
def inputs(learner, episodes):
    batch = next(iter(episodes))
    return learner.model.training_inputs(batch.query_x[0], batch.query_y[0])


def test_the_whole_answers_as_the_model_it_was_made_of(learner, made, inputs):
    np.testing.assert_allclose(made.model(inputs), learner.model(inputs), atol=1e-5)
    assert made.model.choices == {"num_layers": [1, 2], "num_heads": [2, 4], "hidden_dim": [4, 8, 12, 16]}


@pytest.mark.parametrize("sizes", [Sizes(1, 2, 4), Sizes(2, 3, 9)])
def test_a_part_is_an_ordinary_model_that_answers_as_it_did(made, inputs, sizes):
    made.model.activate(**sizes._asdict())
    try:
        part = part_of(made, sizes)
        np.testing.assert_allclose(part.model(inputs), made.model(inputs), atol=1e-5)
        assert part.model.generate("w3", max_length=3) == made.model.generate("w3", max_length=3)
    finally:
        made.model.activate()
    assert type(part.model) is MetaGPT and type(part) is MetaLearner
    assert (part.model.num_layers, part.model.num_heads, part.model.hidden_dim) == sizes
    assert part.model.count_params() < made.model.count_params()


def test_a_part_adapts_as_it_did_inside(made, episodes):
    made.model.activate(num_layers=1, hidden_dim=8)
    try:
        inside = AdaptationCurve(made, (0, 1))(episodes)
    finally:
        made.model.activate()
    outside = AdaptationCurve(part_of(made, Sizes(1, 4, 8)), (0, 1))(episodes)
    np.testing.assert_allclose(inside, outside, atol=1e-5)


def test_heads_and_neurons_that_matter_come_first(learner, episodes):
    silent = MetaLearner(MetaGPT.from_config(learner.model.get_config()), MAML(0, 0.1))
    silent.model.set_weights(learner.model.get_weights())
    silent.compile("adam", metrics=[])
    for variable in silent.model.trainable_variables:
        values = variable.numpy()
        if "attention/output/kernel" in variable.path:
            values[:4] = 0.0  # the first two heads say nothing
        elif "down/kernel" in variable.path:
            values[:8] = 0.0
        variable.assign(values)
    made = elastic(silent, episodes, scoring_batches=2)
    batch = next(iter(episodes))
    given = silent.model.training_inputs(batch.query_x[0], batch.query_y[0])
    part = part_of(made, Sizes(2, 2, 8))
    np.testing.assert_allclose(part.model(given), silent.model(given), atol=1e-5)


def test_a_sandwich_has_the_whole_the_smallest_and_two_drawn_ones(made):
    first, again, later = (made.model.sandwich(tf.constant(step)) for step in (3, 3, 4))
    assert [tuple(s.numpy()) for s in first[:2]] == [(2, 4, 16), (1, 2, 4)] and len(first) == 4
    assert [s.numpy().tolist() for s in first] == [s.numpy().tolist() for s in again]
    drawn = {tuple(s.numpy()) for t in range(30) for s in made.model.sandwich(tf.constant(t))[2:]}
    assert len(drawn) > 8 and all(s[1] in (2, 4) and s[2] in (4, 8, 12, 16) for s in drawn) and later


def test_a_step_of_either_kind_moves_the_whole_and_its_parts(episodes):
    keras.utils.set_random_seed(0)
    sizes = {"dim": 8, "num_heads": 2, "num_layers": 1, "hidden_dim": 8, "low_rank": 0, "context_tokens": 0}
    model = ElasticGPT(source_length=LENGTH, target_length=LENGTH, **sizes)
    model.compile(keras.optimizers.Adam(1e-2), metrics=[])
    batch = next(iter(episodes))
    x, y = batch.query_x[0], batch.query_y[0]

    def losses():
        found = []
        for part in (model.largest, model.smallest):
            model.activate(**part._asdict())
            found.append(float(model.loss(y, model(model.training_inputs(x, y)))))
        model.activate()
        return found

    before = losses()
    model.fit(tf.data.Dataset.from_tensors((x, y)).repeat(), steps_per_epoch=20, verbose=0)
    after = losses()
    assert all(b < 0.9 * a for a, b in zip(before, after, strict=True)), (before, after)
    learner = ElasticLearner(model, MAML(1, 0.1, scope="norm_bias", first_order=True))
    learner.compile(keras.optimizers.SGD(0.1), metrics=[])
    learner.fit(episodes.take(1), verbose=0)
    assert all(b < a for a, b in zip(after, losses(), strict=True))


def test_a_file_opens_where_nobody_has_imported_its_room(made, tmp_path):
    made.save(tmp_path / "elastic.keras")
    code = "import sys; from metagpt_tf.saving import load_model; print(type(load_model(sys.argv[1])).__name__)"
    asked = [sys.executable, "-c", code, str(tmp_path / "elastic.keras")]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["ElasticLearner"]


@pytest.mark.slow
def test_one_training_makes_all_parts_better(made, episodes, tmp_path):
    """Plainly, then by meta-steps, resumable; and the whole and its parts are kept in one file."""
    parts = [Sizes(2, 4, 16), Sizes(1, 2, 4), Sizes(1, 4, 8)]
    before = [AdaptationCurve(part_of(made, s), (1,))(episodes).mean() for s in parts]
    trained = elastic(made_plain(made), episodes, {"num_heads": [2, 4]}, scoring_batches=1)
    trained.compile(keras.optimizers.Adam(3e-3), metrics=[])
    recover(trained, episodes, 1, backup=tmp_path / "backup", plain_steps=60)
    after = [AdaptationCurve(part_of(trained, s), (1,))(episodes).mean() for s in parts]
    assert all(b < 0.85 * a for a, b in zip(before, after, strict=True)), (before, after)
    assert trained.optimizer.iterations == 1 and trained.model.active_sizes == (2, 4, 16)
    trained.save(tmp_path / "elastic.keras")
    again = load_model(tmp_path / "elastic.keras")
    np.testing.assert_array_equal(again.model.get_weights()[0], trained.model.get_weights()[0])
    save_learner(part_of(again, parts[1]), tmp_path / "preset")
    assert load_learner(tmp_path / "preset").model.num_layers == 1


def made_plain(made):
    return part_of(made, made.model.largest)


def test_parts_are_taught_by_the_whole():
    """With all weight on the whole model's word, a part's loss is its divergence from it (and the entropy)."""
    model = ElasticGPT(source_length=4, target_length=4, dim=8, num_heads=2, num_layers=1, weight=1.0)
    model.compile(metrics=[])
    logits = np.random.default_rng(0).normal(size=(1, 2, 5)).astype("float32")
    target = np.array([[3, 0]])  # the second is padding
    shares = np.exp(logits[0, 0]) / np.exp(logits[0, 0]).sum()
    loss = float(model._part_loss(target, tf.constant(logits), tf.constant(logits), None))
    assert loss == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-5)


# ---------------------------------------------------------------- budgets and evolution


def made_costs(budget, path=None):
    measured = []

    def measure(sizes):
        measured.append(sizes)
        return {"size_mb": float(sizes[0] * sizes[1] * sizes[2]), "latency_ms": float(sizes[0])}

    return Costs(measure, FileBudget.of(budget), path), measured


def test_costs_are_measured_once_and_concluded_from(tmp_path):
    costs, measured = made_costs({"size_mb": 20.0}, tmp_path / "costs.json")
    assert costs.fits(Sizes(1, 2, 10)) and not costs.fits(Sizes(2, 2, 10))
    assert costs.fits(Sizes(1, 1, 10)) and not costs.fits(Sizes(2, 4, 16))  # smaller and larger ones follow
    assert len(measured) == 2
    again, measured = made_costs({"size_mb": 20.0}, tmp_path / "costs.json")
    assert again.fits(Sizes(1, 2, 10)) and measured == []


def test_evolution_finds_the_best_that_keeps_the_budget(made):
    class Judge:
        def __init__(self):
            self.losses = {}

        def __call__(self, sizes):
            self.losses[sizes] = -float(sizes[0] * 10 + sizes[1] + sizes[2] / 16)
            return self.losses[sizes]

    costs, _ = made_costs({"size_mb": 70.0})
    every = [Sizes(a, b, c) for a in (1, 2) for b in (2, 4) for c in (4, 8, 12, 16)]
    best = min((s for s in every if s[0] * s[1] * s[2] <= 70), key=Judge())
    assert evolve(made.model, Judge(), costs, population=6, generations=6) == best == Sizes(2, 4, 8)
    judge = Judge()
    evolve(made.model, judge, costs, population=len(every), generations=0)
    assert len(judge.losses) >= 6  # who is there at the end is judged too


def test_what_is_refused_leaves_the_folder_free(learner, episodes, tmp_path):
    with pytest.raises(ValueError, match="num_heads"):
        find_architecture(learner, episodes, episodes, {"size_mb": 1.0}, tmp_path, {"num_heads": [9]})
    assert not list(tmp_path.iterdir())


def test_an_architecture_is_found_and_measured(learner, episodes, tmp_path):
    budget = {"size_mb": 100.0}
    options = {"choices": {"num_layers": [1], "num_heads": [4], "hidden_dim": [8]}, "k_shot": K}
    sizes = {"steps": 0, "plain_steps": 0, "population": 2, "generations": 0}
    found = find_architecture(learner, episodes, episodes, budget, tmp_path, **options, **sizes)
    assert found.sizes == min(found.losses, key=lambda s: found.losses[s]) and "chosen" in str(found)
    assert 0 < found.cost["size_mb"] < 1 and found.cost["latency_ms"] > 0 and found.cost["memory_mb"] > 0
    assert found.learner.model.hidden_dim == found.sizes.hidden_dim
    with pytest.raises(ValueError, match="another learner, other choices or another k_shot"):
        find_architecture(learner, episodes, episodes, budget, tmp_path)


def test_a_budget_that_nothing_meets_names_the_nearest(learner, episodes, tmp_path):
    (tmp_path / "costs.json").write_text('[[[1, 1, 4], {"size_mb": 0.2, "latency_ms": 3.0, "adapt_ms": 4.0}]]')
    with pytest.raises(
        ValueError, match=r"smallest \(num_layers=1, num_heads=1, hidden_dim=4\): latency_ms 3 \(limit 1"
    ):
        find_architecture(learner, episodes, episodes, {"latency_ms": 1.0, "size_mb": 1.0}, tmp_path)
    assert not list(tmp_path.glob("*.keras"))  # nothing was trained


def test_bad_input_is_refused(learner, made, episodes, tmp_path):
    for budget, message in (
        ({}, "needs one of size_mb"),
        ({"latency": 1}, "Did you mean 'latency_ms'"),
        ({"size_mb": 0}, "above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            find_architecture(learner, episodes, episodes, budget, tmp_path)
    with pytest.raises(ValueError, match="num_heads must be between 1 and 4"):
        elastic(learner, episodes, {"num_heads": [8]})
    with pytest.raises(ValueError, match="Did you mean 'num_layers'"):
        made.model.activate(num_layer=1)
    with pytest.raises(ValueError, match="needs norm='pre'"):
        ElasticGPT(norm="post", dim=8, num_heads=2, num_layers=1)
    with pytest.raises(TypeError, match="made of a MetaGPT"):
        elastic(MetaLearner(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])), episodes)
