"""`load_functions` and its TFDS builder: the real standard library, folders, and what can go wrong."""

import ast
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tensorflow_datasets.core.utils import gcs_utils

from metagpt_tf.datasets import SPLITS, PythonFunctions, load_functions, python_functions
from metagpt_tf.datasets.python_source import split_functions

Loaded = dict[str, dict[str, list[tuple[str, str]]]]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="module")
def library(data_dir: Path) -> Loaded:
    """The standard library, built with every way to the network closed."""

    def closed(*arguments: object, **_: object) -> None:
        raise AssertionError(f"The builder opened a connection: {arguments}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", closed)
        patch.setattr(socket, "getaddrinfo", closed)
        # TFDS reaches its storage through TensorFlow's C++ file system, which no Python socket sees.
        patch.setattr(gcs_utils, "gcs_dataset_info_files", closed)
        patch.setattr(gcs_utils, "is_dataset_on_gcs", closed)
        return load_functions(data_dir=data_dir)


def fill(folder: Path, tasks: int, functions: int) -> Path:
    for task in range(tasks):
        code = "".join(
            f'def f{number}(x):\n    """Add."""\n    return x + {task * 1000 + number}\n\n'
            for number in range(functions)
        )
        (folder / f"task{task}.py").write_text(code)
    return folder


def test_whole_tasks_are_held_out(library: Loaded) -> None:
    assert tuple(library) == SPLITS
    names = [task for tasks in library.values() for task in tasks]
    assert len(names) == len(set(names)) >= 40
    shares = [len(library[split]) / len(names) for split in SPLITS]
    assert 0.6 < shares[0] < 0.8 and all(0.08 < share < 0.25 for share in shares[1:])


def test_the_library_is_large_clean_and_parses(library: Loaded) -> None:
    rows = [pair for tasks in library.values() for pairs in tasks.values() for pair in pairs]
    assert len(rows) == len(set(rows)) > 4000
    assert all(len(pairs) >= 20 for tasks in library.values() for pairs in tasks.values())
    for source, target in rows[::25]:
        assert len(ast.parse(f"{source}\n{target}").body) == 1


def test_the_cache_is_read_not_built_again(library: Loaded, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_functions, "split_functions", None)
    assert load_functions(data_dir=data_dir) == library


def test_examples_carry_name_path_and_licence(library: Loaded, data_dir: Path) -> None:
    builder = PythonFunctions(data_dir=data_dir)
    rows = builder.as_dataset(split="meta_validation", batch_size=-1)
    assert set(rows) == {"task", "name", "source", "target", "path", "licence"}
    assert {task.decode() for task in rows["task"].numpy()} == set(library["meta_validation"])
    assert set(rows["licence"].numpy()) == {b"PSF-2.0"}
    for task, path in zip(rows["task"].numpy(), rows["path"].numpy(), strict=True):
        assert path.decode().split("/")[0].removesuffix(".py") == task.decode()


def test_configs_are_named_after_what_is_in_them() -> None:
    default, with_json = python_functions.config_for(), python_functions.config_for(("json",))
    assert default.name.startswith("standard_library_python_3_")
    others = [with_json, python_functions.config_for(("rich",)), python_functions.config_for(min_functions=30)]
    assert len({config.name for config in [default, *others]}) == 4
    assert python_functions.config_for(("rich", "json")).name == python_functions.config_for(("json", "rich")).name


def small_library(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the builder read a small folder in place of the standard library."""
    files = python_functions.given_path(fill(folder, tasks=3, functions=20))
    monkeypatch.setattr(python_functions, "standard_library", lambda: files)


def test_two_processes_may_build_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    small_library(monkeypatch, tmp_path / "code")

    def overtaken(*arguments: object) -> object:
        monkeypatch.setattr(python_functions, "split_functions", split_functions)
        PythonFunctions(data_dir=tmp_path / "data").download_and_prepare()
        return split_functions(*arguments)

    monkeypatch.setattr(python_functions, "split_functions", overtaken)
    loaded = load_functions(data_dir=tmp_path / "data")
    assert [len(pairs) for tasks in loaded.values() for pairs in tasks.values()] == [20, 20, 20]


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    small_library(monkeypatch, tmp_path / "code")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"Could not write the cache.*pass another data_dir.*TFDS_DATA_DIR"):
        load_functions(data_dir=tmp_path / "file")


def test_nothing_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "code").mkdir()
    small_library(monkeypatch, tmp_path / "code")
    load_functions(data_dir=tmp_path / "data")
    assert capfd.readouterr().out == ""


def test_progress_is_shown_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "code").mkdir()
    small_library(monkeypatch, tmp_path / "code")
    load_functions(data_dir=tmp_path / "quiet")
    assert "Generating" not in capfd.readouterr().err
    load_functions(data_dir=tmp_path / "shown", progress=True)
    assert "Generating" in capfd.readouterr().err


def test_packages_join_the_standard_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    small_library(monkeypatch, tmp_path / "code")
    loaded = load_functions(packages=("iniconfig",), min_functions=2, data_dir=tmp_path / "data")
    tasks = {task: len(pairs) for tasks in loaded.values() for task, pairs in tasks.items()}
    assert tasks.keys() == {"task0", "task1", "task2", "iniconfig"} and tasks["iniconfig"] >= 2
    with pytest.warns(UserWarning, match="Left out iniconfig: fewer than min_functions=20"):
        load_functions(packages=("iniconfig",), data_dir=tmp_path / "data")
    with pytest.raises(ValueError, match="No package 'no_such_package' is installed"):
        load_functions(packages=("no_such_package",), data_dir=tmp_path / "data")


def test_a_folder_is_read_directly(tmp_path: Path) -> None:
    loaded = load_functions(fill(tmp_path, tasks=6, functions=20))
    assert tuple(loaded) == SPLITS and all(loaded.values())
    assert sorted(task for tasks in loaded.values() for task in tasks) == [f"task{number}" for number in range(6)]
    for tasks in loaded.values():
        for name, pairs in tasks.items():
            first = int(name.removeprefix("task")) * 1000
            assert pairs[0] == ('def f0(x):\n    """Add."""', f"    return x + {first}")
            assert len(pairs) == 20


def test_files_and_packages_can_be_mixed(tmp_path: Path) -> None:
    fill(tmp_path, tasks=2, functions=3)
    loaded = load_functions([tmp_path / "task0.py", str(tmp_path / "task1.py")], packages=["json"], min_functions=3)
    assert sorted(task for tasks in loaded.values() for task in tasks) == ["json", "task0", "task1"]


def test_too_few_tasks(tmp_path: Path) -> None:
    fill(tmp_path, tasks=4, functions=2)
    with pytest.raises(ValueError, match=r"Found 4 task\(s\), 0 of them with at least 3.*3 are needed.*task0 \(2\)"):
        load_functions(tmp_path, min_functions=3)
    with pytest.raises(ValueError, match=r"Found 1 task\(s\), 1 of them"):
        load_functions(tmp_path / "task0.py", min_functions=1)
    with pytest.raises(ValueError, match="min_functions must be at least 1"):
        load_functions(tmp_path, min_functions=0)


def test_missing_and_wrong_paths(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"'.*nowhere'. Expected a folder .* a \.py file"):
        load_functions(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"a \.py file, received the file '.*notes.txt'"):
        load_functions(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match=r"No documented functions in 0 Python file\(s\)"):
        load_functions(tmp_path)


def test_files_that_do_not_parse_are_a_warning(tmp_path: Path) -> None:
    fill(tmp_path, tasks=3, functions=2)
    (tmp_path / "broken.py").write_text("def f(:\n")
    with pytest.warns(UserWarning, match=r"Skipped 1 file\(s\).*broken.py"):
        assert len(load_functions(tmp_path, min_functions=2)) == 3


def test_importing_the_room_is_light() -> None:
    code = """
        import sys
        import metagpt_tf.datasets
        heavy = {"tensorflow_datasets", "tensorflow"} & set(sys.modules)
        assert not heavy, heavy
        from metagpt_tf.datasets import PythonFunctionsConfig
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=Path(__file__).parents[2])
