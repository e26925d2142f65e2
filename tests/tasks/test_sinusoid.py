"""Sinusoid episodes are the paper's, and every distribution's episodes depend on the seed and their number alone."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.datasets import SPLITS
from metagpt_tf.tasks import Episode, Sinusoid, TaskDistribution, check_episode

RECORDED = [1.0023532, 0.39170977, 0.78585571]


def batches(tasks: TaskDistribution, seed: int = 0, meta_batch_size: int = 4, num_batches: int = 3) -> list[Episode]:
    dataset = tasks.as_dataset(meta_batch_size, k_shot=5, n_query=7, seed=seed, num_batches=num_batches)
    return [tf.nest.map_structure(lambda tensor: tensor.numpy(), episode) for episode in dataset]


def joined(episodes: list[Episode]) -> np.ndarray:
    return np.concatenate([episode.query_y for episode in episodes])


def test_shapes_are_static() -> None:
    dataset = Sinusoid().as_dataset(meta_batch_size=4, k_shot=5, n_query=7)
    assert isinstance(dataset.element_spec, Episode)
    assert [tuple(spec.shape) for spec in dataset.element_spec] == [(4, 5, 1), (4, 5, 1), (4, 7, 1), (4, 7, 1)]
    assert {spec.dtype for spec in dataset.element_spec} == {tf.float32}
    episode = next(iter(dataset))
    assert isinstance(episode, Episode)
    check_episode(episode)


def test_each_task_is_one_sine_with_the_papers_ranges() -> None:
    (episode,) = batches(Sinusoid(), meta_batch_size=200, num_batches=1)
    amplitudes, phases = [], []
    for x, y, query_x, query_y in zip(*episode, strict=True):
        features = np.concatenate([np.sin(x), -np.cos(x)], axis=1)  # A sin(x - φ) = A cos φ sin x - A sin φ cos x
        weights = np.linalg.lstsq(features, y, rcond=None)[0][:, 0]
        predicted = np.concatenate([np.sin(query_x), -np.cos(query_x)], axis=1) @ weights[:, None]
        np.testing.assert_allclose(predicted, query_y, atol=2e-2)
        amplitudes.append(np.hypot(*weights))
        phases.append(math.atan2(weights[1], weights[0]))
    assert 0.09 < min(amplitudes) < 0.6 and 4.5 < max(amplitudes) < 5.01
    assert -0.01 < min(phases) < 0.4 and 2.8 < max(phases) < math.pi + 0.01
    inputs = np.concatenate([episode.support_x, episode.query_x], axis=1)
    assert -5 <= inputs.min() < -4.9 and 4.9 < inputs.max() <= 5


def test_ranges_can_be_chosen() -> None:
    (episode,) = batches(Sinusoid(amplitude=(1, 1.001), phase=(0, 1e-6), inputs=(0, 1)), num_batches=1)
    np.testing.assert_allclose(episode.query_y, np.sin(episode.query_x), atol=2e-3)
    with pytest.raises(ValueError, match=r"phase must be a range .* received \(1, 0\)"):
        Sinusoid(phase=(1, 0))


def test_two_iterations_are_identical_and_seeds_differ() -> None:
    dataset = Sinusoid().as_dataset(3, k_shot=2, n_query=2, seed=5, num_batches=4)
    first, second = ([episode.support_y.numpy() for episode in dataset] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(joined(batches(Sinusoid(), seed=1)), joined(batches(Sinusoid(), seed=2)))


def test_a_later_beginning_skips_without_drawing() -> None:
    whole = [episode.query_y.numpy() for episode in Sinusoid().as_dataset(3, 2, 2, seed=5, num_batches=4)]
    later = [episode.query_y.numpy() for episode in Sinusoid().as_dataset(3, 2, 2, seed=5, num_batches=2, first=2)]
    np.testing.assert_array_equal(later, whole[2:])
    for wrong in (-1, 1.0, True):
        with pytest.raises(ValueError, match="first must be a whole number of batches"):
            Sinusoid().as_dataset(3, 2, 2, first=wrong)


def test_an_episode_depends_on_its_number_not_on_the_batch() -> None:
    by_four = joined(batches(Sinusoid(), meta_batch_size=4, num_batches=3))
    by_six = joined(batches(Sinusoid(), meta_batch_size=6, num_batches=2))
    np.testing.assert_array_equal(by_four, by_six)
    assert len(np.unique(by_four[:, 0, 0])) == 12


def test_splits_draw_different_tasks() -> None:
    drawn = [joined(batches(Sinusoid().split(name), num_batches=8)) for name in SPLITS]
    values = np.concatenate([rows[:, 0, 0] for rows in drawn])
    assert len(np.unique(values)) == len(values) == 96
    np.testing.assert_array_equal(joined(batches(Sinusoid())), joined(batches(Sinusoid().split("meta_train"))))


def test_split_leaves_the_original_alone() -> None:
    tasks = Sinusoid()
    assert tasks.split("meta_test").split_name == "meta_test"
    assert tasks.split_name == "meta_train"
    with pytest.raises(ValueError, match="Unknown split 'meta_tset'. Did you mean 'meta_test'"):
        tasks.split("meta_tset")


def test_number_of_batches() -> None:
    tasks = Sinusoid()
    assert len(batches(tasks, num_batches=3)) == 3
    endless = tasks.as_dataset(2, k_shot=1, n_query=1)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    assert len(list(endless.take(20))) == 20


@pytest.mark.parametrize("name", ["meta_batch_size", "k_shot", "n_query", "num_batches"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_sizes_must_be_positive(name: str, value: object) -> None:
    sizes = {"meta_batch_size": 2, "k_shot": 2, "n_query": 2, "num_batches": 2} | {name: value}
    with pytest.raises(ValueError, match=rf"{name} must be a whole number of at least 1, received {value!r}"):
        Sinusoid().as_dataset(**sizes)


def test_seeds_have_32_bits() -> None:
    Sinusoid().as_dataset(np.int64(1), 1, 1, seed=-5)
    with pytest.raises(ValueError, match="seed must be a whole number"):
        Sinusoid().as_dataset(1, 1, 1, seed=2**40)


def test_an_endless_family_has_no_names() -> None:
    with pytest.raises(NotImplementedError, match="Sinusoid is an endless family"):
        _ = Sinusoid().task_names


def test_without_a_frequency_the_numbers_are_those_of_before() -> None:
    """Recorded from the version that had no frequency: seeds in papers and benchmarks keep their meaning."""
    episode = Sinusoid().sample(tf.constant([7, 3]), 2, 1)
    np.testing.assert_allclose(tf.concat([episode.support_y, episode.query_y], 0)[:, 0], RECORDED, rtol=1e-6)


def test_frequency_and_offset_give_the_waves_of_meta_sgd() -> None:
    tasks = Sinusoid(frequency=(0.8, 1.2), offset=(0.0, math.pi), inputs=(0.0, 1e-3))
    (episode,) = batches(tasks, meta_batch_size=200, num_batches=1)
    assert np.all(episode.query_y >= -1e-2)  # near x = 0 a wave is A sin b, and b lies in [0, π]
    fixed = Sinusoid(amplitude=(1.0, 1.0001), phase=(0.0, 1e-6), frequency=(2.0, 2.0001))
    (episode,) = batches(fixed, num_batches=1)
    np.testing.assert_allclose(episode.query_y, np.sin(2 * episode.query_x), atol=2e-3)
    seeds = [tf.constant([seed, 0]) for seed in range(50)]
    plain, wide = (
        [distribution.sample(seed, 1, 1).query_x.numpy() for seed in seeds]
        for distribution in (Sinusoid(), Sinusoid(frequency=(0.8, 1.2)))
    )
    np.testing.assert_array_equal(plain, wide)


def test_a_phase_and_an_offset_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="takes the place of the phase .* give one of them"):
        Sinusoid(phase=(0, 1), offset=(0, 1))
    with pytest.raises(ValueError, match=r"frequency must be a range .* received \(2, 1\)"):
        Sinusoid(frequency=(2, 1))
