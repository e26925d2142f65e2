"""Array tasks draw distinct rows of one task, uniformly, and name the tasks that are too small."""

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.datasets import SPLITS
from metagpt_tf.tasks import ArrayTasks, Episode, check_episode

SIZES = {"meta_train": {"a": 6, "b": 9, "c": 30}, "meta_validation": {"d": 7}, "meta_test": {"e": 12, "f": 8}}


def family(on_small: str = "error") -> ArrayTasks:
    """Each row of x is (task number, row number); y is their code as one number."""
    tasks: dict[str, dict[str, tuple]] = {}
    for split, sizes in SIZES.items():
        tasks[split] = {}
        for name, size in sizes.items():
            x = np.stack([np.full(size, ord(name)), np.arange(size)], axis=1).astype(np.int32)
            tasks[split][name] = (x, x[:, :1] * 1000 + x[:, 1:])
    return ArrayTasks(tasks, on_small)


def draws(tasks: ArrayTasks, k_shot: int, n_query: int, batches: int = 40, seed: int = 0) -> list[Episode]:
    dataset = tasks.as_dataset(1, k_shot, n_query, seed=seed, num_batches=batches)
    return [tf.nest.map_structure(lambda tensor: tensor.numpy()[0], episode) for episode in dataset]


def test_no_row_is_in_both_support_and_query() -> None:
    for episode in draws(family(), k_shot=2, n_query=4):
        rows = np.concatenate([episode.support_x, episode.query_x])
        assert len(np.unique(rows[:, 0])) == 1, "an episode is of one task"
        assert len(np.unique(rows[:, 1])) == 6, "rows are distinct"


def test_y_stays_with_its_x() -> None:
    for episode in draws(family(), k_shot=2, n_query=3, batches=10):
        for x, y in ((episode.support_x, episode.support_y), (episode.query_x, episode.query_y)):
            np.testing.assert_array_equal(x[:, :1] * 1000 + x[:, 1:], y)


def test_tasks_and_rows_are_drawn_uniformly() -> None:
    episodes = draws(family(), k_shot=1, n_query=1, batches=3000)
    drawn = np.array([episode.support_x[0] for episode in episodes])
    names, counts = np.unique(drawn[:, 0], return_counts=True)
    assert [chr(name) for name in names] == ["a", "b", "c"]
    assert np.all(np.abs(counts - 1000) < 110)
    rows, counts = np.unique(drawn[drawn[:, 0] == ord("b"), 1], return_counts=True)
    assert rows.tolist() == list(range(9)) and np.all(np.abs(counts - counts.sum() / 9) < 45)


@pytest.mark.parametrize("split", SPLITS)
def test_splits_share_no_task(split: str) -> None:
    tasks = family().split(split)
    assert tasks.task_names == sorted(SIZES[split])
    drawn = {chr(episode.query_x[0, 0]) for episode in draws(tasks, k_shot=2, n_query=2)}
    assert drawn == set(SIZES[split])


def test_shapes_are_static_and_runs_repeat() -> None:
    dataset = family().as_dataset(3, k_shot=2, n_query=4, num_batches=2)
    assert [tuple(spec.shape) for spec in dataset.element_spec] == [(3, 2, 2), (3, 2, 1), (3, 4, 2), (3, 4, 1)]
    first, second = ([episode.query_x.numpy() for episode in dataset] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for episode in dataset:
        check_episode(episode)


def test_small_tasks_are_named_or_dropped() -> None:
    with pytest.raises(ValueError, match=r"k_shot \+ n_query = 9 rows.*'a' \(6\)\. .*on_small='drop'"):
        family().as_dataset(1, k_shot=4, n_query=5)
    drawn = {chr(episode.support_x[0, 0]) for episode in draws(family("drop"), k_shot=4, n_query=5)}
    assert drawn == {"b", "c"}
    with pytest.raises(ValueError, match=r"'a' \(6\), 'b' \(9\), 'c' \(30\)"):
        family("drop").as_dataset(1, k_shot=30, n_query=1)


def test_an_episode_of_a_named_task() -> None:
    tasks = family()
    episode = tasks.episode("e", k_shot=5, n_query=7, seed=3)
    rows = np.concatenate([episode.support_x, episode.query_x])
    assert set(rows[:, 0]) == {ord("e")} and sorted(rows[:, 1]) == list(range(12))
    np.testing.assert_array_equal(episode.query_x, tasks.episode("e", 5, 7, seed=3).query_x)
    assert not np.array_equal(episode.query_x, tasks.episode("e", 5, 7, seed=4).query_x)
    check_episode(episode, batched=False)
    with pytest.raises(ValueError, match=r"= 13 rows.*'e' \(12\)"):
        tasks.episode("e", 6, 7)
    with pytest.raises(ValueError, match="Unknown task 'x'. .*Known names: a, b, c, d, e, f"):
        tasks.episode("x", 1, 1)


def test_nested_inputs_and_strings() -> None:
    x = {"number": np.arange(5.0), "word": np.array(["v", "w", "x", "y", "z"])}
    tasks = ArrayTasks({"meta_test": {"letters": (x, np.arange(5))}})
    assert tasks.task_names == ["letters"], "without meta_train the first split with tasks is the start"
    episode = next(iter(tasks.as_dataset(2, k_shot=2, n_query=3)))
    assert episode.query_x["word"].shape == (2, 3)
    words = np.array([b"v", b"w", b"x", b"y", b"z"], object)
    np.testing.assert_array_equal(words[episode.query_y.numpy()], episode.query_x["word"].numpy())
    np.testing.assert_array_equal(episode.support_x["number"], tf.cast(episode.support_y, tf.float64))


def test_bad_families() -> None:
    rows = np.zeros((4, 2))
    with pytest.raises(ValueError, match="Unknown split 'train'. Did you mean 'meta_train'"):
        ArrayTasks({"train": {"a": (rows, rows)}})
    with pytest.raises(ValueError, match="Received no task"):
        ArrayTasks({"meta_train": {}})
    with pytest.raises(ValueError, match="'a' is in both 'meta_train' and 'meta_test'"):
        ArrayTasks({"meta_train": {"a": (rows, rows)}, "meta_test": {"a": (rows, rows)}})
    with pytest.raises(ValueError, match=r"Task 'a' .* same number of rows; received shapes \[\(4, 2\), \(3, 2\)\]"):
        ArrayTasks({"meta_train": {"a": (rows, rows[:3])}})
    with pytest.raises(ValueError, match=r"agree in structure .*'b': \[\(4, 1\), \(4, 2\)\]"):
        ArrayTasks({"meta_train": {"a": (rows, rows), "b": (rows[:, :1], rows)}})
    with pytest.raises(ValueError, match="'meta_test' holds no tasks; those that do: meta_train"):
        ArrayTasks({"meta_train": {"a": (rows, rows)}}).split("meta_test")
    with pytest.raises(ValueError, match="on_small must be 'error' or 'drop'"):
        family("ignore")


def test_some_tasks_of_a_split_are_a_distribution_too() -> None:
    whole = family("drop").split("meta_train")
    kept = whole.task_names[::2]
    part = whole.only(kept)
    assert part.task_names == kept and whole.task_names != kept
    assert part.split("meta_test").task_names == whole.split("meta_test").task_names
    one, other = (t.episode(kept[-1], 2, 2, seed=1) for t in (whole, part))
    np.testing.assert_array_equal(one.support_x, other.support_x)
    with pytest.raises(ValueError, match="Unknown task 'nothing'"):
        whole.only(["nothing"])


def test_every_task_comes_once_and_small_ones_only_if_they_are_to_be_dropped() -> None:
    rows = [np.asarray(e.support_x)[:, 0, 0] for e in family("drop").split("meta_train").every_task(4, 4, 2)]
    assert [chr(task) for row in rows for task in row] == ["b", "c"]
    first, second = (next(iter(family().split("meta_test").every_task(2, 3, 2, seed=5))) for _ in range(2))
    np.testing.assert_array_equal(first.query_x, second.query_x)
    np.testing.assert_array_equal(first.support_x[0], family().episode("e", 2, 3, seed=5).support_x)
    with pytest.raises(ValueError, match="an episode needs|An episode needs"):
        family().split("meta_train").every_task(4, 4, 2)


@pytest.mark.parametrize("exponent, share", [(0.0, 0.5), (0.5, 2 / 3), (1.0, 0.8)])
def test_large_tasks_are_drawn_more_often(exponent, share):
    sizes = {"large": 40, "small": 10}
    rows = {name: (np.full([n, 1], float(n)), np.full([n, 1], float(n))) for name, n in sizes.items()}
    tasks = ArrayTasks({"meta_train": rows}).by_size(exponent)
    (batch,) = tasks.as_dataset(600, 1, 1, seed=3, num_batches=1)
    assert np.mean(np.asarray(batch.support_x) == 40) == pytest.approx(share, abs=0.06)


def test_uniform_episodes_are_those_of_before():
    rows = {str(n): (np.full([5, 1], float(n)), np.full([5, 1], float(n))) for n in range(7)}
    tasks = ArrayTasks({"meta_train": rows})
    pair = [family.as_dataset(4, 2, 2, num_batches=3) for family in (tasks, tasks.by_size(0))]
    for first, second in zip(*pair, strict=True):
        np.testing.assert_array_equal(first.support_x, second.support_x)


def test_a_negative_exponent():
    with pytest.raises(ValueError, match="at least 0, received -1"):
        ArrayTasks({"meta_train": {"a": (np.zeros([2, 1]), np.zeros([2, 1]))}}).by_size(-1)
