"""Six families of functions at once: one initialisation for all, or one gated by what kind of task it is.

Network 2-40-40-1 (ReLU), Adam(1e-3) outside, 25 tasks in a meta-batch, 10 shots with noise 0.3 in support and query, x
from [-5, 5]; 5 inner steps. Judged on 1,000 held-out tasks of 100 points, noise included: it adds 0.09 to each figure.
"""

from functools import partial
from typing import Any

from paper_rows.base import TOGETHER, Experiment, Result, curve_of

SHOTS, INNER_STEPS, RATE = 10, 5, 0.001


def families() -> Any:
    from metagpt_tf.tasks import MixedRegression

    return MixedRegression(inputs=(-5.0, 5.0))


def maml(**options: Any) -> Any:
    from metagpt_tf.meta import MAML

    return MAML(INNER_STEPS, RATE, **options)


def gated(**options: Any) -> Any:
    from metagpt_tf.meta import Hierarchical

    return Hierarchical(INNER_STEPS, RATE, clusters=4, embedding_dim=40, example_size=3, **options)


def train(seed: int, iterations: int, *, algorithm: Any) -> Result:
    import keras

    from metagpt_tf.meta import MetaLearner

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(40, "relu"), layers.Dense(40, "relu"), layers.Dense(1)], name="function"
    )
    learner = MetaLearner(model, algorithm())
    learner.compile(keras.optimizers.Adam(1e-3), "mse", steps_per_execution=TOGETHER)
    learner.fit(families().as_dataset(25, SHOTS, SHOTS, seed=seed, num_batches=iterations), verbose=0)
    return curve_of(learner, families().split("meta_test"), SHOTS, (0, INNER_STEPS))


def row(name: str, algorithm: Any, paper: float | None, protocol: str) -> Experiment:
    figures = {} if paper is None else {f"{SHOTS}/{INNER_STEPS}": paper}
    return Experiment(name, partial(train, algorithm=algorithm), 20000, 1000, figures, protocol)


COMMON = "20,000 outer steps; noise in the query points too; the paper's tasks are drawn by the same rule, not the same"
EXPERIMENTS = [
    row("mixed/maml", maml, 2.292, COMMON),
    row("mixed/maml_learned_rates", partial(maml, learn_rate="per_tensor_per_step"), None, f"{COMMON}; learned rates"),
    row("mixed/gated", gated, 0.438, f"{COMMON}; the paper column is ARML's figure, HSML's is 0.494"),
    row("mixed/gated_three_level_rates", partial(gated, three_level_rates=True), None, f"{COMMON}; learned rates"),
]
