"""Ours in the forms that save memory, for `memory.py`."""

from typing import Any

import keras
import tensorflow as tf

from contestants.base import Contestant
from contestants.meta_data import episode
from contestants.meta_keras import LOSSES, Fit, build_model
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.tasks import Episode


class Step(Fit):
    """`MetaLearner.fit` with the settings' `task_parallelism` and `rematerialize`, measured as `Fit` is."""

    def __init__(self, settings: dict[str, Any]) -> None:
        Contestant.__init__(self, settings)
        algorithm = MAML(settings["inner_steps"], settings["inner_learning_rate"])
        self.learner = MetaLearner(
            build_model(settings), algorithm, settings["task_parallelism"], settings["rematerialize"]
        )
        self.learner.compile(keras.optimizers.Adam(settings["outer_learning_rate"]), metrics=[])
        self.dataset = tf.data.Dataset.from_tensors(Episode(*episode(settings)))
        # One step an epoch, so that the means of an epoch are the losses of a step.
        history = self.learner.fit(self.dataset, epochs=settings["checked_steps"], verbose=0).history
        self.facts = {name: history[name] for name in LOSSES}
