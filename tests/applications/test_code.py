"""The tutorial's verbs for code, on a small folder of real functions."""

import ast

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.applications import code
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.saving import load_learner
from metagpt_tf.tasks import Episode

from .packages import write_packages

SIZES = {"source_length": 32, "target_length": 32}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return code.load_code_data(write_packages(tmp_path_factory.mktemp("code")), min_functions=4)


@pytest.fixture(scope="module")
def prepared(data):
    batches = {"train": 2, "validation": 1, "test": 1}
    return code.preprocess_code_data(data, **SIZES, meta_batch_size=2, k_shot=3, n_query=2, num_batches=batches)


@pytest.fixture(scope="module")
def learner():
    sizes = {"dim": 32, "num_heads": 2, "num_layers": 1, "hidden_dim": 64}
    return code.define_meta_gpt_code_model("nano", algorithm=MAML(1, 0.05, scope="low_rank"), **SIZES, **sizes)


def test_whole_tasks_are_held_out(data):
    names = [set(tasks) for tasks in data.values()]
    assert all(names) and not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])


def test_datasets_hold_episodes(prepared):
    for name in ("train", "validation", "test"):
        episode = next(iter(prepared[name]))
        assert isinstance(episode, Episode)
        assert episode.support_x.shape == (2, 3, 32) and episode.query_y.shape == (2, 2, 32)


def test_the_tutorials_chain(prepared, learner):
    """`model.fit(data["train"], data["validation"])` as the tutorial writes it, then evaluate and generate."""
    history = learner.fit(prepared["train"], prepared["validation"], verbose=0).history
    assert {"loss", "pre_loss", "val_loss", "adaptation_gain", "val_adaptation_gain"} <= set(history)
    figures = code.evaluate_code_model(learner, prepared["test"], parse_prompts=2)
    assert set(figures) == {f"{w}{n}" for w in ("", "pre_") for n in ("bits_per_byte", "token_accuracy", "parses")}
    assert 0 < figures["bits_per_byte"] < 20 and 0 <= figures["parses"] <= 1
    logs = learner.evaluate(prepared["test"], verbose=0, return_dict=True)
    assert figures["bits_per_byte"] == pytest.approx(logs["loss"] / np.log(2), rel=0.05)


def test_define_returns_a_compiled_trained_learner_by_default():
    learner = code.define_meta_gpt_code_model()
    assert isinstance(learner, MetaLearner) and learner.optimizer is not None
    assert learner.algorithm.get_config() == load_learner("code_nano").algorithm.get_config()
    assert learner.model.count_params() <= 1_000_000
    with pytest.raises(ValueError, match="Did you mean 'nano'"):
        code.define_meta_gpt_code_model("nanoo")


class TestGenerateCode:
    def fake(self, learner, monkeypatch, body):
        monkeypatch.setattr(learner.model, "generate", lambda *args, **kwargs: body, raising=False)

    def test_the_result_is_parsed_and_formatted(self, learner, monkeypatch):
        self.fake(learner, monkeypatch, "    total=a+b\n    return   total")
        written = code.generate_code(learner, "add", ["a", "b"], docstring="Add.")
        assert written == 'def add(a, b):\n    """Add."""\n    total = a + b\n    return total'

    def test_the_longest_run_of_lines_that_parses_is_kept(self, learner, monkeypatch):
        self.fake(learner, monkeypatch, "    x = 1\n    y = (2\n    z = 3")
        assert code.generate_code(learner, "f") == "def f():\n    x = 1"

    def test_text_that_is_not_python_comes_with_a_warning(self, learner, monkeypatch):
        self.fake(learner, monkeypatch, ")))")
        with pytest.warns(UserWarning, match="no line for 'f' that parses"):
            assert code.generate_code(learner, "f") == "def f():\n)))"

    def test_nothing_is_executed(self, learner, monkeypatch, tmp_path):
        target = tmp_path / "written"
        self.fake(learner, monkeypatch, f"    open({str(target)!r}, 'w').close()")
        code.generate_code(learner, "f")
        assert not target.exists()

    @pytest.mark.parametrize(("name", "arguments"), [("not a name", []), ("f", ["a b"]), ("f", ["1"])])
    def test_names_must_be_identifiers(self, learner, name, arguments):
        with pytest.raises(ValueError, match="not a Python identifier"):
            code.generate_code(learner, name, arguments)

    def test_arguments_may_have_defaults_and_stars(self, learner, monkeypatch):
        self.fake(learner, monkeypatch, "    return a")
        assert ast.parse(code.generate_code(learner, "f", ["a=1", "*rest", "**more"]))

    def test_the_real_model_is_called(self, learner):
        with pytest.warns(UserWarning) if not _writes_code(learner) else _nothing():
            assert code.generate_code(learner, "f", "x", max_length=4).startswith("def f(x):")


def _writes_code(learner):
    return code.longest_parsing("def f(x):", learner.model.generate("def f(x):", max_length=4)) is not None


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


@pytest.mark.parametrize(
    ("body", "expected"), [("    return 1", True), ("return 1", True), ("return (", False), ("", False), ("  ", False)]
)
def test_parses(body, expected):
    assert code.parses("def f():", body) is expected


def test_missing_path_is_named():
    with pytest.raises(FileNotFoundError, match="no_such_folder"):
        code.load_code_data("no_such_folder")


def test_pooled_examples_are_the_same_rows(prepared):
    from metagpt_tf.tasks import pooled_examples

    episode = next(iter(prepared["train"]))
    x, y = next(iter(pooled_examples(prepared["train"])))
    assert x.shape == (10, 32) and y.shape == (10, 32)
    rows = {bytes(r) for r in np.asarray(x)}
    assert rows == {
        bytes(r) for part in (episode.support_x, episode.query_x) for r in tf.reshape(part, (-1, 32)).numpy()
    }
