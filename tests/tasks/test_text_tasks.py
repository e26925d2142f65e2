"""Text and code become token episodes that decode to the texts they came from."""

from pathlib import Path

import numpy as np
import pytest

from metagpt_tf.datasets import SPLITS
from metagpt_tf.tasks import ArrayTasks, PythonCode, TextTasks, check_episode
from metagpt_tf.tokenizers import ByteTokenizer

PAIRS = {
    "meta_train": {
        "upper": [(f"word {n}", f"WORD {n}") for n in range(6)],
        "copy": [(f"w{n}", f"w{n}") for n in range(6)],
    },
    "meta_test": {"long": [(f"{n} " + "x" * 50, "y") for n in range(6)]},
}


def test_rows_decode_to_their_texts() -> None:
    tasks = TextTasks.from_pairs(PAIRS, ByteTokenizer(), source_length=10, target_length=8)
    assert isinstance(tasks, ArrayTasks)
    assert (tasks.source_length, tasks.target_length, tasks.tokenizer.vocabulary_size) == (10, 8, 259)
    episode = tasks.episode("upper", k_shot=2, n_query=4)
    assert episode.support_x.shape == (2, 10) and episode.query_y.shape == (4, 8)
    assert episode.support_x.dtype == np.int32
    decode = tasks.tokenizer.decode
    for x, y in zip(episode.query_x, episode.query_y, strict=True):
        assert decode(x).upper() == decode(y) and (decode(x), decode(y)) in PAIRS["meta_train"]["upper"]


def test_long_texts_are_cut_and_still_end() -> None:
    tasks = TextTasks.from_pairs(PAIRS, "bytes", source_length=10, target_length=8).split("meta_test")
    episode = next(iter(tasks.as_dataset(1, k_shot=2, n_query=2)))
    assert np.all(episode.support_x[..., -1] == tasks.tokenizer.eos_id)
    assert tasks.split_name == "meta_test" and tasks.source_length == 10


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="Unknown tokenizer 'byte'. Did you mean 'bytes'"):
        TextTasks.from_pairs(PAIRS, "byte", 8, 8)
    with pytest.raises(ValueError, match="length must be at least 1"):
        TextTasks.from_pairs(PAIRS, "bytes", 0, 8)
    with pytest.raises(ValueError, match="Task 'none' of 'meta_train' has no pairs"):
        TextTasks.from_pairs({"meta_train": {"none": []}}, "bytes", 8, 8)
    with pytest.raises(ValueError, match="Unknown tokenizer"):
        PythonCode(tokenizer="morse")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for task in range(4):
        functions = (f'def f{n}(x):\n    """Add {n}."""\n    return x + {task + 1}{n}\n\n\n' for n in range(8))
        (tmp_path / f"module{task}.py").write_text("".join(functions))
    return tmp_path


def test_python_code_of_a_folder(folder: Path) -> None:
    tasks = PythonCode(folder, source_length=48, target_length=24, min_functions=8)
    names = [name for split in SPLITS for name in tasks.split(split).task_names]
    assert sorted(names) == [f"module{task}" for task in range(4)]
    episode = next(iter(tasks.as_dataset(meta_batch_size=3, k_shot=4, n_query=4)))
    check_episode(episode)
    assert episode.support_x.shape == (3, 4, 48) and episode.query_y.shape == (3, 4, 24)
    source, target = tasks.tokenizer.decode(episode.query_x[0, 0]), tasks.tokenizer.decode(episode.query_y[0, 0])
    number = source[len("def f") : source.index("(")]
    assert source == f'def f{number}(x):\n    """Add {number}."""'
    assert target.startswith("    return x + ") and target.endswith(number)


def test_an_episode_larger_than_a_module(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"k_shot \+ n_query = 9 rows.*'module"):
        PythonCode(folder, min_functions=8).as_dataset(1, k_shot=5, n_query=4)


def test_missing_folder() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        PythonCode("nowhere")
