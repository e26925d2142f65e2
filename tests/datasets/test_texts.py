"""The bundled texts: whole, in the same splits everywhere, and refused when damaged."""

import hashlib
import json
import lzma
from pathlib import Path

import pytest

from metagpt_tf.datasets import SPLITS, language_names, load_authors, load_languages, texts
from metagpt_tf.datasets.texts import (
    Declaration,
    addresses,
    declarations,
    declarations_by_split,
    paired_paragraphs,
    read_asset,
)

# Recorded: figures are comparable only on the same tasks.
TEST_AUTHORS = ["Abraham Lincoln", "George W Bush", "James Buchanan", "Ronald Reagan"]
TEST_LANGUAGES = ["aar", "dan", "fin", "ita", "khm", "tur"]


def test_authors_are_whole_and_held_out() -> None:
    authors = load_authors()
    assert tuple(authors) == SPLITS
    names = [author for tasks in authors.values() for author in tasks]
    assert len(names) == len(set(names)) == 43
    assert [author for author in authors["meta_test"] if author in TEST_AUTHORS] == TEST_AUTHORS
    written = [text for tasks in authors.values() for speeches in tasks.values() for text in speeches]
    assert len(written) == len(set(written)) == 233
    assert (min(map(len, written)), max(map(len, written))) == (5545, 217083)
    assert all(text == " ".join(text.split()) and text.isprintable() for text in written)


def test_addresses_are_in_the_order_of_their_years() -> None:
    years = [address.year for address in addresses()]
    assert years == sorted(years) and (years[0], years[-1]) == (1790, 2021)
    assert load_authors()["meta_test"]["Abraham Lincoln"][0].startswith("Fellow-Citizens of the Senate")
    assert [address.year for address in addresses() if address.author == "Abraham Lincoln"] == [1861, 1862, 1863, 1864]


def test_languages_are_whole_and_held_out() -> None:
    languages = load_languages()
    codes = [code for tasks in languages.values() for code in tasks]
    assert tuple(languages) == SPLITS and len(codes) == len(set(codes)) == 437
    assert [code for code in languages["meta_test"] if code in TEST_LANGUAGES] == TEST_LANGUAGES
    assert min(len(paragraphs) for tasks in languages.values() for paragraphs in tasks.values()) >= 40
    assert languages["meta_train"]["eng"][10].startswith("All human beings are born free and equal")
    assert set(codes) <= set(language_names()) and language_names()["tur"] == "Turkish"


def test_every_paragraph_has_words() -> None:
    paragraphs = [paragraph for text in declarations() for part in text.parts for paragraph in part]
    assert len(paragraphs) == 30078
    assert all(sum(letter.isalpha() for letter in paragraph) > 1 for paragraph in paragraphs)
    assert all(len(text.parts) == 31 for text in declarations())


def test_variants_of_a_language_are_in_its_split() -> None:
    texts_of = declarations_by_split(variants=True)
    assert sum(map(len, texts_of.values())) == 514
    owners: dict[str, set[str]] = {}
    for split, found in texts_of.items():
        for text in found:
            owners.setdefault(text.language, set()).add(split)
    assert all(len(splits) == 1 for splits in owners.values())
    train = load_languages(variants=True)["meta_train"]
    assert {"deu_1901", "deu_1996", "spa", "042"} <= set(train)
    only = load_languages()["meta_train"]
    assert "deu_1901" not in only and "042" not in only and {"deu_1996", "spa"} <= set(only)


def test_no_two_splits_share_long_paragraphs() -> None:
    seen: dict[str, set[str]] = {}
    for split, tasks in load_languages(variants=True).items():
        for paragraphs in tasks.values():
            for paragraph in paragraphs:
                if len(paragraph) > 60:
                    seen.setdefault(paragraph, set()).add(split)
    assert sum(len(splits) > 1 for splits in seen.values()) <= 5


def test_paragraphs_pair_one_by_one_or_as_an_article() -> None:
    none: tuple[tuple[str, ...], ...] = ((),) * 28
    first = Declaration("a", "a", "A", (("1",), ("2", "3"), ("4",), *none))
    second = Declaration("b", "b", "B", (("i",), ("ii iii",), (), *none))
    assert paired_paragraphs(first, second) == [("1", "i"), ("2 3", "ii iii")]
    assert paired_paragraphs(first, first) == [("1", "1"), ("2", "2"), ("3", "3"), ("4", "4")]


def test_the_lists_are_the_callers_own() -> None:
    load_authors()["meta_test"]["Abraham Lincoln"].clear()
    load_languages()["meta_train"]["eng"].clear()
    assert load_authors()["meta_test"]["Abraham Lincoln"] and load_languages()["meta_train"]["eng"]


@pytest.fixture
def asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small asset with its checksum, in a package folder of its own."""
    folder = tmp_path / "assets"
    folder.mkdir()
    packed = lzma.compress(json.dumps({"texts": [1]}).encode())
    (folder / "small.json.xz").write_bytes(packed)
    (folder / "small.json.xz.sha256").write_text(f"{hashlib.sha256(packed).hexdigest()}  small.json.xz\n")
    monkeypatch.setattr(texts.resources, "files", lambda _: tmp_path)
    return folder / "small.json.xz"


def test_a_whole_asset_is_read(asset: Path) -> None:
    assert read_asset("small.json.xz") == {"texts": [1]}


def test_a_damaged_asset_is_refused(asset: Path) -> None:
    packed = bytearray(asset.read_bytes())
    packed[len(packed) // 2] ^= 1
    asset.write_bytes(packed)
    with pytest.raises(ValueError, match=r"small\.json\.xz is damaged: .* Install the package again"):
        read_asset("small.json.xz")


def test_a_cut_or_unsigned_asset_is_refused(asset: Path) -> None:
    asset.with_name("small.json.xz.sha256").write_text("")
    with pytest.raises(ValueError, match="expected none as written in"):
        read_asset("small.json.xz")
    asset.with_name("small.json.xz.sha256").unlink()
    with pytest.raises(FileNotFoundError, match=r"small\.json\.xz\.sha256\. Install the package again"):
        read_asset("small.json.xz")
