"""Translations of user interfaces: gettext catalogues of an installed package, `.po` text and `.mo` binaries."""

import gettext
import importlib.util
import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Pair = tuple[str, str]
Plural = Callable[[int], int]

KEYWORD = re.compile(r"(msgctxt|msgid_plural|msgid|msgstr(?:\[\d+\])?)(?=[\s\"])\s*(.*)")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", '"': '"', "\\": "\\"}
CHARSET = re.compile(rb"charset=([\w.:-]+)")
PLURAL = re.compile(r"plural\s*=\s*([^;\n]+)")
CONTEXT_END = "\x04"  # between a context and a message in the keys of a catalogue
ONE, MANY = 1, 5  # numbers that stand for the singular and the plural: some languages have special forms for 2


@dataclass
class Entry:
    """A message of a `.po` file: its parts by keyword (`"msgid"`, `"msgstr[0]"`), and the line it begins on."""

    line: int
    fuzzy: bool = False
    parts: dict[str, str] = field(default_factory=dict)


@dataclass
class Catalogue:
    """What a file of translations holds: pairs of message and translation, and what was wrong with the rest."""

    pairs: list[Pair]
    bad: list[str]


def catalogue_files(package: str) -> dict[str, list[Path]]:
    """Locale -> its catalogues in an installed package, which is found and never imported.

    A catalogue is a file `LOCALE/LC_MESSAGES/*.po` or, without such a text beside it, `*.mo`.

    Raises:
        ValueError: no package of this name is installed, or it has no catalogues.
    """
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None:
        raise ValueError(
            f"No package {package!r} is installed. Give the top-level name that `import` takes of an installed package "
            f"with gettext catalogues, for example after `pip install django`: packages=('django',)."
        )
    found: dict[str, list[Path]] = {}
    for root in spec.submodule_search_locations or ():
        for folder, subfolders, names in os.walk(root):
            subfolders.sort()
            if Path(folder).name == "LC_MESSAGES":
                kept = [name for name in sorted(names) if name.endswith(".po") or _only_binary(name, names)]
                found.setdefault(Path(folder).parent.name, []).extend(Path(folder, name) for name in kept)
    if not any(found.values()):
        raise ValueError(f"The installed package {package!r} has no files LOCALE/LC_MESSAGES/*.po or *.mo.")
    return found


def read_catalogue(file: Path) -> Catalogue:
    """The translations in a `.po` or `.mo` file.

    Fuzzy, obsolete and untranslated messages are left out: they are not meant to be shown. A message with plural forms
    gives two pairs, its singular with the form for 1 and its plural with the form for 5. A `.mo` file does not keep the
    plural of a message apart, so only the first of the two is there.

    Raises:
        ValueError: the file as a whole cannot be read: empty, damaged or of another encoding than it says.
    """
    return _read_binary(file) if file.suffix == ".mo" else _read_text(file)


def _only_binary(name: str, names: list[str]) -> bool:
    return name.endswith(".mo") and f"{name.removesuffix('.mo')}.po" not in names


class _Translations(gettext.GNUTranslations):
    """The standard reader of `.mo` files, which can look a message up but not list them."""

    def pairs(self) -> Iterator[Pair]:
        """Each message with its translation; of one with plural forms the form for 1."""
        catalogue: dict[str | tuple[str, int], str] = self._catalog  # type: ignore[attr-defined]
        for key in dict.fromkeys(key if isinstance(key, str) else key[0] for key in catalogue):
            message = key.rpartition(CONTEXT_END)[2]
            if message:
                yield message, catalogue[key] if key in catalogue else self.ngettext(key, key, ONE)


def _read_binary(file: Path) -> Catalogue:
    try:
        with file.open("rb") as stream:
            pairs = list(_Translations(stream).pairs())
    except (OSError, ValueError, LookupError, struct.error) as error:
        raise ValueError(f"{file}: not a .mo catalogue that can be read ({error}). Compile it again.") from error
    return Catalogue(_translated(pairs), [])


def _read_text(file: Path) -> Catalogue:
    entries, bad = _entries(_decoded(file).split("\n"))
    header = next((entry.parts["msgstr"] for entry in entries if _is_header(entry)), "")
    plural = _plural(header)
    pairs: list[Pair] = []
    for entry in entries:
        if not entry.fuzzy and not _is_header(entry):
            try:
                pairs += _pairs(entry, plural)
            except ValueError as error:
                bad.append(f"line {entry.line}: {error}")
    if not entries:
        raise ValueError(f'{file}, line 1: no message of a .po catalogue. Expected lines such as msgid "…".')
    return Catalogue(_translated(pairs), [f"{file}, {reason}" for reason in bad])


def _decoded(file: Path) -> str:
    raw = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    named = CHARSET.search(raw)
    charset = named.group(1).decode() if named and named.group(1) != b"CHARSET" else "utf-8"
    try:
        return raw.decode(charset)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{file}, line {line}: expected {charset}, received the byte 0x{raw[error.start]:02x}. Save the file in "
            f"the encoding that its header names."
        ) from error
    except LookupError as error:
        raise ValueError(f"{file}: its header names the unknown encoding {charset!r}.") from error


def _entries(lines: list[str]) -> tuple[list[Entry], list[str]]:
    """The messages of a catalogue, and what is wrong with lines that belong to none."""
    entries: list[Entry] = []
    bad: list[str] = []
    entry, keyword, fuzzy = Entry(0), "", False
    for number, line in enumerate(map(str.strip, lines), 1):
        match = KEYWORD.fullmatch(line)
        if line.startswith("#") or not line:
            keyword = ""
            flagged = fuzzy or (line.startswith("#,") and "fuzzy" in line)
            fuzzy = flagged and not line.startswith("#~")  # what stood before an obsolete message was said of it
            continue
        try:
            if match:
                keyword = match.group(1)
                if keyword in ("msgctxt", "msgid") and ("msgid" in entry.parts or not entry.line):
                    entry, fuzzy = Entry(number, fuzzy), False
                    entries.append(entry)
                if not entries:
                    raise ValueError("a translation without msgid")
                entry.parts[keyword] = ""  # even if its text is damaged: the next msgid begins another message
                entry.parts[keyword] = _string(match.group(2))
            elif keyword:
                entry.parts[keyword] += _string(line)
            else:
                raise ValueError(f"expected msgid, msgstr or a comment, received {line[:40]!r}")
        except ValueError as error:
            bad.append(f"line {number}: {error}")
            if keyword:
                entry.parts["broken"] = keyword = ""
    return [entry for entry in entries if "broken" not in entry.parts], bad


def _string(quoted: str) -> str:
    """The text between quotes, escapes resolved."""
    match = STRING.fullmatch(quoted)
    if match is None:
        raise ValueError(f"expected a text in quotes, received {quoted[:40]}")
    return ESCAPE.sub(_unescaped, match.group(1))


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1)
    if code in ESCAPES:
        return ESCAPES[code]
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8))
    raise ValueError(f"unknown escape \\{code}")


def _is_header(entry: Entry) -> bool:
    return entry.parts.get("msgid") == "" and "msgstr" in entry.parts and "msgctxt" not in entry.parts


def _plural(header: str) -> Plural | None:
    """The number of the form for a count, by the rule in the header; None for a rule that cannot be read."""
    match = PLURAL.search(header)
    try:
        return gettext.c2py(match.group(1).strip() if match else "n != 1")
    except ValueError:
        return None  # each message with plural forms is reported by its line then


def _pairs(entry: Entry, plural: Plural | None) -> list[Pair]:
    parts = entry.parts
    if "msgid" not in parts:
        raise ValueError("a translation without msgid")
    if "msgid_plural" not in parts:
        if "msgstr" not in parts:
            raise ValueError("a msgid without msgstr")
        return [(parts["msgid"], parts["msgstr"])]
    if not any(text.strip() for name, text in parts.items() if name.startswith("msgstr")):
        return []
    if plural is None:
        raise ValueError("plural forms, but the header's Plural-Forms cannot be read")
    forms = [parts.get(f"msgstr[{plural(count)}]") for count in (ONE, MANY)]
    if None in forms:
        raise ValueError("fewer plural forms than the header's Plural-Forms asks for")
    return [(parts["msgid"], str(forms[0])), (parts["msgid_plural"], str(forms[1]))]


def _translated(pairs: list[Pair]) -> list[Pair]:
    return [(source, target) for source, target in pairs if source.strip() and target.strip()]
