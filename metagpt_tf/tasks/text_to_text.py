"""Every text task is a text to read and a text to write: converters from records to (source, target) pairs.

Each takes the records of one task, as `metagpt_tf.datasets` loads them, and gives pairs for `TextTasks.from_pairs`;
`to_pairs` does it for all tasks of all splits.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from metagpt_tf.datasets.records import Dialogue, LabelledText, TaggedSentence, Triple
from metagpt_tf.registry import closest

Pair = tuple[str, str]
Entity = tuple[str, str]
Mode = Literal["completion", "from_text"]

NOTHING = "none"  # the target of a sentence without a name
BAR = " | "
ENTITY = re.compile(r"([^\s:;]+): (.+?)(?=; [^\s:;]+: |$)", re.DOTALL)


def classification_pairs(records: Iterable[LabelledText], permutation: int | None = None) -> list[Pair]:
    """A text to its label.

    Use `permutation` where a text would give its label away: the labels of the task trade places, and only the support
    set tells which one now means what. Several permutations of one task are several tasks:
    `{f"{task} {n}": classification_pairs(records, permutation=n) for n in range(8)}`.

    Args:
        records: the texts of one task.
        permutation: seed of the order in which the sorted labels are given out anew; `None` (default) keeps them.

    Example:

    >>> texts = [{"text": "a move of the king", "label": "chess"}, {"text": "a plea", "label": "law"}]
    >>> classification_pairs(texts)
    [('a move of the king', 'chess'), ('a plea', 'law')]
    >>> classification_pairs(texts, permutation=3)
    [('a move of the king', 'law'), ('a plea', 'chess')]
    """
    records = list(records)
    labels = sorted({record["label"] for record in records})
    given = labels
    if permutation is not None:
        given = [labels[place] for place in np.random.default_rng(permutation).permutation(len(labels))]
    renamed = dict(zip(labels, given, strict=True))
    return [(record["text"], renamed[record["label"]]) for record in records]


def entity_pairs(records: Iterable[TaggedSentence]) -> list[Pair]:
    """A sentence to the names in it, in their order: `"PER: Ada Lovelace; LOC: Rome"`, or `"none"`.

    Args:
        records: tokens and their tags in IOB2, as `datasets.load_entities` gives them.

    Raises:
        ValueError: different numbers of tokens and tags, or a tag that does not follow IOB2.

    Example:

    >>> entity_pairs([{"tokens": ["Ada", "Lovelace", "in", "Rome"], "tags": ["B-PER", "I-PER", "O", "B-LOC"]}])
    [('Ada Lovelace in Rome', 'PER: Ada Lovelace; LOC: Rome')]
    """
    return [
        (" ".join(record["tokens"]), entities_to_text(_entities(record, row))) for row, record in enumerate(records)
    ]


def entities_to_text(entities: Sequence[Entity]) -> str:
    """`[(type, name), …]` as the target of a sentence; `entities_from_text` is its inverse."""
    return "; ".join(f"{kind}: {name}" for kind, name in entities) or NOTHING


def entities_from_text(text: str) -> list[Entity]:
    """The names that a target, or a model's answer, lists.

    Use it to score answers: compare the lists as multisets. What does not look like `TYPE: name` is left out, because a
    model may write anything.

    Returns:
        `[(type, name), …]` in the order of the text.

    Example:

    >>> entities_from_text("PER: Ada Lovelace; LOC: Rome")
    [('PER', 'Ada Lovelace'), ('LOC', 'Rome')]
    >>> entities_from_text("none")
    []
    """
    return [(kind, name.strip()) for kind, name in ENTITY.findall(text) if name.strip()]


def dialogue_pairs(dialogues: Iterable[Dialogue], max_history_bytes: int = 256) -> list[Pair]:
    """The turns so far, a line each, to the next turn: one pair for each turn but the first.

    The oldest turns are left out, whole, until the history fits. The last turn is always kept: if it is too long by
    itself, the tokenizer cuts it.

    Args:
        dialogues: conversations of at least two turns; line ends within a turn become blanks.
        max_history_bytes: bytes of UTF-8 of the history, at least 1.

    Raises:
        ValueError: `max_history_bytes` below 1.

    Example:

    >>> dialogue_pairs([{"turns": ["Hello", "Hi", "How are you?"]}], max_history_bytes=5)
    [('Hello', 'Hi'), ('Hi', 'How are you?')]
    """
    if max_history_bytes < 1:
        raise ValueError(f"max_history_bytes must be at least 1, received {max_history_bytes}.")
    pairs = []
    for dialogue in dialogues:
        turns = [" ".join(turn.split()) for turn in dialogue["turns"]]
        pairs += [(_history(turns[:place], max_history_bytes), turns[place]) for place in range(1, len(turns))]
    return pairs


def triple_pairs(records: Iterable[Triple], mode: Mode = "completion", name_relation: bool = True) -> list[Pair]:
    """Facts to complete, `"head | relation | ?"` to the tail, or to read: a text to `"head | relation | tail"`.

    Args:
        records: the facts of one task.
        mode: `"completion"`, or `"from_text"` for the facts whose text names head and tail.
        name_relation: whether a fact to complete names its relation; without it (`"head | ?"`) only the support set
            tells which relation the task is.

    Raises:
        ValueError: an unknown mode, or a bar in a part of a fact.

    Example:

    >>> fact = {"head": "oak", "relation": "kind of", "tail": "tree", "text": "oak: a tree that bears acorns"}
    >>> triple_pairs([fact])
    [('oak | kind of | ?', 'tree')]
    >>> triple_pairs([fact], "from_text")
    [('oak: a tree that bears acorns', 'oak | kind of | tree')]
    """
    if mode not in ("completion", "from_text"):
        raise ValueError(f'Expected mode="completion" or "from_text", received {mode!r}.')
    pairs = []
    for row, record in enumerate(records):
        head, relation, tail = (_without_bar(record, part, row) for part in ("head", "relation", "tail"))
        if mode == "completion":
            pairs.append((BAR.join([head, relation, "?"] if name_relation else [head, "?"]), tail))
        elif head.lower() in record["text"].lower() and _names(record["text"], head, tail):
            pairs.append((record["text"], BAR.join([head, relation, tail])))
    return pairs


def translation_pairs(records: Iterable[Mapping[str, str] | Pair], reverse: bool = False) -> list[Pair]:
    """A text to its translation.

    Args:
        records: pairs `(source, target)`, or dictionaries with `source` and `target`.
        reverse: whether to read the target and write the source.

    Raises:
        KeyError: a dictionary without one of them.

    Example:

    >>> translation_pairs([("Hello", "Hola")], reverse=True)
    [('Hola', 'Hello')]
    """
    pairs = [(row["source"], row["target"]) if isinstance(row, Mapping) else (row[0], row[1]) for row in records]
    return [(target, source) for source, target in pairs] if reverse else pairs


CONVERTERS: dict[str, Callable[..., list[Pair]]] = {
    "classification": classification_pairs,
    "dialogue": dialogue_pairs,
    "entities": entity_pairs,
    "translation": translation_pairs,
    "triples": triple_pairs,
}


def to_pairs(
    loaded: Mapping[str, Mapping[str, Iterable[Any]]], converter: str, least: int = 1, **options: Any
) -> dict[str, dict[str, list[Pair]]]:
    """Convert all tasks of all splits: what `datasets.load_*` gives to what `TextTasks.from_pairs` takes.

    Args:
        loaded: split -> task -> records.
        converter: `"classification"`, `"dialogue"`, `"entities"`, `"translation"` or `"triples"`.
        least: tasks that give fewer pairs are left out (`triple_pairs` from text uses only some facts).
        **options: arguments of the converter.

    Returns:
        Split -> task -> pairs. A split that would be empty is left out.

    Raises:
        ValueError: an unknown converter, or no task with enough pairs.

    Example:

    >>> loaded = {"meta_train": {"upper": [{"source": "a", "target": "A"}]}}
    >>> to_pairs(loaded, "translation")
    {'meta_train': {'upper': [('a', 'A')]}}
    """
    if converter not in CONVERTERS:
        raise ValueError(f"Unknown converter {converter!r}. {closest(converter, CONVERTERS)}")
    convert = CONVERTERS[converter]
    pairs = {split: {name: convert(rows, **options) for name, rows in tasks.items()} for split, tasks in loaded.items()}
    kept = {split: {name: rows for name, rows in tasks.items() if len(rows) >= least} for split, tasks in pairs.items()}
    if not any(kept.values()):
        sizes = {name: len(rows) for tasks in pairs.values() for name, rows in tasks.items()}
        raise ValueError(f"No task gives at least {least} pairs: {sizes}. Give more records, or lower `least`.")
    return {split: tasks for split, tasks in kept.items() if tasks}


def _entities(record: TaggedSentence, row: int) -> list[Entity]:
    if len(record["tokens"]) != len(record["tags"]):
        raise ValueError(f"Sentence {row} has {len(record['tokens'])} tokens and {len(record['tags'])} tags: {record}.")
    entities: list[tuple[str, list[str]]] = []
    before = "O"
    for token, tag in zip(record["tokens"], record["tags"], strict=True):
        if tag.startswith("I-") and before[2:] == tag[2:]:
            entities[-1][1].append(token)
        elif tag.startswith("B-"):
            entities.append((tag[2:], [token]))
        elif tag != "O":
            raise ValueError(f"Sentence {row}: expected O, B-TYPE or, inside a name, I-TYPE; received {tag!r}.")
        before = tag
    return [(kind, " ".join(tokens)) for kind, tokens in entities]


def _history(turns: Sequence[str], max_bytes: int) -> str:
    start = len(turns) - 1
    while start > 0 and len("\n".join(turns[start - 1 :]).encode()) <= max_bytes:
        start -= 1
    return "\n".join(turns[start:])


def _without_bar(record: Triple, part: Literal["head", "relation", "tail"], row: int) -> str:
    if "|" in record[part]:
        raise ValueError(f"Fact {row}: expected a {part} without '|', which parts heads from tails; received {record}.")
    return record[part]


def _names(text: str, head: str, tail: str) -> bool:
    """Whether the text names the tail elsewhere than within its head: "oak tree: a tree", not "oak tree: a plant"."""
    rest = text.removeprefix(f"{head}:")
    return re.search(rf"\b{re.escape(tail)}\b", rest, re.IGNORECASE) is not None
