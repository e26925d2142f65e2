"""N-way K-shot episodes from any labelled examples, and the letters of many scripts as such.

Axes: N classes of an episode, K support and Q query examples of a class, n examples in all, G groups.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.datasets.alphabets import load_alphabets
from metagpt_tf.datasets.splits import SPLITS, split_tasks
from metagpt_tf.tasks.affine import random_affine
from metagpt_tf.tasks.class_table import (
    ClassTable,
    check_lengths,
    checked_splits,
    distinct_places,
    rows_by_class,
    too_small,
)
from metagpt_tf.tasks.distribution import TaskDistribution
from metagpt_tf.tasks.episode import Episode

Augment = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
ONE_GROUP = "all classes"
KEPT = (tf.int32, tf.int64, tf.string)  # ids and text; bytes, flags and all kinds of floats become float32


class FewShotClasses(TaskDistribution):
    """N-way K-shot classification over labelled examples: each episode draws N classes and numbers them anew.

    Use it for any labelled data that fits in memory: arrays here, a `tf.data.Dataset` such as one from TFDS by
    `from_dataset`. An episode draws a group uniformly (Omniglot's alphabets are groups; without them all classes are
    one), N distinct classes of it, and K + Q examples of each. Labels are 0 … N - 1 in an order that is random, so that
    only the support set tells what they mean.

    Without `augment` the K + Q examples of a class are distinct rows. With it they are drawn with replacement and each
    is changed by random numbers of its own: then one row is enough for a class.

    Splits hold whole groups, or whole classes where there are no groups, decided by a hash of the name
    (`datasets.splits.split_tasks`): no class is in two splits.

    Args:
        features: `(n, …)` numbers: int32 and int64 are kept (token ids), all others become float32.
        labels: `(n,)` integers or strings, the class of each example.
        n_way: classes N of an episode.
        groups: `(n,)` integers or strings, the group of each example; `None` (default) for one group. A class with
            examples in two groups counts as two.
        splits: split -> names of its groups (of its classes without groups); `None` (default) for the hash.
        augment: `(features (B, …) float32, seed (2,) int32) -> (B, …)`, a random change of examples; `None` for none.

    Raises:
        ValueError: arrays of different lengths or without rows, `n_way` below 2, names in `splits` that do not exist or
            are in two splits, or a split without tasks that are large enough when one is drawn.

    Example:

    >>> rows = np.arange(60, dtype="float32")[:, None]
    >>> tasks = FewShotClasses(rows, np.arange(60) // 4, n_way=2)
    >>> episode = tasks.sample(tf.constant([0, 0]), k_shot=1, n_query=2)
    >>> episode.support_x.shape, episode.query_y.shape
    (TensorShape([2, 1]), TensorShape([4]))

    Reference: Vinyals et al. 2016, "Matching Networks for One Shot Learning", https://arxiv.org/abs/1606.04080
    """

    def __init__(
        self,
        features: Any,
        labels: Any,
        n_way: int = 5,
        groups: Any = None,
        splits: dict[str, list[str]] | None = None,
        augment: Augment | None = None,
    ) -> None:
        if isinstance(n_way, bool) or not hasattr(n_way, "__index__") or n_way < 2:
            raise ValueError(f"n_way must be a whole number of at least 2 classes, received {n_way!r}.")
        features, labels = np.asarray(features), np.asarray(labels).astype(str)
        grouped = groups is not None
        groups = np.asarray(groups).astype(str) if grouped else np.full(len(labels), ONE_GROUP)
        check_lengths(features, labels, groups)
        self.n_way, self.augment = int(n_way), augment
        found = rows_by_class(labels, groups)
        names = sorted({group if grouped else label for group, label in found})
        self._split_names = checked_splits(splits, names) if splits is not None else split_tasks(names)
        self._rows: dict[str, dict[str, list[np.ndarray]]] = {split: {} for split in SPLITS}
        owner = {name: split for split, members in self._split_names.items() for name in members}
        for (group, label), rows in found.items():
            split = owner.get(group if grouped else label)
            if split is not None:
                self._rows[split].setdefault(group, []).append(rows)
        self._tables: dict[tuple[str, int], ClassTable] = {}
        with tf.device("CPU"):
            self._features = tf.constant(features)

    @classmethod
    def from_dataset(
        cls,
        dataset: tf.data.Dataset,
        n_way: int = 5,
        feature: str = "image",
        label: str = "label",
        group: str | None = None,
        prepare: Callable[[tf.Tensor], tf.Tensor] | None = None,
        **arguments: Any,
    ) -> "FewShotClasses":
        """Episodes from a dataset of dictionaries, as TFDS gives them; it is read into memory once.

        For Omniglot, on a machine that may download it:
        `from_dataset(tfds.load("omniglot", split="train+test"), group="alphabet", prepare=grey_image)`.

        Args:
            dataset: single examples, each a dict.
            n_way: classes N of an episode.
            feature, label, group: keys of the inputs, the class, and the group if there is one.
            prepare: applied to the inputs of one example, such as `grey_image`.
            **arguments: as in the constructor.

        Raises:
            ValueError: elements that are no dicts with these keys, and as the constructor.
        """
        keys = [key for key in (feature, label, group) if key is not None]
        spec = dataset.element_spec
        if not isinstance(spec, dict) or not set(keys) <= set(spec):
            given = sorted(spec) if isinstance(spec, dict) else type(spec).__name__
            raise ValueError(f"Expected examples as dicts with the keys {keys}, received {given}.")

        def chosen(example: dict[str, tf.Tensor]) -> list[tf.Tensor]:
            inputs = example[feature] if prepare is None else prepare(example[feature])
            return [inputs, *(example[key] for key in keys[1:])]

        columns = zip(*dataset.map(chosen).as_numpy_iterator(), strict=True)
        parts = [np.stack(column) for column in columns]
        if not parts:
            raise ValueError("The dataset of examples is empty.")
        return cls(parts[0], parts[1], n_way, parts[2] if group is not None else None, **arguments)

    @property
    def task_names(self) -> list[str]:
        """The names of what the split holds whole, in alphabetical order: groups, or classes where there are none."""
        return sorted(self._split_names[self.split_name])

    def check(self, k_shot: int, n_query: int) -> None:
        """Raise unless the split has a group of N classes with enough examples each."""
        super().check(k_shot, n_query)
        self._table(k_shot, n_query)

    def sample(self, seed: tf.Tensor, k_shot: int, n_query: int) -> Episode:
        """Draw a group, N of its classes and K + Q examples of each.

        Args:
            seed: `(2,) int32` stateless seed.
            k_shot: support examples K of each class.
            n_query: query examples Q of each class.

        Returns:
            An episode of x `(N · K, …)` and `(N · Q, …)`, y `(N · K,)` and `(N · Q,)` int32; class by class.
        """
        super().check(k_shot, n_query)
        table = self._table(k_shot, n_query)
        seeds = tf.unstack(tf.random.split(tf.cast(seed, tf.int32), 4))
        group = tf.random.stateless_uniform([], seeds[0], 0, len(table.groups), tf.int32)
        places = distinct_places(tf.gather(table.class_counts, [group]), table.classes.shape[1], self.n_way, seeds[1])
        classes = tf.gather(tf.gather(table.classes, group), places[0])
        rows = self._draw_rows(table, classes, k_shot + n_query, seeds[2])
        x = tf.gather(self._features, tf.reshape(rows, [-1]))
        x = x if x.dtype in KEPT else tf.cast(x, tf.float32)
        x = x if self.augment is None else self.augment(x, seeds[3])
        y = tf.repeat(tf.range(self.n_way), k_shot + n_query)
        x, y = (tf.reshape(part, [self.n_way, k_shot + n_query, *part.shape[1:]]) for part in (x, y))
        parts = [
            _flat(part) for span in (slice(None, k_shot), slice(k_shot, None)) for part in (x[:, span], y[:, span])
        ]
        return Episode(*parts)

    def _draw_rows(self, table: ClassTable, classes: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
        """`(N, count)` rows of the features: distinct ones, or any where they are augmented."""
        sizes = tf.gather(table.row_counts, classes)
        if self.augment is None:
            places = distinct_places(sizes, table.rows.shape[1], count, seed)
        else:
            drawn = tf.random.stateless_uniform([self.n_way, count], seed)
            places = tf.minimum(tf.cast(drawn * tf.cast(sizes[:, None], tf.float32), tf.int32), sizes[:, None] - 1)
        return tf.gather(tf.gather(table.rows, classes), places, batch_dims=1)

    def _table(self, k_shot: int, n_query: int) -> ClassTable:
        needed = 1 if self.augment is not None else k_shot + n_query
        key = (self.split_name, needed)
        if key not in self._tables:
            rows = self._rows[self.split_name]
            table = ClassTable(rows, needed, self.n_way)
            if not table.groups:
                raise ValueError(too_small(self.split_name, rows, needed, self.n_way))
            self._tables[key] = table
        return self._tables[key]


class FewShotImages(FewShotClasses):
    """N-way K-shot classification of letters: an episode is N letters of one script that it may never have seen.

    Use it as an Omniglot that is there at once: the bundled letters of 142 scripts (`datasets.load_alphabets`), whole
    scripts held out. A letter has one to four drawings; each example is one of them, turned by up to 15°, scaled,
    sheared and shifted a little. Support and query may show the same drawing, each in its own distortion.

    Args:
        n_way: letters N of an episode; scripts with fewer are left out.
        augment: a change of images as in `FewShotClasses`; the default is `random_affine` at its own defaults.

    Raises:
        ValueError: `n_way` below 2, or more than the largest script of the split has.

    Example:

    >>> tasks = FewShotImages(n_way=5)
    >>> episode = tasks.sample(tf.constant([0, 0]), k_shot=1, n_query=3)
    >>> episode.support_x.shape, episode.query_y.shape
    (TensorShape([5, 28, 28, 1]), TensorShape([15]))

    Reference: Lake et al. 2015, "Human-level concept learning through probabilistic program induction".
    """

    def __init__(self, n_way: int = 5, augment: Augment = random_affine) -> None:
        alphabets = load_alphabets()
        scripts = np.asarray(alphabets.names)[alphabets.script]
        images = alphabets.images[..., None]
        super().__init__(images, alphabets.letter, n_way, scripts, alphabets.splits, augment)


def grey_image(image: tf.Tensor, size: int = 28) -> tf.Tensor:
    """An image `(H, W, C)` of bytes as `(size, size, 1) float32` in [0, 1], averaged over channels and areas.

    Example:

    >>> grey_image(tf.fill([105, 105, 3], tf.constant(255, tf.uint8))).shape
    TensorShape([28, 28, 1])
    """
    grey = tf.reduce_mean(tf.cast(image, tf.float32), axis=-1, keepdims=True) / 255.0
    return tf.image.resize(grey, (size, size), "area")


def _flat(part: tf.Tensor) -> tf.Tensor:
    """`(N, K, …)` to `(N · K, …)`."""
    return tf.reshape(part, [math.prod(part.shape[:2]), *part.shape[2:]])
