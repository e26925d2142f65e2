"""Rows of any TFDS data set: ours, which are built offline, and those that TFDS downloads."""

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tensorflow_datasets as tfds

from metagpt_tf.datasets import python_functions, text_builders  # noqa: F401  (importing them registers the builders)
from metagpt_tf.datasets.loading import _progress_bars
from metagpt_tf.datasets.splits import SPLITS
from metagpt_tf.suggestions import closest

T = TypeVar("T")


def tfds_rows(
    name: str,
    parse: Callable[[dict[str, Any]], T],
    columns: Sequence[str],
    data_dir: str | os.PathLike[str] | None = None,
) -> dict[str, list[T]]:
    """The records of a TFDS data set by split, each made from a dict of the wanted features.

    Args:
        name: `"name"`, `"name/config"` or either with `":version"`.
        parse: makes a record of a row; it raises `ValueError` with the reason for a bad one. Texts are `str`, and
            labels have their names.
        columns: the features that are wanted; those that the data set lacks are not in the row.
        data_dir: folder of the data sets; default TFDS's own.

    Returns:
        Our three splits where the data set has them, else one entry `"all"` with the rows of all its splits.

    Raises:
        FileNotFoundError: TFDS knows no such data set; the message suggests the closest.
        ValueError: no row is good, as without the columns that `parse` asks for.

    Example:

    >>> import tempfile
    >>> rows = tfds_rows("author_texts", lambda row: row["task"], ["task"], tempfile.mkdtemp())
    >>> {split: len(set(authors)) for split, authors in rows.items()}
    {'meta_train': 26, 'meta_validation': 11, 'meta_test': 6}
    """
    with _progress_bars(False):
        builder = _builder(name, data_dir)
        builder.download_and_prepare()
        ours = set(SPLITS) <= set(builder.info.splits)
        return {split: _parsed(builder, split, parse, columns) for split in (SPLITS if ours else ("all",))}


def _builder(name: str, data_dir: str | os.PathLike[str] | None) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(name, **({} if data_dir is None else {"data_dir": os.fspath(data_dir)}))
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        raise FileNotFoundError(
            f"No file or folder at {name!r}, and no TFDS data set has this name. "
            f"{closest(name, known).split('Known names')[0]}Expected a path, or a name out of tfds.list_builders()."
        ) from error


def _parsed(
    builder: tfds.core.DatasetBuilder, split: str, parse: Callable[[dict[str, Any]], T], columns: Sequence[str]
) -> list[T]:
    features = {column: builder.info.features[column] for column in columns if column in builder.info.features}
    decoders = tfds.decode.PartialDecoding(dict.fromkeys(features, True)) if features else None
    records: list[T] = []
    bad: list[str] = []
    for number, example in enumerate(tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders))):
        try:
            records.append(parse({column: _plain(feature, example[column]) for column, feature in features.items()}))
        except ValueError as error:
            bad.append(f"example {number} of {split!r}: {error}")
    if not records:
        raise ValueError(
            f"Nothing to read in the TFDS data set {builder.name!r}: "
            f"{bad[0] if bad else f'no example in {split!r}'}. Its features are {sorted(builder.info.features)}."
        )
    if bad:
        warnings.warn(
            f"Skipped {len(bad)} of {len(bad) + len(records)} examples of {builder.name!r}. The first: {bad[0]}",
            stacklevel=6,
        )
    return records


def _plain(feature: Any, value: Any) -> Any:
    """A label's name, or text; one that is not UTF-8 makes its row a bad one (UnicodeDecodeError is a ValueError)."""
    if isinstance(feature, tfds.features.ClassLabel):
        return feature.int2str(int(value)) if feature.names else str(int(value))
    return value.decode("utf-8") if isinstance(value, bytes) else value
