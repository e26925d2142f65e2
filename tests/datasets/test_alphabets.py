"""The bundled letters: whole, distinct, and the same splits everywhere."""

import numpy as np
import pytest

from metagpt_tf.datasets import SPLITS
from metagpt_tf.datasets.alphabets import Alphabets, load_alphabets

ALPHABETS = load_alphabets()
EXPECTED_TEST = ["Cyrillic", "Khmer", "Khudawadi"]  # recorded: figures are comparable only on the same scripts


def test_every_drawing_belongs_to_a_letter_and_a_script() -> None:
    images, letter, script, codes, names, _ = ALPHABETS
    assert images.shape[1:] == (28, 28) and images.dtype == np.uint8 and set(np.unique(images)) == {0, 1}
    assert len(images) == len(letter) == len(script)
    assert set(letter) == set(range(len(codes))) and set(script) == set(range(len(names)))
    assert all(len(set(script[letter == some])) == 1 for some in range(0, len(codes), 97))
    assert np.bincount(letter).min() >= 1 and np.bincount(letter).max() == 4


def test_scripts_have_letters_enough() -> None:
    of_script = [len(set(ALPHABETS.letter[ALPHABETS.script == place])) for place in range(len(ALPHABETS.names))]
    assert min(of_script) >= 15 and max(of_script) == 64
    assert {"Greek", "Hebrew", "Devanagari", "Georgian", "Runic", "Thai"} <= set(ALPHABETS.names)
    greek = ALPHABETS.script == ALPHABETS.names.index("Greek")
    assert ord("λ") in ALPHABETS.codes[ALPHABETS.letter[greek]]


def test_a_letter_fills_its_square_and_stands_in_the_middle() -> None:
    for image in ALPHABETS.images[::101]:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22
        assert abs(rows.mean() - 13.5) < 8 and rows.min() >= 3 and rows.max() <= 24


def test_no_two_drawings_of_a_script_are_equal() -> None:
    keys = [place.tobytes() + image.tobytes() for place, image in zip(ALPHABETS.script, ALPHABETS.images, strict=True)]
    assert len(set(keys)) == len(keys)


def test_splits_hold_whole_scripts_and_stay() -> None:
    found = [name for split in SPLITS for name in ALPHABETS.splits[split]]
    assert sorted(found) == ALPHABETS.names and len(set(found)) == len(found)
    assert ALPHABETS.splits["meta_test"][:3] == EXPECTED_TEST


def test_the_arrays_are_shared_and_read_only() -> None:
    assert load_alphabets() is ALPHABETS and isinstance(ALPHABETS, Alphabets)
    with pytest.raises(ValueError, match="read-only"):
        ALPHABETS.images[0, 0, 0] = 1
