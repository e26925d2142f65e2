"""What is given wrongly is refused at the door, with what was given, what was expected and how to mend it."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import ANIL, CAVIA, FOMAML, MAML, AdaptationCurve, MetaLearner, Reptile, best_rate, get
from metagpt_tf.models import MetaGPT
from metagpt_tf.tasks import Sinusoid

from .toys import ALGORITHMS, compiled, mlp, numbers, waves


@pytest.fixture(scope="module")
def learner() -> MetaLearner:
    return compiled(mlp(), MAML(1, 0.01))


def endless() -> tf.data.Dataset:
    return Sinusoid().as_dataset(2, k_shot=3, n_query=3)


def parts(*shapes: tuple[int, ...]) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(tuple(np.ones(shape, "float32") for shape in shapes))


@pytest.mark.parametrize("verb", ["fit", "evaluate"])
@pytest.mark.parametrize("given", [np.ones((2, 3, 1)), [1, 2], None, "episodes"])
def test_not_a_dataset(learner: MetaLearner, verb: str, given: Any) -> None:
    with pytest.raises(
        TypeError, match=rf"takes a tf.data.Dataset of Episode, received {type(given).__name__}.*as_dataset"
    ):
        getattr(learner, verb)(given, verbose=0)


def test_validation_data_that_is_no_dataset(learner: MetaLearner) -> None:
    with pytest.raises(TypeError, match="received tuple"):
        learner.fit(waves(), validation_data=(np.ones((2, 1)), np.ones((2, 1))), verbose=0)


@pytest.mark.parametrize(
    ("verb", "arguments", "steps"),
    [
        ("fit", lambda: (endless(), {}), "steps_per_epoch"),
        ("evaluate", lambda: (endless(), {}), "steps"),
        ("fit", lambda: (waves(), {"validation_data": endless()}), "validation_steps"),
    ],
)
def test_endless_without_steps(learner: MetaLearner, verb: str, arguments: Any, steps: str) -> None:
    dataset, options = arguments()
    with pytest.raises(ValueError, match=rf"endless: pass {steps}=…, or make it with as_dataset"):
        getattr(learner, verb)(dataset, verbose=0, **options)


def test_endless_with_steps_is_fine(learner: MetaLearner) -> None:
    history = learner.fit(
        endless(), steps_per_epoch=2, validation_data=endless(), validation_steps=1, verbose=0
    ).history
    assert np.isfinite(history["val_loss"]).all()


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (parts((2, 3, 1), (2, 3, 1)), r"Expected an Episode \(support_x, .*received tuple of 2 part"),
        (parts((2, 3, 1), (2, 3, 1), (2, 3, 1)), "received tuple of 3 part"),
        (tf.data.Dataset.from_tensors(np.ones((2, 3, 1))), "received TensorSpec of 1 part"),
        (tf.data.Dataset.from_tensors({"x": np.ones(2), "y": np.ones(2)}), "received dict of 2 part"),
        (parts((2,), (2,), (2,), (2,)), r"need leading axes \(M, K, …\).*support_x \(2,\).*dataset.batch"),
        (
            parts((2, 0, 1), (2, 0, 1), (2, 3, 1), (2, 3, 1)),
            r"K \(support examples\) of an episode is empty.*\(2, 0, 1\)",
        ),
        (
            parts((2, 4, 1), (2, 1, 1), (2, 3, 1), (2, 3, 1)),
            r"K \(support examples\) must have one size, received \[1, 4\]",
        ),
        (
            parts((2, 4, 1), (2, 4, 1), (2, 3, 1), (2, 1, 1)),
            r"Q \(query examples\) must have one size, received \[1, 3\]",
        ),
        (parts((2, 4, 1), (2, 4, 1), (1, 3, 1), (1, 3, 1)), r"M \(tasks\) must have one size, received \[1, 2\]"),
    ],
)
def test_elements_that_are_no_episodes(learner: MetaLearner, dataset: tf.data.Dataset, message: str) -> None:
    for verb in (learner.fit, learner.evaluate):
        with pytest.raises(ValueError, match=message):
            verb(dataset, verbose=0)


@pytest.mark.parametrize(
    ("support", "message"),
    [
        (np.ones((3, 1)), r"adapt takes a support set \(x, y\).*received ndarray"),
        ((np.ones((3, 1)),) * 3, "received tuple of 3 part"),
        ((np.ones((0, 1)), np.ones((0, 1))), r"support set is empty \(shapes \[\(0, 1\), \(0, 1\)\]\)"),
        ((np.ones((3, 1)), np.ones((4, 1))), r"same number K of examples.*\(3, 1\), \(4, 1\)"),
        ((np.float32(1), np.float32(1)), r"leading axis K of examples; received shapes \[\(\), \(\)\]"),
        ((tf.constant(1.0), tf.constant(1.0)), r"leading axis K of examples; received shapes \[\(\), \(\)\]"),
        (([], []), r"leading axis K of examples; received shapes \[\]"),
    ],
)
def test_support_sets(learner: MetaLearner, support: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        learner.adapt(support)


@pytest.mark.parametrize("steps", [-1, 1.5, True])
def test_steps(learner: MetaLearner, steps: Any) -> None:
    with pytest.raises(ValueError, match=rf"steps must be a whole number >= 0, received {steps}"):
        learner.adapt((np.ones((3, 1)), np.ones((3, 1))), steps=steps)


def test_adaptation_that_blows_up(learner: MetaLearner) -> None:
    with pytest.raises(ValueError, match=r"values that are not finite. Adapt again with a smaller inner_learning_rate"):
        learner.adapt((np.full((3, 1), 1e20, "float32"), np.full((3, 1), 1e25, "float32")), steps=9)


@pytest.mark.parametrize(
    ("state", "message"),
    [(np.ones(3), r"has shape \(\d+,\); received \(3,\)"), (np.full(57, np.nan), "57 values that are not finite")],
)
def test_states(learner: MetaLearner, state: np.ndarray, message: str) -> None:
    assert learner.layout.size == 57
    with pytest.raises(ValueError, match=message):
        learner.adapted(state)


@pytest.mark.parametrize(
    ("name", "closest"), [("mmal", "maml"), ("MAML++", "maml"), ("reptil", "reptile"), ("metasgd", "meta_sgd")]
)
def test_unknown_algorithm(name: str, closest: str) -> None:
    with pytest.raises(
        ValueError,
        match=rf"Unknown algorithm '{name}'.*Did you mean '{closest}'.*Known names: alfa".replace("+", r"\+"),
    ):
        MetaLearner(mlp(), name)


def test_other_constructor_arguments() -> None:
    with pytest.raises(TypeError, match="Expected algorithm: a name .* of type int"):
        MetaLearner(mlp(), 3)
    with pytest.raises(ValueError, match="Unknown task_parallelism 'vectorised'. Did you mean 'vectorized'"):
        MetaLearner(mlp(), "maml", task_parallelism="vectorised")
    for wrong in (keras.layers.Dense(1), "model", lambda x: x, None):
        with pytest.raises(TypeError, match=f"wraps a keras.Model, received {type(wrong).__name__}"):
            MetaLearner(wrong)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inner_steps": -1}, "inner_steps must be a whole number >= 0, received -1"),
        ({"inner_steps": 1.5}, "inner_steps must be a whole number >= 0, received 1.5"),
        ({"inner_learning_rate": 0}, "inner_learning_rate must be > 0, received 0"),
        ({"inner_learning_rate": float("nan")}, "inner_learning_rate must be > 0, received nan"),
    ],
)
def test_settings_of_algorithms(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get(name, **arguments)


@pytest.mark.parametrize("kind", [FOMAML, Reptile])
def test_first_order_algorithms_have_no_second_order(kind: Any) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__} is a first-order algorithm"):
        kind(first_order=False)


@pytest.mark.parametrize("algorithm", [MAML(scope="decoder"), CAVIA(), ANIL(scope="low_rank")])
def test_a_scope_that_picks_nothing(algorithm: Any) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)], name="tiny")
    with pytest.raises(ValueError, match=rf"Scope '{algorithm.scope}' picks no variable of model 'tiny'"):
        MetaLearner(model, algorithm)


def test_no_loss() -> None:
    with pytest.raises(ValueError, match="needs a loss: model .* brings none. Pass loss='mse'"):
        MetaLearner(mlp()).compile("adam")


def test_not_compiled() -> None:
    learner = MetaLearner(mlp())
    for verb in (
        lambda: learner.fit(waves()),
        lambda: learner.evaluate(waves()),
        lambda: learner.adapt((np.ones((2, 1)), np.ones((2, 1)))),
    ):
        with pytest.raises(ValueError, match=r"not compiled.*Call learner.compile\(optimizer, loss\)"):
            verb()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": "mae"}, "metrics must be a flat list .* received 'mae'"),
        ({"metrics": [["mae"]]}, "metrics must be a flat list"),
        ({"metrics": ["no_such_metric"]}, "no_such_metric"),
        ({"loss_weights": [1.0]}, "leave loss_weights out"),
        ({"weighted_metrics": ["mae"]}, "leave weighted_metrics out"),
    ],
)
def test_compile(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MetaLearner(mlp()).compile("adam", "mse", **options)


def test_token_ids_out_of_range() -> None:
    model = MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1, hidden_dim=8)
    learner = MetaLearner(model, "maml")
    learner.compile("adam")
    good = np.full((2, 8), 5, "int32")
    for source, target, name in ((good + 5000, good, "source"), (good, good - 9, "target")):
        with pytest.raises(ValueError, match=rf"Expected {name} as integer token ids .* received values from -?\d+"):
            learner.adapt((source, target))
    with pytest.raises(ValueError, match=r"received shape \(2, 9\). Shorten the source"):
        learner.adapt((np.full((2, 9), 5, "int32"), good))
    with pytest.raises(ValueError, match="dtype float32"):
        learner.adapt((good.astype("float32"), good))


def test_curves(learner: MetaLearner) -> None:
    for steps in ((), (3, 1), (1, 1), (-1, 2)):
        with pytest.raises(ValueError, match="steps must be rising numbers >= 0"):
            AdaptationCurve(learner, steps)
    curve = AdaptationCurve(learner, (0, 1))
    with pytest.raises(ValueError, match="endless"):
        curve(endless())
    with pytest.raises(ValueError, match="empty"):
        curve(waves().take(0))
    with pytest.raises(ValueError, match="at least one multiplier"):
        best_rate(curve, waves(), ())


def test_no_rate_that_works(learner: MetaLearner) -> None:
    support = numbers(next(iter(waves())))
    huge = tf.data.Dataset.from_tensors(tuple(part * 1e20 for part in support))
    with pytest.raises(ValueError, match=r"None of the multipliers \(1.0, 2.0\) leaves a finite loss after 1 steps"):
        best_rate(AdaptationCurve(learner, (0, 1)), huge, (1.0, 2.0))
