"""What every registered algorithm must do, by name."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.fast_weights import State
from metagpt_tf.meta import CAVIA, Algorithm, MetaLearner, get, registry

from .toys import ALGORITHMS, compiled, largest_difference, mlp, numbers, one_batch, waves, weights_of

every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)


# Settings other than the defaults, so that a round trip that loses one shows.
ODD = {"inner_steps": 3, "inner_learning_rate": 0.07, "scope": "kernel"}


def algorithm(name: str, **arguments: object) -> Algorithm:
    few = {"cg_steps": 1} if name == "imaml" else {}  # each is a second-order pass to trace
    return get(name, **{"inner_steps": 2, "inner_learning_rate": 0.05, **few, **arguments})


def support() -> tuple[np.ndarray, np.ndarray]:
    episode = numbers(next(iter(waves(seed=9))))
    return episode.support_x[0], episode.support_y[0]


def test_the_battery_covers_the_issue() -> None:
    first_order = {"fomaml", "reptile"}
    second_order = {"alfa", "anil", "cavia", "imaml", "maml", "maml_plus_plus", "meta_sgd"}
    strategies = {"apart", "dynamic", "hierarchical", "multi_task"}
    assert set(ALGORITHMS) == first_order | second_order | strategies


@every_algorithm
def test_config_round_trip(name: str) -> None:
    made = get(name, **ODD)
    again = registry.get(keras.saving.serialize_keras_object(made))
    assert type(again) is type(made) is registry.class_of(name)
    assert again.get_config() == made.get_config()
    assert {key: getattr(again, key) for key in ODD} == ODD


@every_algorithm
def test_learner_config_round_trip(name: str) -> None:
    learner = MetaLearner(mlp(), algorithm(name), task_parallelism="sequential", name="some_learner")
    again = MetaLearner.from_config(learner.get_config())
    assert again.get_config() == learner.get_config()
    assert [v.shape for v in again.trainable_variables] == [v.shape for v in learner.trainable_variables]


@every_algorithm
def test_adapt_and_evaluate_never_touch_the_model(name: str) -> None:
    learner = compiled(mlp(), algorithm(name))
    before = weights_of(learner)
    state = learner.adapt(support(), steps=5)
    learner.adapted(state)(support()[0])
    learner.evaluate(waves(), verbose=0)
    assert largest_difference(before, weights_of(learner)) == 0
    assert isinstance(state, State) and state.scope == learner.algorithm.scope
    assert state.shape == (learner.layout.size,) and state.dtype == np.float32


@every_algorithm
def test_adapting_lowers_the_support_loss(name: str) -> None:
    # Dynamic holds examples out and may well stop before the loss of all has fallen.
    options = {"held_out": 0.0} if name == "dynamic" else {}
    learner = compiled(mlp(), algorithm(name, inner_learning_rate=0.02, **options))
    losses = [learner.adapted(learner.adapt(support(), steps=n)).loss(learner.task_loss, *support()) for n in (0, 1, 5)]
    assert losses[0] > losses[1] > losses[2]


@every_algorithm
def test_without_steps_the_adapted_model_is_the_model(name: str) -> None:
    learner = compiled(mlp(), algorithm(name))
    context = next(v for v in learner.model.trainable_variables if v.name == "context")
    context.assign(np.ones(context.shape))
    x = support()[0]
    found = learner.adapted(learner.adapt(support(), steps=0))(x).numpy()
    if name == "cavia":  # it starts every task from a context of zeros, whatever the model holds
        assert not np.allclose(found, learner.model(x), atol=1e-4)
        context.assign(np.zeros(context.shape))
    np.testing.assert_allclose(found, learner.model(x), rtol=1e-6, atol=1e-6)


@every_algorithm
def test_the_same_seed_gives_the_same_run(name: str) -> None:
    runs = []
    for _ in range(2):
        learner = compiled(mlp(seed=1), algorithm(name), optimizer=keras.optimizers.Adam(0.01))
        learner.fit(waves(seed=1), verbose=0)
        runs.append(weights_of(learner))
    assert largest_difference(*runs) == 0
    assert largest_difference(runs[0], weights_of(compiled(mlp(seed=1), algorithm(name)))) > 1e-3


@every_algorithm
def test_fit_moves_the_model_and_logs_what_it_should(name: str) -> None:
    learner = compiled(mlp(), algorithm(name))
    before = weights_of(learner.model)
    history = learner.fit(waves(), verbose=0, validation_data=waves(seed=5)).history
    assert largest_difference(before, weights_of(learner.model)) > 1e-4
    logged = {"loss", "pre_loss", "support_loss", "adaptation_gain", *learner.algorithm.logs}
    assert set(history) == logged | {f"val_{key}" for key in logged}
    np.testing.assert_allclose(history["adaptation_gain"][0], history["pre_loss"][0] - history["loss"][0], rtol=1e-5)


@every_algorithm
def test_vectorized_equals_sequential(name: str) -> None:
    """The logs of a step, and every weight after it."""
    results = []
    for form in ("vectorized", "sequential"):
        learner = compiled(mlp(), algorithm(name), task_parallelism=form, metrics=["mae"])
        history = learner.fit(waves(batches=1), verbose=0).history
        results.append((weights_of(learner), {key: values[0] for key, values in history.items()}))
    (first, first_logs), (second, second_logs) = results
    assert largest_difference(first, second) < 1e-5
    assert first_logs == pytest.approx(second_logs, abs=1e-5)


@every_algorithm
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_finite(name: str, policy: str) -> None:
    keras.config.set_dtype_policy(policy)
    learner = compiled(mlp(), algorithm(name), optimizer=keras.optimizers.Adam(0.01), metrics=["mae"])
    scales = policy == "mixed_float16"
    assert isinstance(learner.optimizer, keras.optimizers.LossScaleOptimizer) == scales
    before = weights_of(learner.model)
    history = learner.fit(waves(batches=3), verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert all(np.isfinite(w).all() for w in weights_of(learner))
    assert largest_difference(before, weights_of(learner.model)) > 1e-3
    assert {v.dtype for v in learner.trainable_variables} == {"float32"}
    assert np.isfinite(learner.adapt(support())).all()


def test_loss_scaling_follows_the_models_own_policy() -> None:
    """A model made for float16 is scaled even where the global policy is another by now."""
    keras.config.set_dtype_policy("mixed_float16")
    model = mlp()
    keras.config.set_dtype_policy("float32")
    learner = compiled(model, "maml")
    assert isinstance(learner.optimizer, keras.optimizers.LossScaleOptimizer)
    scale = learner.optimizer.initial_scale
    learner.fit(waves(batches=1), verbose=0)
    again = MetaLearner.from_config(learner.get_config())
    again.compile_from_config(learner.get_compile_config())
    assert isinstance(again.optimizer, keras.optimizers.LossScaleOptimizer) and again.optimizer.initial_scale == scale


CONTINUE = """
import sys
import keras, numpy as np
import metagpt_tf.layers  # registers the model's own layer
from metagpt_tf.meta import MetaLearner
from metagpt_tf.tasks import Sinusoid

folder, names = sys.argv[1], sys.argv[2:]
for name in names:
    learner = keras.saving.load_model(f"{folder}/{name}.keras")
    assert type(learner) is MetaLearner, type(learner)
    with np.load(f"{folder}/support.npz") as support:
        state = learner.adapt((support["x"], support["y"]))
    learner.fit(Sinusoid().as_dataset(3, 4, 5, seed=2, num_batches=2), verbose=0)
    np.savez(f"{folder}/{name}.npz", np.asarray(state), *[np.asarray(v.value) for v in learner.variables])
"""


def test_a_saved_learner_goes_on_in_another_process(tmp_path: Path) -> None:
    """The same state from `adapt`, and the same weights after more training: the optimizer's moments travel too."""
    x, y = support()
    np.savez(tmp_path / "support.npz", x=x, y=y)
    expected = {}
    for name in ALGORITHMS:
        learner = compiled(mlp(), algorithm(name), optimizer=keras.optimizers.Adam(0.01), metrics=["mae"])
        learner.fit(waves(seed=1), verbose=0)
        learner.save(tmp_path / f"{name}.keras")
        state = learner.adapt((x, y))
        learner.fit(waves(seed=2), verbose=0)
        expected[name] = [state, *[v.numpy() for v in learner.variables]]
    command = [sys.executable, "-W", "error::UserWarning:keras", "-c", CONTINUE, str(tmp_path), *ALGORITHMS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ALGORITHMS:
        with np.load(tmp_path / f"{name}.npz") as found:
            assert largest_difference(expected[name], list(found.values())) < 1e-6, name


def test_an_uncompiled_learner_can_be_saved(tmp_path: Path) -> None:
    learner = MetaLearner(mlp(), CAVIA(2, 0.3))
    learner.save(tmp_path / "learner.keras")
    again = keras.saving.load_model(tmp_path / "learner.keras")
    assert not again.compiled
    assert largest_difference(weights_of(learner), weights_of(again)) == 0


def test_one_algorithm_object_serves_a_second_model_if_it_fits() -> None:
    rates = algorithm("meta_sgd")
    compiled(mlp(units=6), rates)
    compiled(mlp(units=6), rates).fit(waves(batches=1), verbose=0)
    with pytest.raises(ValueError, match="Make a new MetaSGD"):
        MetaLearner(mlp(units=7), rates)


def test_what_compile_was_told_survives(tmp_path: Path) -> None:
    learner = compiled(mlp(), "maml", run_eagerly=True, metrics=["mae", keras.metrics.MeanSquaredError(name="square")])
    learner.fit(one_batch(numbers(next(iter(waves())))), verbose=0)
    learner.save(tmp_path / "learner.keras")
    again = keras.saving.load_model(tmp_path / "learner.keras")
    assert again.run_eagerly and not again.jit_compile and isinstance(again.optimizer, keras.optimizers.SGD)
    assert [m.name for m in again.metrics] == [m.name for m in learner.metrics]
    assert tf.nest.flatten(again.evaluate(waves(), verbose=0)) == pytest.approx(learner.evaluate(waves(), verbose=0))
