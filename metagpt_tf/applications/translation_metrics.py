"""BLEU and chrF, computed by `sacrebleu`: how near a translation is to what was expected."""

from collections.abc import Sequence
from typing import Any

from metagpt_tf.applications.text_metrics import check_pairs


def corpus_bleu(predicted: Sequence[str], expected: Sequence[str | Sequence[str]], **options: Any) -> float:
    """BLEU of a corpus, 0 … 100, by `sacrebleu` (`pip install metagpt_tf[eval]`).

    Args:
        predicted: N texts.
        expected: N references, each a text or several.
        **options: of `sacrebleu.corpus_bleu`, such as `tokenize="zh"`.

    Raises:
        ImportError: `sacrebleu` is not installed.
        TypeError: one string.
        ValueError: different numbers of texts, or none.

    Example:

    >>> corpus_bleu(["the cat sat on the mat"], ["the cat sat on the mat"])  # doctest: +SKIP
    100.0

    Reference: Papineni et al., 2002, "BLEU"; Post, 2018, "A Call for Clarity in Reporting BLEU Scores".
    """
    return _by_sacrebleu("corpus_bleu", predicted, expected, options)


def chrf(predicted: Sequence[str], expected: Sequence[str | Sequence[str]], **options: Any) -> float:
    """chrF of a corpus, 0 … 100, an F-score of character n-grams, by `sacrebleu` (`pip install metagpt_tf[eval]`).

    Better than BLEU for short texts and for languages with many word forms.

    Args, errors: as in `corpus_bleu`; options of `sacrebleu.corpus_chrf`, such as `word_order=2` for chrF++.

    Example:

    >>> chrf(["the cat"], ["the cat"])  # doctest: +SKIP
    100.0

    Reference: Popović, 2015, "chrF: character n-gram F-score for automatic MT evaluation".
    """
    return _by_sacrebleu("corpus_chrf", predicted, expected, options)


def _streams(predicted: Sequence[str], expected: Sequence[str | Sequence[str]]) -> list[list[str | None]]:
    """References as sacrebleu takes them: first references of all texts, second references of all texts, …"""
    check_pairs(predicted, expected)
    lists = [[given] if isinstance(given, str) else list(given) for given in expected]
    if not all(lists):
        raise ValueError(
            f"Text {[bool(given) for given in lists].index(False)} has no reference. Give each at least one."
        )
    depth = max(map(len, lists))
    return [[given[i] if i < len(given) else None for given in lists] for i in range(depth)]


def _by_sacrebleu(
    name: str, predicted: Sequence[str], expected: Sequence[str | Sequence[str]], options: dict[str, Any]
) -> float:
    try:
        import sacrebleu
    except ImportError as error:
        raise ImportError("BLEU and chrF need the `sacrebleu` library: pip install 'metagpt_tf[eval]'.") from error
    return float(getattr(sacrebleu, name)(list(predicted), _streams(predicted, expected), **options).score)
