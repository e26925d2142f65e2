"""Pruning by magnitude in plain training and in meta-training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.compression import KeepZeros, MagnitudePruning, prune, schedules, sparsity
from metagpt_tf.compression._tfmot import PolynomialDecay
from metagpt_tf.kept_zeros import is_prunable
from metagpt_tf.meta import MetaLearner
from metagpt_tf.tasks import Sinusoid

EPISODES = Sinusoid().as_dataset(4, k_shot=5, n_query=5, num_batches=20)


def plain(optimizer="adam"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(16, "tanh", name="first"), keras.layers.Dense(8, name="second")]
    )
    model.compile(optimizer, "mse")
    return model


def data(batches=48):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(8 * batches, 8)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((x, x[:, ::-1].copy())).batch(8)


def learner(**options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(32, "tanh"), keras.layers.Dense(1)])
    made = MetaLearner(model, "maml", **options)
    made.compile("adam", "mse")
    return made


def kernels(model):
    return [v.numpy() for v in model.trainable_variables if is_prunable(v)]


def test_the_schedule_is_followed():
    history = plain_history(schedules.get(0.75, 96, frequency=4), epochs=2)
    # s(t) = s (1 - (1 - t / n)^3); n = 56, and the last update before the end of the first epoch is in step 44
    expected = 0.75 * (1 - (1 - 44 / 56) ** 3)
    assert history["sparsity"][0] == pytest.approx(expected, abs=0.01)
    assert history["sparsity"][1] == pytest.approx(0.75, abs=0.01)


def plain_history(schedule, epochs=1, **options):
    return (
        plain()
        .fit(data(), shuffle=False, epochs=epochs, verbose=0, callbacks=[MagnitudePruning(schedule, **options)])
        .history
    )


def test_the_largest_weights_stay():
    model = plain(keras.optimizers.SGD(1e-9))
    before = kernels(model)
    model.fit(data(1), shuffle=False, verbose=0, callbacks=[MagnitudePruning(0.75)])
    for old, new in zip(before, kernels(model), strict=True):
        threshold = np.quantile(np.abs(old), 0.75)
        np.testing.assert_array_equal(new != 0, np.abs(old) > threshold)


def test_two_of_four():
    model = plain()
    model.fit(data(4), shuffle=False, verbose=0, callbacks=[MagnitudePruning(m_by_n=(2, 4))])
    for kernel in kernels(model):
        groups = kernel.T.reshape(-1, 4)
        assert ((groups == 0).sum(axis=1) == 2).all()


def test_blocks_fall_together():
    model = plain()
    model.fit(data(4), shuffle=False, verbose=0, callbacks=[MagnitudePruning(0.5, block_size=(2, 4))])
    for kernel in kernels(model):
        rows, columns = kernel.shape
        zeros = (kernel == 0).reshape(rows // 2, 2, columns // 4, 4).mean(axis=(1, 3))
        assert set(np.unique(zeros)) == {0.0, 1.0}


def test_a_policy_by_layer():
    model = plain()
    model.fit(data(4), shuffle=False, verbose=0, callbacks=[MagnitudePruning(policy={"first": 0.25, "second": None})])
    first, second = kernels(model)
    assert (first == 0).mean() == 0.25 and (second != 0).all()


def test_a_policy_that_finds_nothing_names_what_there_is():
    with pytest.raises(ValueError, match="nothing to prune.*first/kernel"):
        plain().fit(data(1), shuffle=False, verbose=0, callbacks=[MagnitudePruning(policy={"third": 0.5})])


def test_groups_that_do_not_fit():
    with pytest.raises(ValueError, match=r"groups of 4.*shape \(1, 32\)"):
        learner(keep_zeros=True).fit(EPISODES, verbose=0, callbacks=[MagnitudePruning(m_by_n=(2, 4))])
    with pytest.raises(ValueError, match=r"two blocks each way"):
        plain().fit(data(1), shuffle=False, verbose=0, callbacks=[MagnitudePruning(block_size=(8, 1))])


def test_steps_that_run_past_the_schedule():
    model = plain()
    model.compile("adam", "mse", steps_per_execution=4)
    with pytest.raises(ValueError, match="steps_per_execution=4"):
        model.fit(data(4), shuffle=False, verbose=0, callbacks=[MagnitudePruning(schedules.get(0.5, 48, frequency=6))])


def test_prune_leaves_the_learner_and_keeps_learning():
    original = learner()
    before = kernels(original.model)
    pruned = prune(original, EPISODES, 0.5, steps=60)
    for old, new in zip(before, kernels(original.model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert sparsity(pruned.model) == 0.5 and pruned.keep_zeros
    support = (np.linspace(-3, 3, 5, dtype="float32")[:, None], np.ones((5, 1), "float32"))
    state = pruned.adapt(support)
    assert len(state) == 16 + 16 + 32 + 1
    fit = [float(np.mean((model(support[0]) - 1) ** 2)) for model in (pruned.model, pruned.adapted(state))]
    assert fit[1] < fit[0]


def test_plain_models_are_pruned_and_tuned_further():
    pruned = prune(plain(), data(), 0.5)
    assert sparsity(pruned) == 0.5
    zeros = [k == 0 for k in kernels(pruned)]
    pruned.fit(data(), shuffle=False, verbose=0, callbacks=[KeepZeros()])
    for was, now in zip(zeros, kernels(pruned), strict=True):
        np.testing.assert_array_equal(was, now == 0)


class Stop(keras.callbacks.Callback):
    """Fails in the middle of the second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == 60:
            raise KeyboardInterrupt


def test_an_interrupted_pruning_goes_on(tmp_path):
    schedule = schedules.get(0.75, 144, frequency=4)

    def train(model, *callbacks):
        model.fit(data(), shuffle=False, epochs=3, verbose=0, callbacks=[MagnitudePruning(schedule), *callbacks])

    whole = plain()
    train(whole)
    with pytest.raises(KeyboardInterrupt):
        train(plain(), keras.callbacks.BackupAndRestore(tmp_path / "b", delete_checkpoint=False), Stop())
    resumed = plain()
    train(resumed, keras.callbacks.BackupAndRestore(tmp_path / "b"))
    for expected, found in zip(kernels(whole), kernels(resumed), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(found == 0, expected == 0)


def test_summaries(tmp_path):
    plain_history(0.5, log_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    tags = {
        value.tag
        for record in tf.data.TFRecordDataset(str(file))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    }
    assert {"/".join(tag.split("/")[-3:]) for tag in tags} == {
        "sparsity",
        *(f"{name}/kernel/sparsity" for name in ("first", "second")),
    }


@pytest.mark.parametrize("wrong", [0, 1, 1.5, -0.1, True, "half"])
def test_no_sparsity(wrong):
    with pytest.raises(ValueError, match=r"share in \(0, 1\)"):
        schedules.get(wrong)


def test_schedules_are_json():
    import json

    schedule = PolynomialDecay(0.1, 0.9, 5, 50)
    again = schedules.get(json.loads(json.dumps(schedule.get_config())))
    assert again.get_config() == schedule.get_config()
    with pytest.raises(ValueError, match="Did you mean 'PolynomialDecay'"):
        schedules.get({"class_name": "Polynomial", "config": {}})


def test_endless_data_need_steps():
    with pytest.raises(ValueError, match="steps"):
        prune(learner(), Sinusoid().as_dataset(4, 5, 5), 0.5)


def test_a_schedule_that_has_ended():
    model = plain()
    model.fit(data(), shuffle=False, verbose=0)
    with pytest.raises(ValueError, match="ends in step 10, and the optimizer has taken 48"):
        over = MagnitudePruning(PolynomialDecay(0.0, 0.5, 0, 10, frequency=5))
        model.fit(data(), shuffle=False, verbose=0, callbacks=[over])


def test_two_of_four_after_another_training():
    model = plain()
    model.fit(data(2), shuffle=False, verbose=0)
    model.fit(data(2), shuffle=False, verbose=0, callbacks=[MagnitudePruning(m_by_n=(2, 4))])
    assert sparsity(model) == 0.5


def test_averaged_weights_are_pruned_too():
    model = plain(keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9))
    model.fit(data(), shuffle=False, verbose=0, callbacks=[MagnitudePruning(schedules.get(0.5, 48))])
    assert sparsity(model) == 0.5


def test_a_loss_of_the_users_own():
    made = learner()
    made.compile("adam", lambda y, p: tf.reduce_mean((y - p) ** 2))
    assert sparsity(prune(made, EPISODES, 0.5, steps=10).model) == 0.5
