"""Any labelled set of TFDS as N-way K-shot episodes, whole classes held out.

Axes: N classes of an episode, n examples in all, L tokens of a text.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from metagpt_tf import tokenizers
from metagpt_tf.registry import closest
from metagpt_tf.tasks.few_shot import Augment, FewShotClasses

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

PathLike = str | os.PathLike[str]
Prepare = Callable[[Any], Any]


class TFDSClasses(FewShotClasses):
    """N-way K-shot classification over a set of TensorFlow Datasets, by its name.

    Use it for the sets that TFDS knows (`"omniglot"`, `"cifar100"`, `"clinc_oos"`). The set is downloaded once, by TFDS
    and with its progress bars; then it is read into memory. Which columns are inputs and classes is read from the set:
    its supervised keys, else its first image or text and its first class label. All of its own splits are put together,
    since here whole classes are held out: a class is in one of meta_train, meta_validation and meta_test, by a hash of
    its name.

    Images become float32 in [0, 1] of `image_size` squared with their channels, texts int32 ids, numbers stay.

    Args:
        name: the set, as `tfds.builder` takes it (`"emnist/letters"`).
        n_way: classes N of an episode.
        split: which rows, in TFDS's words; `"train+test"` for Omniglot, whose other splits repeat these.
        feature, label: columns of inputs and classes; `None` (default) to find them.
        group: column that classes are grouped by, such as Omniglot's `"alphabet"`; then whole groups are held out.
        examples_per_class: how many rows of a class are kept, the first ones; `None` for all.
        prepare: makes the array of one example from what TFDS gives (`(H, W, C) uint8`, `bytes`); `None` for the above.
        image_size: pixels of a side.
        tokenizer: for texts, an object or a name.
        text_length: tokens L of a text, EOS included; longer ones are cut.
        data_dir: where TFDS keeps its sets; default its own folder.
        splits, augment: as in `FewShotClasses`. With fewer than about a dozen classes give `splits` by hand, so that
            each has N of them.

    Raises:
        ValueError: a set that TFDS does not know, columns that it does not have, or no row.
        RuntimeError: the set is not on this machine and cannot be downloaded.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> with tfds.testing.mock_data(num_examples=400):
    ...     tasks = TFDSClasses("cifar100", n_way=3)
    >>> tasks.sample(tf.constant([0, 0]), k_shot=1, n_query=1).support_x.shape
    TensorShape([3, 28, 28, 3])

    Reference: https://www.tensorflow.org/datasets
    """

    def __init__(
        self,
        name: str,
        n_way: int = 5,
        split: str = "all",
        feature: str | None = None,
        label: str | None = None,
        group: str | None = None,
        examples_per_class: int | None = 200,
        prepare: Prepare | None = None,
        image_size: int = 28,
        tokenizer: Any = "bytes",
        text_length: int = 64,
        data_dir: PathLike | None = None,
        splits: dict[str, list[str]] | None = None,
        augment: Augment | None = None,
    ) -> None:
        builder = _prepared(name, data_dir)
        columns = dict(builder.info.features)
        keys = supervised_columns(columns, builder.info.supervised_keys, feature, label)
        keys += [group] if group is not None else []
        _check_columns(name, keys, columns)
        self.tokenizer = tokenizers.get(tokenizer) if _is_text(columns[keys[0]]) else None
        prepare = prepare or self._preparation(columns[keys[0]], image_size, text_length)
        rows = _rows(builder.as_dataset(split=split, shuffle_files=False), keys, columns)
        kept = [(prepare(row[0]), *row[1:]) for row in _first_of_each(rows, examples_per_class)]
        if not kept:
            raise ValueError(f"The split {split!r} of {name!r} has no rows.")
        parts = [np.stack(part) for part in zip(*kept, strict=True)]
        super().__init__(parts[0], parts[1], n_way, parts[2] if group is not None else None, splits, augment)

    def _preparation(self, column: Any, image_size: int, text_length: int) -> Prepare:
        if _is_image(column):
            return lambda image: unit_image(image, image_size)
        if self.tokenizer is None:
            return np.asarray
        pack = self.tokenizer.pack
        return lambda text: np.asarray(pack([text.decode()], text_length))[0]


def supervised_columns(
    columns: dict[str, Any], supervised: Any, feature: str | None = None, label: str | None = None
) -> list[str]:
    """The columns of the inputs and of the classes: those given, else the supervised keys, else the first that fit.

    Args:
        columns: name -> TFDS feature.
        supervised: the set's `supervised_keys`, `(inputs, classes)` or None.
        feature, label: names given by hand, or None.

    Raises:
        ValueError: no such column.
    """
    plain = [key if isinstance(key, str) else None for key in (supervised or (None, None))[:2]]
    chosen_label = label or plain[1] or next((key for key, column in columns.items() if _is_class(column)), None)
    fitting = [key for key, column in columns.items() if _is_image(column)]
    fitting += [key for key, column in columns.items() if _is_text(column) and key != chosen_label]
    chosen = feature or plain[0] or next(iter(fitting), None)
    if chosen is None or chosen_label is None:
        raise ValueError(f"Expected an image or text and a class label, received {columns}. Name feature=… and label=…")
    return [chosen, chosen_label]


def unit_image(image: np.ndarray, size: int = 28) -> np.ndarray:
    """An image `(H, W, C)` of bytes as `(size, size, C) float32` in [0, 1], averaged over areas.

    Example:

    >>> unit_image(np.full([32, 32, 3], 255, "uint8")).shape
    (28, 28, 3)
    """
    scaled = tf.cast(image, tf.float32) / 255.0
    return np.asarray(tf.image.resize(scaled, (size, size), "area"))


def _prepared(name: str, data_dir: PathLike | None) -> "tfds.core.DatasetBuilder":
    """The builder of a set that is on this machine, if need be after a download."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        raise ValueError(f"TFDS knows no set {name!r}. {closest(name, known).split(' Known names')[0]}") from error
    try:
        builder.download_and_prepare()
    except ImportError as error:
        raise RuntimeError(f"TFDS needs {error.name!r} to download {name!r}: pip install metagpt_tf[data]") from error
    except OSError as error:  # requests' errors of connections are of this kind
        raise RuntimeError(
            f"The set {name!r} is not in {builder.data_dir} and could not be downloaded: {error}. Run this once where "
            f"there is internet, or pass the data_dir of a copy made there."
        ) from error
    return builder


def _check_columns(name: str, keys: list[str], columns: dict[str, Any]) -> None:
    for key in keys:
        if key not in columns:
            raise ValueError(f"{name!r} has no column {key!r}. {closest(key, columns)}")


def _rows(dataset: tf.data.Dataset, keys: list[str], columns: dict[str, Any]) -> Iterator[list[Any]]:
    """Inputs, class name and group name of each row."""
    chosen = dataset.map(lambda example: [example[key] for key in keys])
    for inputs, *names in chosen.as_numpy_iterator():
        yield [inputs, *(_name(columns[key], value) for key, value in zip(keys[1:], names, strict=True))]


def _name(column: Any, value: Any) -> str:
    if _is_class(column):
        return str(column.int2str(int(value)))
    return value.decode() if isinstance(value, bytes) else str(value)


def _first_of_each(rows: Iterable[list[Any]], count: int | None) -> Iterator[list[Any]]:
    seen: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        seen[tuple(row[1:])] += 1
        if count is None or seen[tuple(row[1:])] <= count:
            yield row


def _is_image(column: Any) -> bool:
    import tensorflow_datasets as tfds

    return isinstance(column, tfds.features.Image)


def _is_text(column: Any) -> bool:
    import tensorflow_datasets as tfds

    return isinstance(column, tfds.features.Text) or (column.dtype == np.object_ and column.shape == ())


def _is_class(column: Any) -> bool:
    import tensorflow_datasets as tfds

    return isinstance(column, tfds.features.ClassLabel)
