"""KerasTuner behind one function: its oracles choose the values, its chief and workers share them out.

The only module that imports it. Nothing of a search rests on KerasTuner's own files: an oracle is a function of its
seed and of the scores it was told, so that after a kill it is asked again from the beginning, and trials that were
measured answer at once.
"""

import os
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine import base_tuner
from keras_tuner.oracles import (
    BayesianOptimizationOracle,
    GridSearchOracle,
    HyperbandOracle,
    RandomSearchOracle,
)

from metagpt_tf.tuning.space import Space
from metagpt_tf.tuning.trials import Trials

OWN = "tuner/"  # names that Hyperband adds to the values


def run_trials(method: str, space: Space, trials: Trials, max_trials: int, folder: Path) -> None:
    """Let an oracle choose trials until there are enough of them, or until the chief says so.

    Args:
        method: `"grid"`, `"random"`, `"bayesian"` or `"hyperband"` (which decides itself how many).
        space: what may be chosen.
        trials: runs one.
        max_trials: at most so many.
        folder: scratch, written anew by each process.
    """
    oracle = _oracle(method, space, trials, max_trials)
    oracle.verbose = 0
    worker = os.environ.get("KERASTUNER_TUNER_ID", "alone")
    options = {"directory": str(folder), "project_name": f"oracle_{worker}", "overwrite": True}
    try:
        _Tuner(trials, method != "hyperband", oracle=oracle, **options).search()
    except keras_tuner.errors.FatalError as error:
        raise error.__cause__ or error from None


def _oracle(method: str, space: Space, trials: Trials, max_trials: int) -> Any:
    given: dict[str, Any] = {
        "objective": keras_tuner.Objective("score", "min"),
        "hyperparameters": _hyperparameters(space),
        # KerasTuner takes 0 for none, and counts on from its seed: neighbours would draw the same values.
        "seed": (trials.plan.seed + 1) * 7919 % 2**31,
        "max_consecutive_failed_trials": 10**6,
    }
    if method == "hyperband":
        return HyperbandOracle(**given, max_epochs=trials.plan.rungs, factor=3)
    if method == "bayesian":
        first = max(3, min(2 * len(space.axes), max_trials // 2))
        return BayesianOptimizationOracle(**given, max_trials=max_trials, num_initial_points=first)
    return {"grid": GridSearchOracle, "random": RandomSearchOracle}[method](**given, max_trials=max_trials)


def _hyperparameters(space: Space) -> Any:
    parameters = keras_tuner.HyperParameters()
    for name, axis in space.axes.items():
        if isinstance(axis, list):
            parameters.Choice(name, axis)
            continue
        make = parameters.Int if isinstance(axis["low"], int) else parameters.Float
        sampling = "log" if axis.get("log") else "linear"
        make(name, axis["low"], axis["high"], step=axis.get("step"), sampling=sampling)
    return parameters


class _Tuner(base_tuner.BaseTuner):
    """Runs the trials that an oracle asks for."""

    def __init__(self, trials: Trials, stop: bool, **options: Any) -> None:
        super().__init__(**options)
        self.trials, self.stop = trials, stop

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Train one, as far as it is asked for."""
        given = trial.hyperparameters.values
        values = {name: value for name, value in given.items() if not name.startswith(OWN)}
        rungs = given.get("tuner/epochs")
        try:
            return {"score": self.trials.run(values, rungs, self.stop).counted_at(rungs)}
        except Exception as error:  # KerasTuner would count it as a trial that failed, and go on
            raise keras_tuner.errors.FatalError(str(error)) from error
