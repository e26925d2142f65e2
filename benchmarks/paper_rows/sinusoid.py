"""Sinusoid regression: MAML's, Meta-SGD's, and the order of four algorithms.

Network 1-40-40-1 (ReLU), Adam(1e-3) outside, 25 tasks in a meta-batch, judged on 1,000 held-out tasks of 100 points.
"""

from functools import partial
from typing import Any

from paper_rows.base import TOGETHER, Experiment, Result, curve_of


def network() -> Any:
    import keras

    layers = keras.layers
    return keras.Sequential(
        [keras.Input((1,)), layers.Dense(40, "relu"), layers.Dense(40, "relu"), layers.Dense(1)], name="wave"
    )


def train(seed: int, iterations: int, *, algorithm: Any, tasks: Any, train_shots: int, judged: Any) -> Result:
    """Meta-train one network and judge it; `judged` maps a learner to figures."""
    import keras

    from metagpt_tf.meta import MetaLearner

    keras.utils.set_random_seed(seed)
    learner = MetaLearner(network(), algorithm())
    learner.compile(keras.optimizers.Adam(1e-3), "mse", steps_per_execution=TOGETHER)
    episodes = tasks().as_dataset(25, train_shots, train_shots, seed=seed, num_batches=iterations)
    learner.fit(episodes, verbose=0)
    return judged(learner, tasks().split("meta_test"))


def after_steps(shots: tuple[int, ...], steps: tuple[int, ...], learner: Any, tasks: Any) -> Result:
    return {point: value for s in shots for point, value in curve_of(learner, tasks, s, steps).items()}


def maml(rate: float) -> Any:
    from metagpt_tf.meta import MAML

    return MAML(1, rate)


def fomaml() -> Any:
    from metagpt_tf.meta import FOMAML

    return FOMAML(1, 0.01)


def meta_sgd() -> Any:
    from metagpt_tf.meta import MetaSGD

    return MetaSGD(1, 0.01)


def reptile() -> Any:
    from metagpt_tf.meta import Reptile

    return Reptile(8, 0.005)


def waves() -> Any:
    from metagpt_tf.tasks import Sinusoid

    return Sinusoid()


def waves_of_any_frequency() -> Any:
    from metagpt_tf.tasks import Sinusoid

    return Sinusoid(frequency=(0.8, 1.2))


TABLE_2 = {"5/1": 0.67, "5/5": 0.38, "5/10": 0.35}
COMMON = "trained with K = 10 and as many query points, judged with K = 5 at the training rate"
FIXED = {"tasks": waves, "train_shots": 10}
MANY, ONE = partial(after_steps, (5,), (0, 1, 5, 10)), partial(after_steps, (5,), (0, 1))
FREE = {"tasks": waves_of_any_frequency, "train_shots": 5, "judged": partial(after_steps, (5, 20), (0, 1))}
REPLICATION = "the paper column is an independent replication's 5-shot figure"


def row(name: str, algorithm: Any, iterations: int, paper: dict[str, float], protocol: str, **how: Any) -> Experiment:
    return Experiment(name, partial(train, algorithm=algorithm, **how), iterations, 2000, paper, protocol)


EXPERIMENTS = [
    row("sinusoid/maml", partial(maml, 0.01), 70000, TABLE_2, f"{COMMON}, 0.01 as in the text", judged=MANY, **FIXED),
    row(
        "sinusoid/maml_rate_0.001",
        partial(maml, 0.001),
        70000,
        TABLE_2,
        f"{COMMON}, 0.001 as in the code's command",
        judged=MANY,
        **FIXED,
    ),
    row("sinusoid/fomaml", fomaml, 70000, {"5/1": 0.81}, f"{COMMON}; {REPLICATION}", judged=MANY, **FIXED),
    row(
        "sinusoid/meta_sgd",
        meta_sgd,
        70000,
        {"5/1": 0.46},
        f"{COMMON}; rates start at 0.01; {REPLICATION}",
        judged=ONE,
        **FIXED,
    ),
    row(
        "sinusoid/reptile",
        reptile,
        70000,
        {"5/1": 1.3},
        f"{COMMON}; 8 inner steps of 0.005 (0.02 diverged on single tasks), Adam outside; {REPLICATION}",
        judged=MANY,
        **FIXED,
    ),
    row(
        "meta_sgd/maml",
        partial(maml, 0.01),
        60000,
        {"5/1": 1.13, "20/1": 0.71},
        "y = A sin(ωx + b); one step, trained with 5 shots and 5 query points",
        **FREE,
    ),
    row(
        "meta_sgd/meta_sgd",
        meta_sgd,
        60000,
        {"5/1": 0.90, "20/1": 0.50},
        "y = A sin(ωx + b); one step, trained with 5 shots and 5 query points; rates start at 0.01",
        **FREE,
    ),
]
