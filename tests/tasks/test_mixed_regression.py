"""Six families of functions, drawn as the paper's code draws them."""

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.datasets import SPLITS
from metagpt_tf.tasks import Episode, check_episode
from metagpt_tf.tasks.mixed_regression import FAMILIES, MixedRegression

# What each family is linear in, x₁ and x₂ given; the two sines have a frequency too and are searched over it.
FEATURES = {
    "line": lambda x1, x2: [x1, x1**0],
    "quadratic": lambda x1, x2: [x1**2, x1, x1**0],
    "cubic": lambda x1, x2: [x1**3, x1**2, x1, x1**0],
    "quadratic_surface": lambda x1, x2: [x1**2, x2**2],
}


def drawn(tasks: MixedRegression, count: int = 60, seed: int = 0, k_shot: int = 5, n_query: int = 15) -> Episode:
    """One meta-batch as NumPy arrays."""
    (episode,) = tasks.as_dataset(count, k_shot, n_query, seed=seed, num_batches=1)
    return Episode(*tf.nest.map_structure(lambda tensor: tensor.numpy(), tuple(episode)))


def rows(episode: Episode) -> tuple[np.ndarray, np.ndarray]:
    """All examples of each task, support and query: x `(M, K + Q, 2)`, y `(M, K + Q)`."""
    x = np.concatenate([episode.support_x, episode.query_x], axis=1)
    return x.astype("float64"), np.concatenate([episode.support_y, episode.query_y], axis=1)[..., 0].astype("float64")


def test_shapes_are_static() -> None:
    dataset = MixedRegression().as_dataset(4, k_shot=5, n_query=7)
    assert [tuple(spec.shape) for spec in dataset.element_spec] == [(4, 5, 2), (4, 5, 1), (4, 7, 2), (4, 7, 1)]
    assert {spec.dtype for spec in dataset.element_spec} == {tf.float32}
    check_episode(next(iter(dataset)))


@pytest.mark.parametrize("family", FEATURES)
def test_a_family_is_its_formula_with_the_papers_ranges(family: str) -> None:
    x, y = rows(drawn(MixedRegression((family,), noise=0.0), count=150))
    found = []
    for points, values in zip(x, y, strict=True):
        features = np.stack(FEATURES[family](points[:, 0], points[:, 1]), axis=1)
        found.append(np.linalg.lstsq(features, values, rcond=None)[0])
        np.testing.assert_allclose(features @ found[-1], values, atol=1e-4)
    for values, (low, high) in zip(np.transpose(found), FAMILIES[family].ranges, strict=True):
        width = high - low
        assert low - 0.01 * width < values.min() < low + 0.1 * width
        assert high - 0.1 * width < values.max() < high + 0.01 * width


def test_a_sinusoid_has_the_papers_frequency_and_amplitude() -> None:
    x, y = rows(drawn(MixedRegression(("sinusoid",), noise=0.0), count=40))
    amplitudes = []
    for points, values in zip(x[..., 0], y, strict=True):
        fits = []
        for w in np.linspace(0.8, 1.2, 161):
            features = np.stack([np.sin(w * points), np.cos(w * points)], axis=1)
            weights = np.linalg.lstsq(features, values, rcond=None)[0]
            fits.append((np.abs(features @ weights - values).max(), np.hypot(*weights)))
        error, amplitude = min(fits)
        assert error < 2e-2
        amplitudes.append(amplitude)
    assert min(amplitudes) > 0.08 and 4.0 < max(amplitudes) < 5.05


def test_a_ripple_runs_along_circles_and_stays_within_one_of_its_level() -> None:
    x, y = rows(drawn(MixedRegression(("ripple",), noise=0.0), count=40))
    squares = np.sum(x**2, axis=-1)
    for radius, values in zip(squares, y, strict=True):
        errors = []
        for a in np.linspace(-0.2, 0.2, 801):
            wave = np.sin(-a * radius)
            errors.append(np.ptp(values - wave))  # what is left is the level b, the same at each point
        assert min(errors) < 0.05
    assert np.ptp(y, axis=1).max() <= 2.0


def test_the_idle_input_is_one_and_the_other_fills_its_range() -> None:
    x, _ = rows(drawn(MixedRegression(("line", "cubic"))))
    assert np.all(x[..., 1] == 1.0)
    assert 0.0 <= x[..., 0].min() < 0.05 and 4.95 < x[..., 0].max() <= 5.0
    x, _ = rows(drawn(MixedRegression(("ripple",), inputs=(-5, 5))))
    assert x[..., 1].min() < -4.9 and x[..., 1].max() > 4.9


def test_noise_has_its_standard_deviation_in_support_and_query() -> None:
    clean, noisy = (drawn(MixedRegression(noise=noise), count=100) for noise in (0.0, 0.3))
    np.testing.assert_array_equal(clean.query_x, noisy.query_x)
    for part in ("support_y", "query_y"):
        left = getattr(noisy, part) - getattr(clean, part)
        assert 0.27 < left.std() < 0.33 and abs(left.mean()) < 0.03


def test_the_family_of_each_episode_is_known() -> None:
    tasks = MixedRegression(with_family=True)
    episode = drawn(tasks, count=120, seed=4)
    (x, family), (_, query_family) = episode.support_x, episode.query_x
    assert x.shape == (120, 5, 2) and family.shape == (120, 5) and family.dtype == np.int32
    np.testing.assert_array_equal(family[:, 0], tasks.family_indices(120, seed=4))
    np.testing.assert_array_equal(query_family, np.repeat(family[:, :1], 15, axis=1))
    assert set(family[:, 0]) == set(range(6))
    one_input = [tasks.families.index(name) for name in ("sinusoid", "line", "quadratic", "cubic")]
    np.testing.assert_array_equal(np.all(x[..., 1] == 1.0, axis=1), np.isin(family[:, 0], one_input))
    plain = drawn(MixedRegression(), count=120, seed=4)
    np.testing.assert_array_equal(plain.support_x, x)
    np.testing.assert_array_equal(plain.query_y, episode.query_y)


def test_families_are_drawn_equally_often() -> None:
    counts = np.bincount(MixedRegression().family_indices(1200), minlength=6)
    assert counts.min() > 150 and counts.max() < 250


def test_splits_and_seeds_draw_different_tasks_and_iterations_the_same() -> None:
    values = np.concatenate([drawn(MixedRegression().split(name)).query_y[:, 0, 0] for name in SPLITS])
    assert len(np.unique(values)) == len(values) == 180
    np.testing.assert_array_equal(drawn(MixedRegression(), seed=3).query_y, drawn(MixedRegression(), seed=3).query_y)
    assert not np.array_equal(drawn(MixedRegression(), seed=3).query_y, drawn(MixedRegression(), seed=2).query_y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"families": ("line", "cubik")}, "Unknown family 'cubik'. Did you mean 'cubic'"),
        ({"families": ()}, r"at least one family, each once; received \(\)"),
        ({"families": ("line", "line")}, "each once"),
        ({"noise": -0.1}, "noise must be a standard deviation >= 0, received -0.1"),
        ({"inputs": (5, 0)}, r"inputs must be a range .* received \(5, 0\)"),
        ({"inputs": (1, 2, 3)}, "inputs must be a range"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixedRegression(**arguments)


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match="k_shot must be a whole number of at least 1, received 0"):
        MixedRegression().sample(tf.constant([0, 0]), 0, 1)
