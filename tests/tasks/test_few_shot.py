"""N-way K-shot episodes: distinct classes of one group, distinct rows, labels that mean nothing by themselves."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from metagpt_tf.datasets import SPLITS
from metagpt_tf.datasets.alphabets import load_alphabets
from metagpt_tf.tasks import Episode, check_episode
from metagpt_tf.tasks.affine import random_affine
from metagpt_tf.tasks.few_shot import FewShotClasses, FewShotImages, grey_image

CLASSES, ROWS = 40, 6
LABELS = np.repeat(np.arange(CLASSES), ROWS)
FEATURES = np.stack([LABELS, np.arange(CLASSES * ROWS)], axis=1).astype("float32")  # the class, and the row
GROUPS = LABELS // 8  # five groups of eight classes


def drawn(tasks: FewShotClasses, count: int = 50, k_shot: int = 2, n_query: int = 3, seed: int = 0) -> Episode:
    """One meta-batch as NumPy arrays."""
    (episode,) = tasks.as_dataset(count, k_shot, n_query, seed=seed, num_batches=1)
    return Episode(*(tensor.numpy() for tensor in episode))


def test_an_episode_is_n_classes_with_distinct_rows() -> None:
    tasks = FewShotClasses(FEATURES, LABELS, n_way=3)
    episode = drawn(tasks)
    check_episode(episode)
    assert episode.support_x.shape == (50, 6, 2) and episode.query_y.shape == (50, 9)
    assert episode.support_x.dtype == np.float32 and episode.support_y.dtype == np.int32
    for x, y, query_x, query_y in zip(*episode, strict=True):
        assert np.bincount(y).tolist() == [2, 2, 2] and np.bincount(query_y).tolist() == [3, 3, 3]
        rows, query_rows = x[:, 1], query_x[:, 1]
        assert len({*rows, *query_rows}) == 15
        meaning = {label: set(x[y == label, 0]) | set(query_x[query_y == label, 0]) for label in range(3)}
        assert [len(found) for found in meaning.values()] == [1, 1, 1]
        assert len(set.union(*meaning.values())) == 3


def test_every_class_and_row_is_drawn_under_every_label() -> None:
    tasks = FewShotClasses(FEATURES, LABELS, n_way=2, splits={"meta_train": [str(c) for c in range(4)]})
    episode = drawn(tasks, count=200)
    pairs = set(zip(episode.support_x[..., 0].ravel(), episode.support_y.ravel(), strict=True))
    assert pairs == {(float(c), label) for c in range(4) for label in range(2)}
    assert set(episode.support_x[..., 1].ravel()) == set(range(4 * ROWS))


def test_classes_come_from_one_group_and_groups_are_held_out_whole() -> None:
    tasks = FewShotClasses(FEATURES, LABELS, n_way=4, groups=GROUPS)
    owners = {}
    for split in SPLITS:
        restricted = tasks.split(split)
        groups = drawn(restricted).support_x[..., 0] // 8
        assert np.all(groups == groups[:, :1])
        assert {str(int(group)) for group in groups[:, 0]} == set(restricted.task_names)
        owners[split] = set(restricted.task_names)
    assert sorted(name for names in owners.values() for name in names) == ["0", "1", "2", "3", "4"]


def test_without_groups_classes_are_held_out_whole() -> None:
    tasks = FewShotClasses(FEATURES, LABELS, n_way=2)
    found = [set(drawn(tasks.split(split), count=200).query_x[..., 0].ravel()) for split in SPLITS]
    assert set.union(*found) == set(range(CLASSES)) and sum(map(len, found)) == CLASSES
    assert [len(tasks.split(split).task_names) for split in SPLITS] == [len(classes) for classes in found]


def test_seeds_decide_everything() -> None:
    tasks = FewShotClasses(FEATURES, LABELS, n_way=3)
    np.testing.assert_array_equal(drawn(tasks, seed=3).support_x, drawn(tasks, seed=3).support_x)
    assert not np.array_equal(drawn(tasks, seed=3).support_x, drawn(tasks, seed=4).support_x)
    graph = tf.function(lambda seed: FewShotClasses.sample(tasks, seed, 1, 4))
    np.testing.assert_array_equal(graph(tf.constant([7, 1])).query_x, tasks.sample(tf.constant([7, 1]), 1, 4).query_x)


def test_token_ids_stay_integers_and_small_classes_are_left_out() -> None:
    ids = np.arange(30, dtype="int32").reshape(10, 3)
    labels = np.array(["a"] * 4 + ["b"] * 4 + ["rare"] * 2)
    tasks = FewShotClasses(ids, labels, n_way=2, splits={"meta_train": ["a", "b", "rare"]})
    episode = drawn(tasks, k_shot=1, n_query=2)
    assert episode.support_x.dtype == np.int32 and episode.query_x.max() < 24


def test_letters_are_episodes_of_one_script() -> None:
    tasks = FewShotImages(n_way=5)
    assert tasks.task_names == load_alphabets().splits["meta_train"]
    episode = drawn(tasks, count=8, k_shot=1, n_query=4)
    assert episode.support_x.shape == (8, 5, 28, 28, 1) and episode.query_x.shape == (8, 20, 28, 28, 1)
    assert episode.support_y.tolist() == [[0, 1, 2, 3, 4]] * 8
    assert episode.query_x.min() >= 0.0 and 0.9 < episode.query_x.max() <= 1.0 + 1e-5
    assert episode.query_x.mean(axis=(2, 3, 4)).min() > 0.01
    images = episode.query_x.reshape(8, 5, 4, -1)
    assert all(np.abs(images[:, :, i] - images[:, :, i + 1]).max(axis=-1).min() > 0.1 for i in range(3))


def test_letters_can_be_told_apart_from_one_example() -> None:
    """Nearest neighbour on blurred pixels, far above chance: distortions leave a letter what it is."""
    episode = drawn(FewShotImages(5).split("meta_test"), count=60, k_shot=1, n_query=3)

    def blurred(x: np.ndarray) -> np.ndarray:
        pooled = tf.nn.avg_pool2d(x.reshape(-1, 28, 28, 1), 5, 2, "SAME")
        flat = np.reshape(pooled, (*x.shape[:2], -1))
        return flat / np.linalg.norm(flat, axis=-1, keepdims=True)

    similarity = blurred(episode.query_x) @ np.swapaxes(blurred(episode.support_x), 1, 2)
    accuracy = np.mean(np.argmax(similarity, axis=-1) == episode.query_y)
    assert 0.55 < accuracy < 0.99


def test_an_affine_change_without_range_is_none_and_shifts_go_where_they_should() -> None:
    images = tf.cast(load_alphabets().images[:6, ..., None], tf.float32)
    still = {"rotation": 0.0, "scale": (1.0, 1.0), "shear": 0.0, "shift": 0.0}
    np.testing.assert_allclose(random_affine(images, tf.constant([0, 0]), **still), images, atol=1e-4)
    turned = random_affine(images, tf.constant([1, 0]))
    assert np.abs(turned - images).max(axis=(1, 2, 3)).min() > 0.3
    smaller = random_affine(images, tf.constant([0, 0]), **{**still, "scale": (0.5, 0.5001)})
    np.testing.assert_allclose(np.sum(smaller, axis=(1, 2, 3)), np.sum(images, axis=(1, 2, 3)) / 4, rtol=0.25)
    corner = np.zeros((1, 28, 28, 1), "float32")
    corner[0, 13:15, 13:15] = 1.0
    np.testing.assert_allclose(
        random_affine(corner, tf.constant([0, 0]), **{**still, "rotation": 45.0}).numpy().sum(), 4, rtol=0.2
    )
    with pytest.raises(ValueError, match=r"takes images \(B, H, W, C\), received shape \(28, 28\)"):
        random_affine(tf.zeros([28, 28]), tf.constant([0, 0]))


def test_omniglot_as_tfds_gives_it() -> None:
    """The real builder's features and types; its content is mocked, because nothing is downloaded here."""
    with tfds.testing.mock_data(num_examples=90):
        dataset = tfds.load("omniglot", split="train")
    dataset = dataset.map(
        lambda example: {**example, "alphabet": example["alphabet"] % 3, "label": example["label"] % 4}
    )
    tasks = FewShotClasses.from_dataset(dataset, n_way=2, group="alphabet", prepare=grey_image, augment=random_affine)
    episode = drawn(tasks, count=4, k_shot=1, n_query=2)
    assert episode.support_x.shape == (4, 2, 28, 28, 1) and episode.support_x.dtype == np.float32
    assert episode.support_x.min() >= 0.0 and episode.support_x.max() <= 1.0 + 1e-5
    assert sorted(name for split in SPLITS for name in tasks.split(split).task_names) == ["0", "1", "2"]


def test_a_grey_image_is_the_mean_of_its_areas() -> None:
    image = np.zeros((56, 56, 3), "uint8")
    image[:2, :2] = [255, 0, 0]
    grey = grey_image(tf.constant(image)).numpy()
    assert grey[0, 0, 0] == pytest.approx(1 / 3) and grey.sum() == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_way": 1}, "n_way must be a whole number of at least 2 classes, received 1"),
        ({"labels": LABELS[1:]}, r"same number n of rows; received features \(240, 2\), labels \(239,\)"),
        ({"labels": LABELS[:, None]}, r"Expected features \(n, …\), labels \(n,\)"),
        ({"splits": {"meta_train": ["0", "1"], "meta_test": ["1"]}}, "received a name in two splits"),
        ({"splits": {"meta_train": ["0", "99"]}}, r"received unknown \['99'\]"),
        ({"splits": {"train": ["0"]}}, r"received unknown \['train'\]"),
        ({"labels": np.zeros(CLASSES * ROWS)}, r"Found 1 task\(s\)"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FewShotClasses(**{"features": FEATURES, "labels": LABELS, **arguments})


def test_splits_that_are_too_small_are_named_before_anything_is_drawn() -> None:
    with pytest.raises(ValueError, match=r"needs 3 classes .* at least k_shot \+ n_query = 7 examples .* has 0"):
        FewShotClasses(FEATURES, LABELS, n_way=3).as_dataset(2, k_shot=3, n_query=4)
    with pytest.raises(ValueError, match="needs 65 classes of one group"):
        FewShotImages(n_way=65).as_dataset(2, k_shot=1, n_query=1)
    with pytest.raises(ValueError, match=r"dicts with the keys \['image', 'label'\], received \['x'\]"):
        FewShotClasses.from_dataset(tf.data.Dataset.from_tensors({"x": 1}))
    with pytest.raises(ValueError, match="The dataset of examples is empty"):
        FewShotClasses.from_dataset(tf.data.Dataset.from_tensors({"image": 1, "label": 1}).take(0))
