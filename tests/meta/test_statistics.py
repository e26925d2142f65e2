"""Dropout, batch statistics and frozen layers: what moves besides the trainable weights, and what must not."""

import keras
import numpy as np
import pytest

from metagpt_tf.meta import FOMAML, MAML

from .toys import compiled, largest_difference, mlp, numbers, one_batch, waves, weights_of

both_forms = pytest.mark.parametrize("form", ["vectorized", "sequential"])


def noisy() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((1,)), layers.Dense(16, "tanh"), layers.Dropout(0.5, name="dropout"), layers.Dense(1)]
    )


def normalised(momentum: float = 0.9) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential([keras.Input((1,)), layers.BatchNormalization(momentum=momentum), layers.Dense(1)])


def seed_state(model: keras.Model) -> np.ndarray:
    return model.get_layer("dropout").seed_generator.state.numpy()


@both_forms
def test_dropout_masks_differ_between_steps(form: str) -> None:
    """With an outer rate of zero nothing but the mask can change the loss."""
    learner = compiled(noisy(), MAML(1, 0.01), keras.optimizers.SGD(0.0), task_parallelism=form)
    before, seed = weights_of(learner.model)[:2], seed_state(learner.model)
    batch = one_batch(numbers(next(iter(waves()))))
    history = learner.fit(batch, epochs=4, verbose=0).history
    assert len({round(loss, 5) for loss in history["loss"]}) == 4
    assert len({round(loss, 5) for loss in history["pre_loss"]}) == 4
    assert largest_difference(before, weights_of(learner.model)[:2]) == 0
    # Each step draws three masks: before adaptation, on the support set, after adaptation.
    np.testing.assert_array_equal(seed_state(learner.model) - seed, [0, 4 * 3])


def test_dropout_is_off_where_nothing_is_trained() -> None:
    learner = compiled(noisy(), MAML(1, 0.01))
    seed = seed_state(learner.model)
    scores = [learner.evaluate(waves(), verbose=0) for _ in range(2)]
    episode = numbers(next(iter(waves())))
    support = (episode.support_x[0], episode.support_y[0])
    assert scores[0] == scores[1]
    assert largest_difference(learner.adapt(support), learner.adapt(support)) == 0
    np.testing.assert_array_equal(seed_state(learner.model), seed)


@both_forms
def test_running_statistics_are_the_mean_over_tasks(form: str) -> None:
    """Each task moves them three times: query, support, query."""
    model = normalised()
    learner = compiled(model, MAML(1, 0.01), task_parallelism=form)
    episode = numbers(next(iter(waves())))
    learner.fit(one_batch(episode), verbose=0)
    expected = {"mean": [], "var": []}
    for support_x, query_x in zip(episode.support_x, episode.query_x, strict=True):
        mean, var = 0.0, 1.0
        for x in (query_x, support_x, query_x):
            mean, var = 0.9 * mean + 0.1 * x.mean(), 0.9 * var + 0.1 * x.var()
        expected["mean"].append(mean)
        expected["var"].append(var)
    layer = model.layers[0]
    np.testing.assert_allclose(layer.moving_mean.numpy(), [np.mean(expected["mean"])], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), [np.mean(expected["var"])], rtol=1e-4)


def test_running_statistics_rest_where_nothing_is_trained() -> None:
    model = normalised(0.5)
    learner = compiled(model, MAML(1, 0.01))
    learner.fit(waves(), verbose=0)
    before = weights_of(model)
    learner.evaluate(waves(seed=1), verbose=0)
    episode = numbers(next(iter(waves())))
    learner.adapt((episode.support_x[0], episode.support_y[0]))
    assert largest_difference(before, weights_of(model)) == 0


def test_a_model_with_dropout_and_statistics_learns() -> None:
    layers = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(32, "tanh"),
            layers.BatchNormalization(momentum=0.9),
            layers.Dropout(0.1),
            layers.Dense(1),
        ]
    )
    learner = compiled(model, FOMAML(1, 0.01), keras.optimizers.Adam(0.01))
    losses = learner.fit(waves(8, 10, 10, batches=20), epochs=6, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    assert np.isfinite(learner.evaluate(waves(8, 10, 10), verbose=0)).all()


@both_forms
def test_frozen_layers_stay_bit_for_bit(form: str) -> None:
    """They are non-trainable variables, as statistics are; a mean over three tasks would round them."""
    model = mlp(units=40)
    model.layers[4].trainable = False
    model.layers[4].kernel.assign(np.random.default_rng(0).normal(size=(6, 40)))
    learner = compiled(model, MAML(1, 0.01), task_parallelism=form)
    frozen = model.layers[4].kernel.numpy()
    head = model.layers[5].kernel.numpy()
    learner.fit(waves(batches=4), verbose=0)
    np.testing.assert_array_equal(model.layers[4].kernel.numpy(), frozen)
    assert np.abs(model.layers[5].kernel.numpy() - head).max() > 1e-4


def test_layers_frozen_after_wrapping_take_effect_at_compile() -> None:
    model = mlp()
    learner = compiled(model, MAML(1, 0.01))
    model.layers[0].trainable = False
    with pytest.raises(ValueError, match=r"had 7 trainable variables and now has 5. Call compile again"):
        learner.fit(waves(batches=1), verbose=0)
    learner.compile("sgd", "mse")
    frozen = model.layers[0].kernel.numpy()
    learner.fit(waves(batches=1), verbose=0)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), frozen)
    assert learner.layout.size == sum(v.numpy().size for v in model.trainable_variables)


def test_penalties_of_the_model_count_in_both_loops() -> None:
    """L2 of strength λ adds 2λw to the gradient of an inner step, and λ|w|² to the logged losses."""
    episode = numbers(next(iter(waves())))
    support = (episode.support_x[0], episode.support_y[0])
    states, losses = [], []
    for penalty in (None, keras.regularizers.L2(0.5)):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_regularizer=penalty)])
        learner = compiled(model, MAML(1, 0.01))
        weight = model.layers[0].kernel.numpy().item()
        states.append(learner.adapt(support).item())
        losses.append(learner.evaluate(one_batch(episode), verbose=0, return_dict=True)["pre_loss"])
    assert states[1] - states[0] == pytest.approx(-0.01 * 2 * 0.5 * weight, rel=1e-3)
    assert losses[1] - losses[0] == pytest.approx(0.5 * weight**2, rel=1e-4)
