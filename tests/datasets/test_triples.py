"""Facts: the bundled ones, WordNet's own files, and files that users bring."""

from collections import Counter
from pathlib import Path

import pytest

from metagpt_tf.datasets import SPLITS, load_triples
from metagpt_tf.datasets.wordnet import RELATIONS, SYNONYM, definition, read_synsets, wordnet_triples

# Three nouns, an adjective with its place in brackets, a satellite, an adverb, a verb: written in the files' format.
WORDNET = {
    "data.noun": [
        "  1 A licence that is no synset",
        '00000010 03 n 02 plant 0 flora 0 001 ~ 00000020 n 0000 | a living thing; "plants grow"',
        "00000020 03 n 01 oak_tree 0 003 @ 00000010 n 0000 ;c 00000030 n 0000 #m 00000030 n 0000 | (botany) a plant",
        "00000030 03 n 01 botany 0 000 | the science of plants",
    ],
    "data.verb": [
        "00000040 29 v 0a a 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0 i 0 plant_out 0 001 + 00000010 n 0a01 01 + 02 00 | set"
    ],
    "data.adj": [
        "00000050 00 a 01 awake(p) 0 002 & 00000060 a 0000 ! 00000060 a 0101 | not asleep",
        "00000060 00 s 01 sleepy 0 001 \\ 00000010 n 0101 | ready to sleep",
    ],
    "data.adv": ["00000070 02 r 01 sleepily 0 001 \\ 00000060 a 0101 | in a sleepy way"],
}


@pytest.fixture
def dict_folder(tmp_path: Path) -> Path:
    for name, lines in WORDNET.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    return tmp_path


def test_synsets_and_facts_of_wordnets_files(dict_folder: Path) -> None:
    synsets = read_synsets(dict_folder)
    assert len(synsets) == 7 and synsets["a", 50].words == ("awake",) and synsets["v", 40].word(10) == "plant out"
    facts = {(fact["head"], fact["relation"], fact["tail"]) for fact in wordnet_triples(synsets)}
    assert facts == {
        ("plant", "same as", "flora"),
        ("oak tree", "kind of", "plant"),
        ("oak tree", "belongs to the topic", "botany"),
        ("oak tree", "member of", "botany"),
        ("a", "same as", "b"),
        ("plant out", "makes the noun", "plant"),
        ("awake", "similar to", "sleepy"),
        ("awake", "opposite of", "sleepy"),
        ("sleepy", "pertains to", "plant"),
        ("sleepily", "adverb of", "sleepy"),
    }
    assert {fact["text"] for fact in wordnet_triples(synsets) if fact["head"] == "oak tree"} == {"oak tree: a plant"}
    loaded = load_triples(dict_folder, min_triples=1)
    assert len({name for tasks in loaded.values() for name in tasks}) == 9


def test_glosses_lose_examples_and_topics_only() -> None:
    assert definition('(physics) (optics) a ray (of light); bent; "a ray of sun"; "x"') == "a ray (of light); bent"
    assert definition("(law)") == "(law)"


def test_bad_lines_of_wordnet(dict_folder: Path) -> None:
    with (dict_folder / "data.noun").open("a") as file:
        file.write("00000080 03 n zz word 0 000 | x\n00000090 03 n 01 word 0 000\n00000091 03 q 01 word 0 000 | x\n")
    with pytest.warns(
        UserWarning, match=r"Skipped 3 of 10 items. The first: .*data.noun, line 5: expected a synset as in"
    ):
        assert len(read_synsets(dict_folder)) == 7
    (dict_folder / "data.adv").write_bytes(b"  1 licence\n\xff\n")
    with pytest.raises(ValueError, match="data.adv, line 2: expected UTF-8"):
        read_synsets(dict_folder)
    (dict_folder / "data.adj").unlink()
    with pytest.raises(FileNotFoundError, match="No data.adj in"):
        load_triples(dict_folder)


def test_bundled_facts_are_whole_and_said_once() -> None:
    loaded = load_triples()
    relations = {name: facts for split in SPLITS for name, facts in loaded[split].items()}
    assert set(relations) == {*RELATIONS.values(), SYNONYM} and len(relations) == sum(map(len, loaded.values()))
    assert sum(map(len, relations.values())) == 8017 and min(map(len, relations.values())) >= 50
    for name, facts in relations.items():
        assert Counter(fact["head"].lower() for fact in facts).most_common(1)[0][1] == 1
        assert all(fact["relation"] == name and fact["text"].startswith(f"{fact['head']}: ") for fact in facts)
    text = "actively: in an active manner"
    assert {"head": "actively", "relation": "adverb of", "tail": "active", "text": text} in relations["adverb of"]


def test_a_table_of_facts(tmp_path: Path) -> None:
    rows = ["head,relation,tail", "Rome,in,Italy", "Rome,in,Italy", "Rome,on,Tiber", "a,as,b", ",in,x"]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    with pytest.warns(UserWarning, match=r"Skipped 1 of 5 items. .*line 6: expected text in column 'head'"):
        loaded = load_triples(tmp_path / "a.csv", min_triples=1)
    facts = {name: facts for tasks in loaded.values() for name, facts in tasks.items()}
    assert facts["in"] == [{"head": "Rome", "relation": "in", "tail": "Italy", "text": ""}]
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="at least 2 facts each; received 0 of 3"):
        load_triples(tmp_path / "a.csv", min_triples=2)
