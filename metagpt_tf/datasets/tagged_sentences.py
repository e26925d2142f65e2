"""Sentences with tagged names: weakly labelled ones that are bundled, or your own files in CoNLL's format."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from metagpt_tf.datasets.records import TaggedSentence, Tasks, distinct, large_enough, split_records
from metagpt_tf.datasets.rows import Numbered, bundled_rows, existing, parsed, read_lines

PathLike = str | os.PathLike[str]
By = Literal["type", "file"]
Token = tuple[str, str]

ASSET = "entities.jsonl.xz"
FORMATS = (".conll", ".bio", ".iob", ".iob2", ".txt", ".tsv")
TAG = re.compile(r"(?:O|[BIESLUM]-[^\s:;]+)")
BEGINNINGS = "BSU"  # single names are S in BIOES and U in BILOU
OUTSIDE = "O"


def load_entities(
    path: PathLike | None = None, by: By = "type", min_sentences: int = 20, without: float = 0.25
) -> Tasks[TaggedSentence]:
    """Load sentences with tagged names by task, whole tasks held out.

    Use it with `tasks.entity_pairs`. By type, a task is to find the names of one type: the sentence does not say which,
    only the support set does. Without a path there are 1,893 sentences of the State of the Union addresses with 15
    types of at least 20 sentences (COUNTRY, MONTH, RIVER …).

    **The bundled labels are weak.** Nobody annotated them: a program tagged the names that WordNet 3.1 knows, and left
    out sentences in which a name was doubtful. Most tags are right; names that WordNet does not know, most of all
    those of persons, are not tagged. Judge a system by them among others, and by annotated files where you have some.

    Args:
        path: a file in CoNLL's format (a token a line, its tag in the last column, an empty line behind a sentence) or
            a folder of such files, ending in .conll, .bio, .iob, .iob2, .txt or .tsv; default the bundled sentences.
            The schemes IOB, IOB2, BIOES and BILOU are read; sentences come out as IOB2.
        by: what a task is: a type of names, or a file of a folder with all its types.
        min_sentences: tasks with fewer sentences (by type: with a name) are left out. Equal sentences count once.
        without: by type, sentences without a name of the type, as a share of those with one.

    Returns:
        Split -> task -> sentences, three non-empty splits.

    Raises:
        FileNotFoundError: nothing is at `path`.
        ValueError: an unknown `by`, a file that cannot be read, or fewer than three tasks; names file and line. Single
            bad sentences are skipped and counted in a warning.

    Example:

    >>> tasks = load_entities()
    >>> sorted(name for names in tasks.values() for name in names)[:3]
    ['AGENCY', 'CITY', 'CONTINENT']

    Reference: Tjong Kim Sang and De Meulder 2003, "Introduction to the CoNLL-2003 Shared Task" (the format).
    """
    if by not in ("type", "file") or (path is None and by == "file"):
        raise ValueError(f'Expected by="type", or by="file" with a path; received by={by!r}, path={path!r}.')
    if path is None:
        files = {"bundled": [TaggedSentence(tokens=row["tokens"], tags=row["tags"]) for row in bundled_rows(ASSET)]}
    else:
        found = conll_files(path)
        files = dict(zip([file.stem for file in found], read_conll(found), strict=True))
    files = {name: distinct(sentences, lambda s: tuple(s["tokens"])) for name, sentences in files.items()}
    if by == "file":
        return split_records(large_enough(files, min_sentences, "sentences"))
    sentences = distinct((s for group in files.values() for s in group), lambda s: tuple(s["tokens"]))
    return split_records(_by_type(sentences, min_sentences, without))


def conll_files(path: PathLike) -> list[Path]:
    """The file itself, or the files of a folder in the order of their names.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: another format, or no such file in the folder.
    """
    if not Path(path).is_dir():
        return [existing(path, FORMATS)]
    files = sorted(file for file in Path(path).rglob("*") if file.suffix.lower() in FORMATS)
    if not files:
        raise ValueError(f"No file in {str(path)!r} ends in {', '.join(FORMATS)}.")
    return files


def read_conll(files: Iterable[Path]) -> list[list[TaggedSentence]]:
    """The sentences of each of some files in CoNLL's format.

    Raises:
        ValueError: wrong encoding, or no good sentence; names the line. Single bad sentences are skipped and counted.

    Example:

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "one.conll"
    >>> _ = file.write_text("Ada NNP I-PER\\nLovelace NNP I-PER\\nwrote VBD O\\n")
    >>> read_conll([file])
    [[{'tokens': ['Ada', 'Lovelace', 'wrote'], 'tags': ['B-PER', 'I-PER', 'O']}]]
    """
    return parsed([(file, _blocks(file)) for file in files], _sentence)


def to_iob2(tags: list[str]) -> list[str]:
    """Tags of any of the schemes as IOB2: each name begins with B.

    Example:

    >>> to_iob2(["I-PER", "E-PER", "S-PER", "O", "I-LOC"])
    ['B-PER', 'I-PER', 'B-PER', 'O', 'B-LOC']
    """
    result, before = [], OUTSIDE
    for tag in tags:
        begins = tag[0] in BEGINNINGS or before[2:] != tag[2:]
        result.append(tag if tag == OUTSIDE else f"{'B' if begins else 'I'}-{tag[2:]}")
        before = OUTSIDE if tag[0] in "ELSU" else tag  # these end a name
    return result


def _blocks(file: Path) -> Iterator[Numbered]:
    """`(line, [(line, text), …])` of each sentence; comments and documents' starts are left out."""
    block: list[tuple[int, str]] = []
    for line, text in [*read_lines(file), (0, "")]:
        if not text.strip():
            if block:
                yield block[0][0], block
            block = []
        elif not text.startswith(("-DOCSTART-", "# ")):
            block.append((line, text))


def _sentence(block: list[tuple[int, str]]) -> TaggedSentence:
    tokens, tags = zip(*(_token(line, text) for line, text in block), strict=True)
    return TaggedSentence(tokens=list(tokens), tags=to_iob2(list(tags)))


def _token(line: int, text: str) -> Token:
    columns = text.split()
    if len(columns) < 2 or not TAG.fullmatch(columns[-1]):
        raise ValueError(f"line {line}: expected a token and a tag such as B-PER or O, received {text[:40]!r}")
    return columns[0], columns[-1]


def _by_type(sentences: list[TaggedSentence], least: int, without: float) -> dict[str, list[TaggedSentence]]:
    kinds = sorted({tag[2:] for sentence in sentences for tag in sentence["tags"] if tag != OUTSIDE})
    reduced = {kind: [_only(sentence, kind) for sentence in sentences] for kind in kinds}
    named = {kind: [s for s in rows if set(s["tags"]) != {OUTSIDE}] for kind, rows in reduced.items()}
    tasks = {}
    for kind, positive in large_enough(named, least, "sentences").items():
        negative = [sentence for sentence in reduced[kind] if set(sentence["tags"]) == {OUTSIDE}]
        count = min(round(without * len(positive)), len(negative))
        tasks[kind] = positive + [negative[place * len(negative) // count] for place in range(count)]
    return tasks


def _only(sentence: TaggedSentence, kind: str) -> TaggedSentence:
    tags = [tag if tag[2:] == kind else OUTSIDE for tag in sentence["tags"]]
    return TaggedSentence(tokens=sentence["tokens"], tags=tags)
