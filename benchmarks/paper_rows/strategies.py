"""Does choosing steps by task pay? Dynamic against fixed steps, on tasks of one kind and of six.

Both are judged at their own cost: the inner steps that a held-out task takes on average, plus the gradients of two
halves of the support set, as much as one step, that `Dynamic` spends on complexity. "Fixed" is judged at every number
of steps up to 8, and "fixed_6" is trained with the step more that complexity costs, so that each cost has its equal.
"""

from functools import partial
from typing import Any

from paper_rows import mixed, sinusoid
from paper_rows.base import TOGETHER, Experiment, Result, curve_of

STEPS = 5


def fixed(rate: float, steps: int = STEPS) -> Any:
    from metagpt_tf.meta import MAML

    return MAML(steps, rate)


def dynamic(rate: float, **options: Any) -> Any:
    from metagpt_tf.meta import Dynamic

    return Dynamic(STEPS, rate, **options)


def train(seed: int, iterations: int, *, algorithm: Any, tasks: Any, inputs: int, every_step: bool) -> Result:
    import keras

    from metagpt_tf.meta import MetaLearner

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((inputs,)), layers.Dense(40, "relu"), layers.Dense(40, "relu"), layers.Dense(1)]
    )
    learner = MetaLearner(model, algorithm())
    learner.compile(keras.optimizers.Adam(1e-3), "mse", steps_per_execution=TOGETHER)
    learner.fit(tasks().as_dataset(25, 10, 10, seed=seed, num_batches=iterations), verbose=0)
    held_out = tasks().split("meta_test")
    if every_step:
        return curve_of(learner, held_out, 10, tuple(range(STEPS + 4)))
    logs = learner.evaluate(held_out.as_dataset(100, 10, 100, seed=1, num_batches=10), verbose=0, return_dict=True)
    return {f"10/{STEPS}": logs["loss"], "steps_taken": logs["steps_taken"]}


def rows(kind: str, tasks: Any, inputs: int, rate: float) -> list[Experiment]:
    made = {
        "fixed": (partial(fixed, rate), True, "judged after every number of steps"),
        "fixed_6": (partial(fixed, rate, STEPS + 1), True, "trained with 6 steps, judged after every number of steps"),
        "planned": (partial(dynamic, rate, held_out=0.0), False, "steps and rate from the task's complexity"),
        "halting": (partial(dynamic, rate, plan=False), False, "a quarter of the support set held out for halting"),
        "dynamic": (partial(dynamic, rate), False, "both"),
    }
    return [
        Experiment(
            f"{kind}/{name}",
            partial(train, algorithm=algorithm, tasks=tasks, inputs=inputs, every_step=every_step),
            10000,
            500,
            {},
            f"10,000 outer steps, {STEPS} inner steps of {rate} or at most so many; {words}",
        )
        for name, (algorithm, every_step, words) in made.items()
    ]


EXPERIMENTS = [
    *rows("steps/sinusoid", sinusoid.waves, 1, 0.01),
    *rows("steps/mixed", mixed.families, 2, 0.001),
]
