"""Learning, in the paper's setting cut short: MAML on sinusoids against a network trained on all tasks jointly.

`benchmarks/sinusoid.py` is the longer run over several seeds.
"""

import keras
import tensorflow as tf

from metagpt_tf.meta import MAML, AdaptationCurve, MetaLearner, best_rate
from metagpt_tf.tasks import Sinusoid, pooled_examples

STEPS, SHOT = 1500, 10


def held_out(split: str) -> tf.data.Dataset:
    return Sinusoid().split(split).as_dataset(100, SHOT, 50, seed=7, num_batches=2).cache()


def test_maml_learns_to_learn_waves() -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([keras.Input((1,)), layers.Dense(40, "relu"), layers.Dense(40, "relu"), layers.Dense(1)])
    learner = MetaLearner(model, MAML(inner_steps=1, inner_learning_rate=0.01))
    learner.compile(keras.optimizers.Adam(3e-3), "mse")
    episodes = Sinusoid().as_dataset(25, SHOT, SHOT, num_batches=STEPS)
    start = model.get_weights()
    learner.fit(episodes, verbose=0)
    before, one, five = AdaptationCurve(learner, (0, 1, 5))(held_out("meta_test")).mean(axis=0)
    assert 2.0 < before < 5.0  # about the variance of the waves: unadapted, nothing can be known of one
    assert one < 0.3 * before
    assert five < 0.15 * before

    model.set_weights(start)
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    model.fit(pooled_examples(episodes), shuffle=False, verbose=0)
    joint = {}
    for steps in (1, 5):
        curve = AdaptationCurve(learner, (steps,))
        rate, _ = best_rate(curve, held_out("meta_validation"), (0.1, 0.3, 1.0, 2.0, 3.0, 5.0))
        joint[steps] = curve(held_out("meta_test"), rate).mean()
    assert one < 0.4 * joint[1]
    assert five < 0.25 * joint[5]
