"""Figures of the code tasks, by judges whose answers are known and by one small model through the whole chain."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.applications import code
from metagpt_tf.applications.code_metrics import judge_of, text_figures
from metagpt_tf.applications.package_adaptation import package_adaptation
from metagpt_tf.meta import MAML
from metagpt_tf.tasks.code_tasks import HOLE
from metagpt_tf.tokenizers import ByteTokenizer

from .packages import write_packages

SIZES = {"source_length": 96, "target_length": 96}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_packages(tmp_path_factory.mktemp("code"))


@pytest.fixture(scope="module")
def data(folder):
    return code.load_code_data(folder, min_functions=4)


@pytest.fixture(scope="module")
def learner():
    sizes = {"dim": 16, "num_heads": 2, "num_layers": 1, "hidden_dim": 16}
    return code.define_meta_gpt_code_model("nano", algorithm=MAML(1, 0.05, scope="low_rank"), **SIZES, **sizes)


FIGURES = {
    "completion": {"parses", "exact_match", "next_line"},
    "middle": {"parses", "exact_match", "next_line"},
    "repair": {"parses", "exact_match"},
    "review": {"accuracy", "finds_line", "verdict"},
}


@pytest.mark.parametrize("task", FIGURES)
def test_every_task_goes_through_the_chain(data, learner, task):
    batches = {"train": 1, "validation": 1, "test": 1}
    shape = {"meta_batch_size": 2, "k_shot": 3, "n_query": 2, "num_batches": batches}
    prepared = code.preprocess_code_data(data, **SIZES, **shape, task=task)
    figures = code.evaluate_code_model(learner, prepared["test"], parse_prompts=2, task=task)
    expected = {"bits_per_byte", "token_accuracy", *FIGURES[task]}
    assert set(figures) == expected | {f"pre_{name}" for name in expected}
    assert all(0 <= figures[name] <= 1 for name in FIGURES[task])


def test_trees_are_shorter_targets(data):
    shape = {"meta_batch_size": 2, "k_shot": 3, "n_query": 2}
    prepared = {
        name: code.preprocess_code_data(data, **SIZES, **shape, representation=name) for name in ("bytes", "tree")
    }
    used = {name: np.mean(next(iter(one["test"])).query_y != 0) for name, one in prepared.items()}
    assert used["tree"] < 0.8 * used["bytes"]


def test_the_representation_is_decoded(data):
    prepared = code.preprocess_code_data(data, **SIZES, representation="tree", meta_batch_size=1, k_shot=1, n_query=1)
    text = ByteTokenizer().decode(next(iter(prepared["test"])).query_y[0, 0])
    assert judge_of("body", "tree")("def f(value):", "", text) == {"parses": True}


@pytest.mark.parametrize(
    ("task", "source", "target", "text", "expected"),
    [
        ("body", "def f():", "    return 1", "    return 2", {"parses": True}),
        ("completion", "def f():", "  a\n  b", "  a\n  c", {"parses": True, "exact_match": False, "next_line": True}),
        (
            "middle",
            f"def f():\n{HOLE}\n    b",
            "    a",
            "    a",
            {"parses": True, "exact_match": True, "next_line": True},
        ),
        (
            "middle",
            f"def f():\n{HOLE}\n    b",
            "    a",
            "(",
            {"parses": False, "exact_match": False, "next_line": False},
        ),
        ("repair", "def f(: 1", "def f(): 1", "def f(): 1", {"parses": True, "exact_match": True}),
        ("review", "x", "ok", "line 2: name", {"accuracy": False, "finds_line": False, "verdict": False}),
        ("review", "x", "line 2: colon", "line 2: name", {"accuracy": False, "finds_line": True, "verdict": True}),
    ],
)
def test_judges(task, source, target, text, expected):
    assert judge_of(task)(source, target, text) == expected


def test_judges_of_trees():
    judge = judge_of("completion", "tree")
    assert judge("def f():", "ra", "ra") == {"parses": True, "exact_match": True, "next_line": True}
    assert judge("def f():", "ra", "r+a")["parses"] is False


def test_an_unknown_task_is_an_error(learner):
    with pytest.raises(ValueError, match="Did you mean 'review'"):
        code.evaluate_code_model(learner, None, task="revew")


class TestTextFigures:
    tokenizer = ByteTokenizer()

    def figures(self, texts, length, wrong=()):
        target = self.tokenizer.pack(texts, length)
        logits = np.eye(259, dtype="float32")[target] * 50.0
        for row, place in wrong:
            logits[row, place] = np.eye(259, dtype="float32")[0] * 50.0
        return text_figures(logits, target, self.tokenizer)

    def test_lines_are_right_as_a_whole(self):
        assert self.figures(["ab\ncd\n\nef"], 12)[2] == [True, True, True]
        assert self.figures(["ab\ncd\n\nef"], 12, wrong=[(0, 4)])[2] == [True, False, True]
        assert self.figures(["ab\ncd\n\nef"], 12, wrong=[(0, 9)])[2] == [True, True, False]

    def test_a_line_that_may_be_cut_does_not_count(self):
        assert self.figures(["ab\ncdefgh"], 6)[2] == [True]

    def test_bits_and_bytes(self):
        target = self.tokenizer.pack(["abc", "d"], 6)
        bits, size, _ = text_figures(np.zeros((2, 6, 259), "float32"), target, self.tokenizer)
        assert size == 6 and bits == pytest.approx(6 * math.log2(259), rel=1e-5)

    def test_it_agrees_with_greedy_decoding(self, learner):
        """What the decode loop writes is right to the last token; with one token changed it is wrong."""
        model = learner.model
        source = model.tokenizer.pack(["def f(x):"], 96)
        written = tf.function(lambda: model.generate_ids(source, 5), autograph=False)().numpy()
        target = np.zeros((1, 96), "int32")
        target[:, :5] = np.maximum(written, 1)
        for change, expected in ((0, True), (1, False)):
            target[0, 2] += change
            _, _, lines = text_figures(model(model.training_inputs(source, target)), target, model.tokenizer)
            assert lines == [expected]


class TestPackageAdaptation:
    def test_figures_before_and_after(self, learner, folder):
        found = package_adaptation(learner, folder / "zeta.py", k_shot=3, steps=2)
        assert (found.k_shot, found.functions, found.lines, found.steps) == (3, 6, 12, 2)
        assert found.bits_per_byte != found.pre_bits_per_byte and 0 < found.bits_per_byte < 20
        assert 0 <= found.next_line <= 1 and found.state.shape == (learner.layout.size,)
        again = package_adaptation(learner, folder / "zeta.py", k_shot=3, steps=2)
        assert again.bits_per_byte == pytest.approx(found.bits_per_byte, abs=1e-6)

    def test_learning_a_repetitive_package_helps(self, learner, folder):
        found = package_adaptation(learner, folder / "zeta.py", k_shot=6, steps=4, rate_multiplier=100.0)
        assert found.bits_per_byte < found.pre_bits_per_byte

    def test_no_step_changes_nothing(self, learner, folder):
        found = package_adaptation(learner, folder / "zeta.py", k_shot=3, steps=0)
        assert found.bits_per_byte == pytest.approx(found.pre_bits_per_byte)

    def test_the_rest_can_be_bounded(self, learner, folder):
        assert package_adaptation(learner, folder, k_shot=3, steps=1, max_functions=5).functions == 5

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"k_shot": 9}, "has 9 functions for the task 'body'; k_shot=9 needs at least 10"),
            ({"k_shot": 0}, "k_shot=0 needs at least 2"),
            ({"task": "review"}, "The targets of 'review' are no code"),
        ],
    )
    def test_bad_input(self, learner, folder, arguments, message):
        with pytest.raises(ValueError, match=message):
            package_adaptation(learner, folder / "zeta.py", **arguments)

    def test_a_missing_path_is_named(self, learner):
        with pytest.raises(FileNotFoundError, match="no_such_package"):
            package_adaptation(learner, "no_such_package")
