"""Conversations of the corpus' layout and of JSON Lines; YAML is read as it is written."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from metagpt_tf.datasets import SPLITS, load_dialogues
from metagpt_tf.datasets.dialogues import PACKAGE, corpus_folder

YAML = """categories:
- small talk
conversations:
- - Is it true?
  - Yes
  - 007
- - {greeting}
  - Hi
- - {greeting}
  - Hi
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    pytest.importorskip("yaml")
    for language, greeting in (("english", "Hello"), ("french", "Bonjour"), ("german", "Hallo")):
        folder = tmp_path / PACKAGE / "data" / language
        folder.mkdir(parents=True)
        for category in ("talk", "food"):
            (folder / f"{category}.yml").write_text(YAML.format(greeting=f"{greeting} {category}"), encoding="utf-8")
    (tmp_path / PACKAGE / "__init__.py").write_text("raise RuntimeError('was run')\n")
    return tmp_path / PACKAGE / "data"


def test_values_stay_text_and_equal_dialogues_count_once(corpus: Path) -> None:
    loaded = load_dialogues(corpus, min_dialogues=1)
    assert sorted(loaded) == sorted(SPLITS) and [len(tasks) for tasks in loaded.values()] == [1, 1, 1]
    tasks = {name: talks for tasks in loaded.values() for name, talks in tasks.items()}
    assert [talk["turns"] for talk in tasks["french"]] == [
        ["Is it true?", "Yes", "007"],
        ["Bonjour food", "Hi"],
        ["Bonjour talk", "Hi"],
    ]


def test_by_category_and_least_size(corpus: Path) -> None:
    loaded = load_dialogues(corpus, by="category", min_dialogues=2)
    assert "german/food" in {name for tasks in loaded.values() for name in tasks}
    with pytest.raises(ValueError, match="at least 3 tasks with at least 4 conversations each; received 0 of 3"):
        load_dialogues(corpus, min_dialogues=4)
    with pytest.raises(ValueError, match='Expected by="language" or "category"'):
        load_dialogues(corpus, by="topic")


def test_the_installed_package_is_found_and_not_run(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(corpus.parent.parent))
    importlib.invalidate_caches()
    assert corpus_folder() == corpus and PACKAGE not in sys.modules
    assert sum(len(tasks) for tasks in load_dialogues(min_dialogues=1).values()) == 3
    assert PACKAGE not in sys.modules


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install metagpt_tf\[data\]"):
        load_dialogues()


def test_bad_yaml_names_file_and_line(corpus: Path) -> None:
    file = corpus / "german" / "food.yml"
    file.write_text(YAML.format(greeting="Hallo") + "- just one\n- - one\n- - a\n  - {b: c}\n")
    with pytest.warns(
        UserWarning, match=r"Skipped 3 of 21 items. The first: .*food.yml, line 11: expected at least two"
    ):
        load_dialogues(corpus, min_dialogues=1)
    file.write_text("conversations:\n- - a\n  - [b\n")
    with pytest.raises(ValueError, match=r"food.yml, line 4: expected YAML"):
        load_dialogues(corpus, min_dialogues=1)
    file.write_text("talks: []\n")
    with pytest.raises(ValueError, match=r"food.yml, line 1: expected a list named 'conversations'"):
        load_dialogues(corpus, min_dialogues=1)
    file.write_bytes(b"conversations:\n- - \xff\n")
    with pytest.raises(ValueError, match=r"food.yml: expected YAML in UTF-8"):
        load_dialogues(corpus, min_dialogues=1)
    with pytest.raises(ValueError, match="No YAML file"):
        load_dialogues(corpus / "german")


def test_json_lines(tmp_path: Path) -> None:
    rows = [{"task": name, "turns": ["a", name]} for name in "xyz"] + [{"task": "x", "turns": "ab"}, {"task": "x"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.warns(UserWarning, match="Skipped 2 of 5 items. .* line 4: expected at least two turns of text"):
        loaded = load_dialogues(tmp_path / "a.jsonl", min_dialogues=1)
    assert sorted(name for tasks in loaded.values() for name in tasks) == ["x", "y", "z"]
    with pytest.raises(ValueError, match="ends in .jsonl, .ndjson"):
        (tmp_path / "a.csv").touch()
        load_dialogues(tmp_path / "a.csv")


def test_the_real_corpus_if_it_is_there() -> None:
    pytest.importorskip("yaml")
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip("chatterbot-corpus is not installed")
    with pytest.warns(UserWarning, match=r"Skipped \d+ of \d+ items"):
        loaded = load_dialogues()
    names = [name for tasks in loaded.values() for name in tasks]
    assert {"english", "german", "japanese"} <= set(names) and len(names) >= 20
