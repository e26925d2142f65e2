"""The database files of WordNet (`data.noun` and its kind), read as synsets and as triples.

A synset is a set of words with one meaning. Its pointers lead to other synsets: to what it is a kind of, a part of, the
opposite of. Each relation is read in one direction only, so that no task is another one turned round.

Reference: Fellbaum (ed.) 1998, "WordNet: An Electronic Lexical Database"; the format is that of its manual page
wndb(5).
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from metagpt_tf.datasets.records import Triple
from metagpt_tf.datasets.rows import parsed, read_lines

PathLike = str | os.PathLike[str]
Key = tuple[str, int]  # part of speech and offset: the name of a synset within the files

FILES = {"n": "data.noun", "v": "data.verb", "a": "data.adj", "r": "data.adv"}
# (part of speech of the head, pointer, part of speech of the tail or "" for any) -> the relation's name
RELATIONS = {
    ("n", "@", "n"): "kind of",
    ("n", "@i", "n"): "instance of",
    ("n", "#m", "n"): "member of",
    ("n", "#p", "n"): "part of",
    ("n", "#s", "n"): "substance of",
    ("n", "=", "a"): "has the values",
    ("v", "@", "v"): "way to",
    ("v", "*", "v"): "entails",
    ("v", ">", "v"): "causes",
    ("v", "$", "v"): "close in meaning to",
    ("v", "+", "n"): "makes the noun",
    ("a", "+", "n"): "makes the abstract noun",
    ("a", "&", "a"): "similar to",
    ("a", "^", "a"): "see also",
    ("a", "\\", ""): "pertains to",
    ("a", "<", "v"): "participle of",
    ("r", "\\", "a"): "adverb of",
    ("", "!", ""): "opposite of",
    ("", ";c", "n"): "belongs to the topic",
    ("", ";r", "n"): "used in the region",
    ("", ";u", "n"): "used as",
}
SYNONYM = "same as"
MARKER = re.compile(r"\((?:a|p|ip)\)$")  # where an adjective may stand, written behind it
DOMAIN = re.compile(r"^(?:\([^()]*\)\s*)+")  # "(physics) an ideal space": the answer of a topic task


class Pointer(NamedTuple):
    """A relation from a synset, or from its word number `source` (0: all of them), to another one."""

    symbol: str
    target: Key
    source: int
    target_word: int


class Synset(NamedTuple):
    """Words with one meaning, where it leads and what it means."""

    key: Key
    words: tuple[str, ...]
    pointers: tuple[Pointer, ...]
    definition: str

    def word(self, number: int) -> str:
        """Word number 1, 2, …; 0 stands for the whole synset and gives its first."""
        return self.words[max(number, 1) - 1]

    @property
    def text(self) -> str:
        """The first word and the definition: `"canine: any of various fissiped mammals"`."""
        return f"{self.words[0]}: {self.definition}"


def read_synsets(folder: PathLike) -> dict[Key, Synset]:
    """All synsets of a folder with `data.noun`, `data.verb`, `data.adj` and `data.adv`.

    Raises:
        FileNotFoundError: one of the four is missing.
        ValueError: wrong encoding, or a file without a synset; names file and line. Single bad lines are skipped and
            counted in a warning.
    """
    files = {pos: Path(folder) / name for pos, name in FILES.items()}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f"No {', '.join(missing)} in {str(folder)!r}. Expected WordNet's folder `dict`, with "
            f"{', '.join(FILES.values())}."
        )
    read = parsed([(file, _content(file)) for file in files.values()], _synset)
    return {synset.key: synset for synsets in read for synset in synsets}


def wordnet_triples(synsets: Mapping[Key, Synset]) -> Iterator[Triple]:
    """One triple for each head and relation: the first pointer of that relation whose words differ.

    The text of a triple is the definition of its head's synset.
    """
    for synset in synsets.values():
        seen = set()
        for head, relation, tail in _facts(synset, synsets):
            if (head, relation) not in seen and head.lower() != tail.lower():
                seen.add((head, relation))
                text = f"{head}: {synset.definition}"
                yield Triple(head=head, relation=relation, tail=tail, text=text)


def relation_name(head: str, symbol: str, tail: str) -> str | None:
    """The name of a pointer between two parts of speech, None for those that are not read."""
    keys = [(head, symbol, tail), (head, symbol, ""), ("", symbol, tail), ("", symbol, "")]
    return next((RELATIONS[key] for key in keys if key in RELATIONS), None)


def _facts(synset: Synset, synsets: Mapping[Key, Synset]) -> Iterator[tuple[str, str, str]]:
    if len(synset.words) > 1:
        yield synset.words[0], SYNONYM, synset.words[1]
    for pointer in synset.pointers:
        relation = relation_name(synset.key[0], pointer.symbol, pointer.target[0])
        if relation is not None and pointer.target in synsets:
            yield synset.word(pointer.source), relation, synsets[pointer.target].word(pointer.target_word)


def _content(file: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines behind the licence, whose lines start with two spaces."""
    return ((line, text) for line, text in read_lines(file) if text and not text.startswith("  "))


def _synset(line: str) -> Synset:
    """Parse `offset file type words… pointers… | gloss`; counts of words are hexadecimal, of pointers decimal."""
    data, separator, gloss = line.partition(" | ")
    fields = data.split()
    try:
        end = 4 + 2 * int(fields[3], 16)
        words = tuple(MARKER.sub("", word).replace("_", " ") for word in fields[4:end:2])
        starts = range(end + 1, end + 1 + 4 * int(fields[end]), 4)
        pointers = tuple(_pointer(*fields[start : start + 4]) for start in starts)
        key = (_part_of_speech(fields[2]), int(fields[0]))
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(f"expected a synset as in wndb(5), received {line[:60]!r}") from error
    if not separator or not all(words) or not words:
        raise ValueError(f"expected words and a gloss behind ' | ', received {line[:60]!r}")
    return Synset(key, words, pointers, definition(gloss))


def definition(gloss: str) -> str:
    """A gloss without its examples and without the topic in front."""
    first = gloss.split('; "')[0].strip().rstrip(";")
    return DOMAIN.sub("", first).strip() or first


def _pointer(symbol: str, offset: str, pos: str, words: str) -> Pointer:
    return Pointer(symbol, (_part_of_speech(pos), int(offset)), int(words[:2], 16), int(words[2:], 16))


def _part_of_speech(letter: str) -> str:
    """Satellite adjectives ("s") stand in the file of adjectives and are pointed to as such."""
    pos = "a" if letter == "s" else letter
    if pos not in FILES:
        raise ValueError(f"expected a part of speech of {', '.join(FILES)} or s, received {letter!r}")
    return pos
