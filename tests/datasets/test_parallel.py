"""Parallel text: the declaration's paragraphs, and catalogues of a small package that is made here."""

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from metagpt_tf.datasets import SPLITS, load_languages, load_parallel
from metagpt_tf.datasets.gettext_files import catalogue_files, read_catalogue

HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset={charset}\\n"\n"Plural-Forms: {plural};\\n"\n\n'
GERMAN = "nplurals=2; plural=(n != 1)"
POLISH = "nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2)"
LATVIAN_LIKE = "nplurals=2; plural=(n == 1 ? 1 : 0)"


def po(file: Path, body: str, plural: str = GERMAN, charset: str = "UTF-8") -> Path:
    """Write a `.po` catalogue."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes((HEADER.format(charset=charset, plural=plural) + body).encode(charset))
    return file


def mo(file: Path, messages: Mapping[str, str]) -> Path:
    """Write a `.mo` catalogue: a table of keys, a table of values, then all their texts, each with a zero behind."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pairs = sorted((key.encode(), value.encode()) for key, value in messages.items())
    tables, data, place = [], b"", 28 + 16 * len(pairs)
    for column in (0, 1):
        for pair in pairs:
            tables += [len(pair[column]), place + len(data)]
            data += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    file.write_bytes(head + struct.pack(f"<{len(tables)}I", *tables) + data)
    return file


def test_the_declaration_in_pairs_with_english() -> None:
    pairs, languages = load_parallel(), load_languages()
    assert tuple(pairs) == SPLITS and sum(map(len, pairs.values())) == 436
    for split in SPLITS:
        assert set(pairs[split]) == set(languages[split]) - {"eng"}
    spanish = dict(pairs["meta_train"]["spa"])
    assert spanish["Everyone has the right to a nationality."] == "Toda persona tiene derecho a una nacionalidad."
    assert all(len(rows) >= 40 for tasks in pairs.values() for rows in tasks.values())
    assert all(source and target for tasks in pairs.values() for rows in tasks.values() for source, target in rows)


def test_from_another_language_and_with_variants() -> None:
    pairs = load_parallel(source_language="deu_1996", variants=True)
    assert {"eng", "spa", "042"} <= set(pairs["meta_train"]) and "deu_1901" not in pairs["meta_train"]
    there = {english: german for german, english in pairs["meta_train"]["eng"]}
    assert there["Everyone has the right to a nationality."] == "Jeder hat das Recht auf eine Staatsangehörigkeit."


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="Unknown source of parallel text 'get text'. Did you mean 'gettext'"):
        load_parallel("get text")
    with pytest.raises(
        ValueError, match="Unknown text 'deu' of the declaration. Did you mean 'deu_1901' or 'deu_1996'"
    ):
        load_parallel(source_language="deu")
    with pytest.raises(ValueError, match="Too few languages have min_pairs=99 pairs; the most is"):
        load_parallel(min_pairs=99)
    with pytest.raises(ValueError, match="No package 'no_such_package' is installed.*pip install django"):
        load_parallel("gettext", packages=["no_such_package"])
    with pytest.raises(ValueError, match="The installed package 'numpy' has no files LOCALE/LC_MESSAGES"):
        load_parallel("gettext", packages="numpy")
    with pytest.raises(ValueError, match="needs packages"):
        load_parallel("gettext", packages=[])


BODY = r"""
# A comment.
#: view.py:1
msgid "Save"
msgstr "Sichern"

#, fuzzy
#| msgid "Before"
msgid "Fuzzy"
msgstr "Ungefähr"

msgid "Untranslated"
msgstr ""

msgctxt "month"
msgid "May"
msgstr "Mai"

msgid ""
"A long "
"text\twith \"quotes\" and a \\ \101\x42\n"
msgstr ""
"Ein langer "
"Text\n"
#, python-format
msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d Datei"
msgstr[1] "%d Dateien"

msgid "%d none"
msgid_plural "%d nones"
msgstr[0] ""
msgstr[1] ""

#, fuzzy
#~ msgid "Obsolete"
#~ msgstr "Veraltet"

msgid "After"
msgstr "Danach "
"""


def test_a_po_catalogue(tmp_path: Path) -> None:
    catalogue = read_catalogue(po(tmp_path / "a.po", BODY))
    assert catalogue.bad == []
    assert catalogue.pairs == [
        ("Save", "Sichern"),
        ("May", "Mai"),
        ('A long text\twith "quotes" and a \\ AB\n', "Ein langer Text\n"),
        ("%d file", "%d Datei"),
        ("%d files", "%d Dateien"),
        ("After", "Danach\u2028"),
    ]


def test_the_plural_rule_chooses_the_forms(tmp_path: Path) -> None:
    forms = 'msgid "a file"\nmsgid_plural "files"\n' + "".join(f'msgstr[{n}] "form {n}"\n' for n in range(3))
    assert read_catalogue(po(tmp_path / "pl.po", forms, POLISH)).pairs == [("a file", "form 0"), ("files", "form 2")]
    assert read_catalogue(po(tmp_path / "l.po", forms, LATVIAN_LIKE)).pairs == [
        ("a file", "form 1"),
        ("files", "form 0"),
    ]
    only = forms[: forms.index("msgstr[1]")]
    japanese = po(tmp_path / "ja.po", only, "nplurals=1; plural=0")
    assert read_catalogue(japanese).pairs == [("a file", "form 0"), ("files", "form 0")]
    assert "fewer plural forms" in read_catalogue(po(tmp_path / "he.po", only, POLISH)).bad[0]
    assert "Plural-Forms cannot be read" in read_catalogue(po(tmp_path / "x.po", forms, "plural=EXPRESSION")).bad[0]


def test_damaged_messages_are_named_by_line_and_the_rest_is_read(tmp_path: Path) -> None:
    body = 'msgid "a"\nmsgstr "b"\n\nmsgid "open\nmsgstr "x"\n\nrubbish\n\n'
    body += 'msgid "c"\nmsgstr "\\q"\n\nmsgid "d"\nmsgstr "e"\n'
    catalogue = read_catalogue(po(tmp_path / "a.po", body))
    assert catalogue.pairs == [("a", "b"), ("d", "e")]
    lines = [reason.split(", line ")[1].split(":")[0] for reason in catalogue.bad]
    assert lines == ["9", "12", "15"] and all("a.po" in reason for reason in catalogue.bad)


def test_catalogues_in_other_encodings_and_unreadable_ones(tmp_path: Path) -> None:
    latin = po(tmp_path / "latin.po", 'msgid "Day"\nmsgstr "Jour été"\n', charset="iso-8859-1")
    assert read_catalogue(latin).pairs == [("Day", "Jour été")]
    latin.write_bytes(latin.read_bytes().replace(b"iso-8859-1", b"utf-8"))
    with pytest.raises(ValueError, match=r"latin\.po, line 7: expected utf-8, received the byte 0xe9"):
        read_catalogue(latin)
    latin.write_bytes(latin.read_bytes().replace(b"utf-8", b"klingon"))
    with pytest.raises(ValueError, match=r"latin\.po: its header names the unknown encoding 'klingon'"):
        read_catalogue(latin)
    latin.write_text("")
    with pytest.raises(ValueError, match=r"latin\.po, line 1: no message"):
        read_catalogue(latin)


def test_a_mo_catalogue(tmp_path: Path) -> None:
    header = f"Content-Type: text/plain; charset=UTF-8\nPlural-Forms: {LATVIAN_LIKE};\n"
    messages = {"": header, "Save": "Sichern é", "month\x04May": "Mai", "a file\0files": "Dateien\0eine Datei", "x": ""}
    file = mo(tmp_path / "a.mo", messages)
    assert sorted(read_catalogue(file).pairs) == [("May", "Mai"), ("Save", "Sichern é"), ("a file", "eine Datei")]
    for damaged in (file.read_bytes()[:40], b"", b"not a catalogue at all, but long enough"):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.mo: not a \.mo catalogue that can be read"):
            read_catalogue(file)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package that must not be imported, with catalogues of both kinds in two folders."""
    root = tmp_path / "small_interface"
    root.mkdir()
    (root / "__init__.py").write_text("raise AssertionError('the package was imported')")
    for locale in ("de", "pt", "pt_BR", "fr", "en_GB"):
        body = "".join(f'msgid "message {n}"\nmsgstr "{locale} {n}"\n\n' for n in range(4))
        po(root / "locale" / locale / "LC_MESSAGES" / "app.po", body)
    messages = {f"message {n}": f"{word} {n}" for n, word in zip((3, 4, 5), ("other", "neu", "neu"), strict=True)}
    mo(root / "admin" / "locale" / "de" / "LC_MESSAGES" / "admin.mo", messages)
    mo(root / "locale" / "de" / "LC_MESSAGES" / "app.mo", {"stale": "veraltet"})
    monkeypatch.syspath_prepend(str(tmp_path))
    return root


def test_catalogues_of_an_installed_package(package: Path) -> None:
    assert {locale: [file.name for file in files] for locale, files in catalogue_files("small_interface").items()} == {
        "de": ["admin.mo", "app.po"],
        **{locale: ["app.po"] for locale in ("en_GB", "fr", "pt", "pt_BR")},
    }
    pairs = load_parallel("gettext", packages=("small_interface",), min_pairs=4)
    tasks = {locale: rows for found in pairs.values() for locale, rows in found.items()}
    assert set(tasks) == {"de", "pt", "pt_BR", "fr"}
    assert dict(tasks["de"]) == {f"message {n}": f"{'other' if n == 3 else 'de'} {n}" for n in range(4)} | {
        "message 4": "neu 4",
        "message 5": "neu 5",
    }
    homes = {locale: split for split, found in pairs.items() for locale in found}
    assert homes["pt"] == homes["pt_BR"] and len(set(homes.values())) == 3


def test_damaged_catalogues_are_counted(package: Path) -> None:
    (package / "locale" / "fr" / "LC_MESSAGES" / "bad.mo").write_bytes(b"rubbish")
    with pytest.warns(UserWarning, match=r"Skipped 1 damaged messages or catalogues\. The first: .*bad\.mo: not a"):
        load_parallel("gettext", packages="small_interface", min_pairs=4)


def test_too_few_languages(package: Path) -> None:
    with pytest.raises(ValueError, match="min_pairs=5 translated messages; the catalogues of small_interface have 1"):
        load_parallel("gettext", packages="small_interface", min_pairs=5)
