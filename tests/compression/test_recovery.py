"""The training after a step of a compression: as long as asked for, and resumable."""

import keras
import numpy as np
import pytest

from metagpt_tf.compression import prune, sparsity
from metagpt_tf.compression.recovery import number_of_steps, recover
from metagpt_tf.tasks import Sinusoid

from .test_pruning import EPISODES, data, learner, plain


class Stop(keras.callbacks.Callback):
    """Fails at a step."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("steps", [1, 30, 53])
def test_as_many_steps_as_asked_for(steps, tmp_path):
    for backup in (None, tmp_path / "backup"):
        model = plain()
        recover(model, data(7), steps, backup=backup)
        assert model.optimizer.iterations == steps


def test_an_interrupted_one_goes_on(tmp_path):
    original, backup = learner(), tmp_path / "backup"
    with pytest.raises(KeyboardInterrupt):
        prune(original, EPISODES, 0.5, steps=50, callbacks=[Stop(40)], backup=backup)
    seen = []
    counter = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    pruned = prune(original, EPISODES, 0.5, steps=50, callbacks=[counter], backup=backup)
    assert len(seen) == 25 and pruned.optimizer.iterations == 50
    assert sparsity(pruned.model) == pytest.approx(0.5, abs=0.02)
    assert all(np.isfinite(w).all() for w in pruned.get_weights())


def test_plain_steps_come_first_and_are_not_done_twice(tmp_path):
    """The zeros are made in the plain steps; the meta-steps, here interrupted, keep them."""
    original, backup = learner(), tmp_path / "backup"
    plainly = prune(original, EPISODES, 0.5, steps=0, plain_steps=20)
    assert sparsity(plainly.model) == pytest.approx(0.5, abs=0.02) and plainly.optimizer.iterations == 0
    assert sparsity(original.model) == 0
    seen = []
    counter = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    options = {"steps": 0, "plain_steps": 50, "backup": backup}
    with pytest.raises(KeyboardInterrupt):
        prune(original, EPISODES, 0.5, callbacks=[Stop(40)], **options)
    prune(original, EPISODES, 0.5, callbacks=[counter], **options)
    assert len(seen) == 25 and not backup.exists()
    with pytest.raises(KeyboardInterrupt):
        prune(original, EPISODES, 0.5, steps=50, plain_steps=20, callbacks=[Stop(40)], backup=backup)
    seen = []
    counter = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    pruned = prune(original, EPISODES, 0.5, steps=50, plain_steps=20, callbacks=[counter], backup=backup)
    assert len(seen) == 25 and pruned.optimizer.iterations == 50 and pruned.keep_zeros
    assert sparsity(pruned.model) == pytest.approx(0.5, abs=0.02)


def test_plain_steps_keep_zeros_that_are_there():
    pruned = prune(learner(), EPISODES, 0.5, steps=3)
    places = [w == 0 for w in pruned.model.get_weights()]
    for steps in (0, 2):
        copied = type(pruned).from_config(pruned.get_config())
        copied.set_weights(pruned.get_weights())
        copied.compile("adam", "mse")
        recover(copied, EPISODES, steps, plain_steps=5)
        for before, after in zip(places, copied.model.get_weights(), strict=True):
            np.testing.assert_array_equal(before & (after != 0), False)


def test_a_mistake_is_found_before_anything_is_trained():
    seen = []
    counter = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    with pytest.raises(ValueError, match="say how long to train"):
        prune(learner(), Sinusoid().as_dataset(4, 5, 5), 0.5, plain_steps=5, callbacks=[counter])
    assert not seen


def test_plain_steps_are_a_learners():
    with pytest.raises(ValueError, match="received 3 for a Sequential"):
        recover(plain(), data(2), 1, plain_steps=3)


def test_how_many_steps():
    assert number_of_steps(EPISODES, None) == 20 and number_of_steps(EPISODES, 3) == 3
    with pytest.raises(ValueError, match="say how long to train"):
        number_of_steps(Sinusoid().as_dataset(4, 5, 5), None)
    with pytest.raises(ValueError, match="received steps=0"):
        number_of_steps(EPISODES, 0)
    with pytest.raises(ValueError, match="data that are empty"):
        number_of_steps(EPISODES.take(0), None)
