"""The kinds of language task: where each one's data comes from, how it becomes pairs, and how answers are scored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metagpt_tf import datasets
from metagpt_tf.applications import text_metrics, translation_metrics
from metagpt_tf.registry import closest
from metagpt_tf.tasks import text_chunks, token_chunks
from metagpt_tf.tasks.text_to_text import entities_from_text, to_pairs
from metagpt_tf.tokenizers import ByteTokenizer, Tokenizer

Loaded = Mapping[str, Mapping[str, Any]]
Pairs = dict[str, dict[str, list[tuple[str, str]]]]
Score = Callable[[Sequence[str], Sequence[str]], float]


@dataclass(frozen=True)
class TextKind:
    """One kind of language task.

    Attributes:
        load: a path (`None` for the bundled data) and options to split -> task -> records.
        pair: records, bytes of a source and of a target, and options to split -> task -> (source, target).
        scores: name to a function of answers and targets.
        stop_words: whether leaving out stop words makes sense.
        running: whether records are running text, which is cut to fit a model (`cut_to_fit`).
    """

    load: Callable[..., Loaded]
    pair: Callable[..., Pairs]
    scores: Mapping[str, Score] = field(default_factory=dict)
    stop_words: bool = False
    running: bool = False


def bundled_texts(which: str = "all") -> Loaded:
    """The bundled languages and authors, a task each: `"languages"`, `"authors"` or `"all"`.

    Raises:
        ValueError: another word.
    """
    parts = {"languages": ("language", datasets.load_languages), "authors": ("author", datasets.load_authors)}
    if which not in (*parts, "all"):
        raise ValueError(f"Unknown bundled texts {which!r}. {closest(str(which), (*parts, 'all'))}")
    merged: dict[str, dict[str, list[str]]] = {split: {} for split in datasets.SPLITS}
    for name, (prefix, load) in parts.items():
        if which in (name, "all"):
            for split, tasks in load().items():
                merged[split].update({f"{prefix}/{task}": texts for task, texts in tasks.items()})
    return merged


def _load_generation(path: Any, which: str = "all", **options: Any) -> Loaded:
    return bundled_texts(which) if path is None else datasets.load_texts(path, **options)


def _load_translation(path: Any, **options: Any) -> Loaded:
    return datasets.load_parallel(**options) if path is None else datasets.load_texts(path, **options)


def _chunks(loaded: Loaded, source_bytes: int, target_bytes: int, **options: Any) -> Pairs:
    return text_chunks(loaded, source_bytes, target_bytes, on_small="drop", **options)


def cut_to_fit(loaded: Loaded, tokenizer: Tokenizer, source_tokens: int, target_tokens: int, **options: Any) -> Pairs:
    """Running texts as pairs that fill a model's lengths, between words where tokens are longer than a byte."""
    if isinstance(tokenizer, ByteTokenizer):
        return text_chunks(loaded, source_tokens, target_tokens, on_small="drop", **options)
    return token_chunks(loaded, tokenizer, source_tokens, target_tokens, on_small="drop", **options)


def _converted(converter: str) -> Callable[..., Pairs]:
    def pair(loaded: Loaded, source_bytes: int, target_bytes: int, **options: Any) -> Pairs:
        return to_pairs(loaded, converter, **options)

    return pair


def _dialogues(loaded: Loaded, source_bytes: int, target_bytes: int, **options: Any) -> Pairs:
    """History is cut on the borders of turns, so that it fits: by bytes, of which a token has one or more."""
    return to_pairs(loaded, "dialogue", **{"max_history_bytes": source_bytes, **options})


def _entity_f1(answers: Sequence[str], targets: Sequence[str]) -> float:
    found, right = ([entities_from_text(text) for text in texts] for texts in (answers, targets))
    return text_metrics.entity_f1(found, right)["f1"]


def _distinct(n: int) -> Score:
    return lambda answers, targets: text_metrics.distinct_n(answers, n)


LIVELY: dict[str, Score] = {"distinct_1": _distinct(1), "distinct_2": _distinct(2)}

KINDS: dict[str, TextKind] = {
    "generation": TextKind(_load_generation, _chunks, LIVELY, running=True),
    "classification": TextKind(
        lambda path, **options: datasets.load_classification(path, **options),
        _converted("classification"),
        {"accuracy": text_metrics.exact_match},
        stop_words=True,
    ),
    "entities": TextKind(
        lambda path, **options: datasets.load_entities(path, **options),
        _converted("entities"),
        {"entity_f1": _entity_f1, "exact_match": text_metrics.exact_match},
    ),
    "translation": TextKind(
        _load_translation,
        _converted("translation"),
        {"bleu": translation_metrics.corpus_bleu, "chrf": translation_metrics.chrf},
    ),
    "dialogue": TextKind(
        lambda path, **options: datasets.load_dialogues(path, **options),
        _dialogues,
        {**LIVELY, "chrf": translation_metrics.chrf},
    ),
    "triples": TextKind(
        lambda path, **options: datasets.load_triples(path, **options),
        _converted("triples"),
        {"exact_match": text_metrics.exact_match},
    ),
}


def kind_of(task: str) -> TextKind:
    """The kind of that name.

    Raises:
        ValueError: unknown; the message suggests the closest one.
    """
    if task not in KINDS:
        raise ValueError(f"Unknown language task {task!r}. {closest(str(task), KINDS)}")
    return KINDS[task]
