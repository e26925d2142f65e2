"""Facts as head, relation and tail: a choice of WordNet's that is bundled, all of WordNet, or your own."""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from metagpt_tf.datasets.records import Tasks, Triple, distinct, large_enough, split_records
from metagpt_tf.datasets.rows import bundled_rows, read_rows, text_of
from metagpt_tf.datasets.wordnet import read_synsets, wordnet_triples

PathLike = str | os.PathLike[str]
ASSET = "triples.jsonl.xz"
COLUMNS = ("head", "relation", "tail")


def load_triples(path: PathLike | None = None, min_triples: int = 50) -> Tasks[Triple]:
    """Load facts by relation: a relation is a task, and is in one split only.

    Use it with `tasks.triple_pairs`, to complete facts or to read them from text. Without a path there are 8,017 facts
    of 22 relations of WordNet 3.1, such as *part of*, *opposite of* and *adverb of*; the text of each is the definition
    of its head. Relations are read in one direction only: no task is another one turned round. A head has at most one
    tail in a relation, WordNet's first.

    Args:
        path: WordNet's folder `dict` (`data.noun` and its kind), or a `.csv`, `.tsv` or `.jsonl` file with `head`,
            `relation`, `tail` and, if there is one, `text`; default the bundled facts.
        min_triples: relations with fewer facts are left out. Equal facts count once.

    Returns:
        Split -> relation -> facts, three non-empty splits.

    Raises:
        FileNotFoundError: nothing is at `path`, or a file of WordNet is missing.
        ValueError: a file that cannot be read, or fewer than three relations; names file and line. Single bad rows are
            skipped and counted in a warning.

    Example:

    >>> triples = load_triples()
    >>> {split: len(relations) for split, relations in triples.items()}
    {'meta_train': 14, 'meta_validation': 4, 'meta_test': 4}

    Reference: Miller 1995, "WordNet: a lexical database for English", https://wordnet.princeton.edu (WordNet licence)
    """
    if path is None:
        found = [_triple(row) for row in bundled_rows(ASSET)]
    elif Path(path).is_dir():
        found = list(wordnet_triples(read_synsets(path)))
    else:
        found = read_rows(path, _triple, columns=COLUMNS)
    relations = defaultdict(list)
    for triple in distinct(found, lambda triple: (triple["head"], triple["relation"], triple["tail"])):
        relations[triple["relation"]].append(triple)
    return split_records(large_enough(dict(relations), min_triples, "facts"))


def _triple(row: dict[str, Any]) -> Triple:
    head, relation, tail = (text_of(row, column) for column in COLUMNS)
    return Triple(head=head, relation=relation, tail=tail, text=text_of(row, "text") if row.get("text") else "")
