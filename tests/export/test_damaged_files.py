"""Files that are damaged in many ways: an error that says so, or what was written; never a wrong answer."""

import random
import subprocess
import sys

import numpy as np
import pytest

from metagpt_tf.export import LiteRTRunner
from metagpt_tf.export.device_kit import KITS
from metagpt_tf.fast_weights import State


def damaged(content, seed):
    """The bytes with one kind of damage."""
    draw = random.Random(seed)
    data, place = bytearray(content), draw.randrange(len(content))
    kind = draw.randrange(8)
    if kind == 0:
        data[place] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del data[place:]
    elif kind == 2:
        del data[place : place + draw.randint(1, 100)]
    elif kind == 3:
        data[place:place] = draw.randbytes(draw.randint(1, 100))
    elif kind == 4:
        data[place : place + 64] = bytes(len(data[place : place + 64]))
    elif kind == 5:
        data[place : place + 4] = draw.choice([b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80"])
    elif kind == 6:
        data = data[place:] + data[:place]
    else:
        data = bytearray(draw.choice([b"", b"PK", b"not a file", draw.randbytes(500), bytes(500)]))
    return bytes(data)


@pytest.fixture(scope="module")
def state(drawn):
    runner = LiteRTRunner(drawn)
    return np.random.default_rng(0).normal(size=runner.about["state_size"]).astype("float32")


def test_a_damaged_model_is_never_run(drawn, tmp_path):
    content, path = drawn.read_bytes(), tmp_path / "m.tflite"
    for seed in range(150):
        bad = damaged(content, seed)
        if bad == content:
            continue
        path.write_bytes(bad)
        with pytest.raises(ValueError, match="not a readable LiteRT file"):
            LiteRTRunner(path)


def test_paths_that_are_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "none.tflite", "", "a\0b", "/dev/null"):
        with pytest.raises((FileNotFoundError, ValueError)):
            LiteRTRunner(path)


def test_a_damaged_state_is_refused_or_what_it_was(drawn, state, tmp_path):
    runner, path = LiteRTRunner(drawn), tmp_path / "state.npz"
    content = runner.save_state(state, path).read_bytes()
    refused = 0
    for seed in range(400):
        path.write_bytes(damaged(content, seed))
        try:
            found = runner.load_state(path)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            np.testing.assert_array_equal(found, state)
    assert refused > 300


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 3)), np.array("text"), np.array([1, 2]), np.zeros(5, complex), np.array([b"a"]), np.zeros(())],
)
def test_other_arrays_are_no_state(drawn, array, tmp_path):
    np.savez(tmp_path / "a.npz", state=array, scope="low_rank")
    np.save(tmp_path / "b.npy", array)
    for name in ("a.npz", "b.npy"):
        with pytest.raises(ValueError):
            LiteRTRunner(drawn).load_state(tmp_path / name)
    with pytest.raises(ValueError, match="not a state file"):
        State.load(tmp_path / "b.npy")


SCRIPT = """
import sys
sys.path[:0] = [sys.argv[1]]
from pathlib import Path
import numpy as np
from runner import Model

good, folder = Path(sys.argv[2]), Path(sys.argv[3])
model, refused = Model(str(good)), 0
kept = model.load(str(folder / "good.npz"))
for path in sorted(folder.glob("*.tflite")):
    try:
        Model(str(path))
    except ValueError:
        refused += 1
for path in sorted(folder.glob("bad*.npz")):
    try:
        assert (model.load(str(path)) == kept).all(), path
    except ValueError:
        refused += 1
print(refused)
"""


def test_the_runner_beside_a_file_refuses_too(drawn, state, tmp_path):
    content = drawn.read_bytes()
    kept = LiteRTRunner(drawn).save_state(state, tmp_path / "good.npz").read_bytes()
    for seed in range(60):
        (tmp_path / f"{seed}.tflite").write_bytes(damaged(content, seed))
        (tmp_path / f"bad{seed}.npz").write_bytes(damaged(kept, seed))
    command = [sys.executable, "-c", SCRIPT, str(KITS / "litert"), str(drawn), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 60 + 40
