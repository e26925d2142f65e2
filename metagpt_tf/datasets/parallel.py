"""Parallel text: the same content in two languages, where a target language is a task."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from metagpt_tf.datasets.gettext_files import catalogue_files, read_catalogue
from metagpt_tf.datasets.splits import split_tasks
from metagpt_tf.datasets.texts import Declaration, declarations, declarations_by_split, paired_paragraphs
from metagpt_tf.suggestions import closest

Pair = tuple[str, str]
Pairs = dict[str, dict[str, list[Pair]]]


def load_parallel(
    source: str = "udhr",
    packages: Sequence[str] = ("django",),
    source_language: str = "eng",
    variants: bool = False,
    min_pairs: int = 20,
) -> Pairs:
    """Load pairs of texts that say the same in two languages, by split and target language.

    Use it for translation tasks. No language is in two splits, whatever its scripts, spellings and countries.

    Args:
        source: `"udhr"`, the bundled Universal Declaration of Human Rights: some 58 pairs of paragraphs, or of whole
            articles where the paragraphs differ in number, in each of 436 languages. Or `"gettext"`, the translated
            user interfaces of installed packages: many short pairs from English. Their licence is the package's.
        packages: for `"gettext"`: installed packages with catalogues, by the name that `import` takes. Found, never
            imported.
        source_language: for `"udhr"`: code of the text to translate from, see `language_names`.
        variants: for `"udhr"`: whether other scripts, spellings and translations of a language are tasks too.
        min_pairs: languages with fewer pairs are left out.

    Returns:
        `{"meta_train" | "meta_validation" | "meta_test": {language: [(source_text, target_text), …]}}`. Tasks of
        `"udhr"` have the codes and splits of `load_languages`, tasks of `"gettext"` are locales (`"pt_BR"`). There no
        source text occurs twice in a task: the first translation counts.

    Raises:
        ValueError: an unknown source or source language, a package that is not installed or has no catalogues, or fewer
            than three languages with enough pairs. Damaged catalogues and messages are skipped, and counted in a
            warning.

    Example:

    >>> pairs = load_parallel()
    >>> pairs["meta_train"]["deu_1996"][4][1]
    'Jeder hat das Recht auf Leben, Freiheit und Sicherheit der Person.'
    >>> sum(map(len, pairs.values()))
    436
    """
    sources: dict[str, Callable[[], Pairs]] = {
        "udhr": lambda: _from_udhr(source_language, variants, min_pairs),
        "gettext": lambda: _from_gettext((packages,) if isinstance(packages, str) else packages, min_pairs),
    }
    if source not in sources:
        raise ValueError(f"Unknown source of parallel text {source!r}. {closest(str(source), sources)}")
    return sources[source]()


def udhr_texts(source_language: str, variants: bool = False) -> tuple[Declaration, dict[str, list[Declaration]]]:
    """The text to translate from, and by split the texts of all other languages.

    Raises:
        ValueError: an unknown code; the message suggests codes of the same language.
    """
    texts = {text.code: text for text in declarations()}
    if source_language not in texts:
        same = [code for code in texts if code.startswith(source_language[:3])]
        hint = f"Did you mean {' or '.join(map(repr, same[:5]))}? " if source_language and same else ""
        raise ValueError(
            f"Unknown text {source_language!r} of the declaration. {hint}Expected one of the {len(texts)} codes of "
            f"language_names(), such as 'eng'."
        )
    source = texts[source_language]
    others = {
        split: [text for text in found if text.language != source.language]
        for split, found in declarations_by_split(variants).items()
    }
    return source, others


def _from_udhr(source_language: str, variants: bool, min_pairs: int) -> Pairs:
    source, texts = udhr_texts(source_language, variants)
    pairs = {split: {text.code: paired_paragraphs(source, text) for text in found} for split, found in texts.items()}
    kept = {
        split: {code: rows for code, rows in tasks.items() if len(rows) >= min_pairs} for split, tasks in pairs.items()
    }
    if not all(kept.values()):
        most = max(len(rows) for tasks in pairs.values() for rows in tasks.values())
        raise ValueError(f"Too few languages have min_pairs={min_pairs} pairs; the most is {most}. Lower min_pairs.")
    return kept


def _from_gettext(packages: Sequence[str], min_pairs: int) -> Pairs:
    if not packages:
        raise ValueError("source='gettext' needs packages: the names of installed packages with gettext catalogues.")
    locales: dict[str, dict[str, str]] = {}
    bad: list[str] = []
    for package in packages:
        for locale, files in catalogue_files(package).items():
            for file in files:
                for message, translation in _pairs_of(file, bad):
                    locales.setdefault(locale, {}).setdefault(message, translation)
    if bad:
        warnings.warn(f"Skipped {len(bad)} damaged messages or catalogues. The first: {bad[0]}", stacklevel=4)
    return _by_language(locales, min_pairs, packages)


def _pairs_of(file: Any, bad: list[str]) -> list[Pair]:
    try:
        catalogue = read_catalogue(file)
    except ValueError as error:
        bad.append(str(error))
        return []
    bad += catalogue.bad
    return catalogue.pairs


def _by_language(locales: dict[str, dict[str, str]], min_pairs: int, packages: Sequence[str]) -> Pairs:
    """Whole languages are held out; into English itself (`en_GB`) nothing is translated."""
    languages: dict[str, list[str]] = {}
    for locale, pairs in locales.items():
        language = locale.replace("-", "_").partition("_")[0].partition("@")[0].lower()
        if language != "en" and len(pairs) >= min_pairs:
            languages.setdefault(language, []).append(locale)
    if len(languages) < 3:
        sizes = {locale: len(pairs) for locale, pairs in sorted(locales.items())[:10]}
        raise ValueError(
            f"Three splits need at least 3 languages with min_pairs={min_pairs} translated messages; the catalogues of "
            f"{', '.join(packages)} have {len(languages)}: {sizes}. Give more packages, or lower min_pairs."
        )
    return {
        split: {locale: list(locales[locale].items()) for name in names for locale in sorted(languages[name])}
        for split, names in split_tasks(languages).items()
    }
