"""What `--app` chooses: the verbs of code, of images or of language, called alike."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metagpt_tf.applications import code, image, language
from metagpt_tf.applications.text_kinds import cut_to_fit
from metagpt_tf.cli.drawing import image_examples
from metagpt_tf.datasets import functions_at, load_texts
from metagpt_tf.meta import MetaLearner
from metagpt_tf.tasks.code_tasks import code_problems

Pair = tuple[str, str]
ONLY = "meta_test"


@dataclass(frozen=True)
class App:
    """An application's verbs with one signature.

    Attributes:
        task: the kind of task taken when none is named.
        load: `(path or None, task)` to data.
        preprocess: `(data, task=…, …)` to datasets of episodes.
        define: a compiled learner.
        evaluate: `(learner, episodes, task, prompts)` to figures.
        examples: `(path, task, model)` to pairs for a support set.
    """

    task: str
    load: Callable[[str | None, str], Any]
    preprocess: Callable[..., dict[str, Any]]
    define: Callable[..., MetaLearner]
    evaluate: Callable[[MetaLearner, Any, str, int], dict[str, float]]
    examples: Callable[[str, str, Any], list[Pair]]


def _functions(path: str, task: str, model: Any) -> list[Pair]:
    found = {ONLY: {"support": functions_at(path)}}
    sizes = {"source_bytes": model.source_length - 1, "target_bytes": model.target_length - 1}
    return code_problems(found, task, **sizes)[ONLY]["support"]


def _texts(path: str, task: str, model: Any) -> list[Pair]:
    """Rows that are pairs as they are; running texts, to be continued, as prefixes and continuations.

    Raises:
        ValueError: running texts for a task whose answers are not their continuations.
    """
    loaded = load_texts(path, split=ONLY)
    rows = _all(loaded)
    if isinstance(rows[0], tuple):
        return rows
    if task != "generation":
        raise ValueError(
            f"{path} holds texts, and the support set of {task!r} needs pairs: give a CSV or JSON Lines file with the "
            "columns task, source and target."
        )
    return _all(cut_to_fit(loaded, model.tokenizer, model.source_length - 1, model.target_length - 1))


def _define_image_model(preset: str, algorithm: Any, tokenizer: Any, **sizes: int) -> MetaLearner:
    """Tokenizer and target length are the codes'; `preprocess_images` has refused others."""
    return image.define_meta_gpt_image_model(preset, algorithm, source_length=sizes.get("source_length"))


def _all(loaded: Any) -> list[Any]:
    return [row for tasks in loaded.values() for rows in tasks.values() for row in rows]


def episodes_of(arguments: Namespace, tokenizer: Any, num_batches: dict[str, int], **sizes: int) -> dict[str, Any]:
    """The episodes that a command asks for: its `--app`, `--task`, `--data`, `--k-shot`, `--n-query` and `--seed`.

    Without a tokenizer they have that of the application.
    """
    app = APPS[arguments.app]
    task = arguments.task or app.task
    shape = {"k_shot": arguments.k_shot, "n_query": arguments.n_query, "seed": arguments.seed}
    data = app.load(arguments.data, task)
    own = {} if tokenizer is None else {"tokenizer": tokenizer}
    return app.preprocess(data, task=task, num_batches=num_batches, **own, **shape, **sizes)


APPS: dict[str, App] = {
    "code": App(
        "body",
        lambda path, task: code.load_code_data(path),
        code.preprocess_code_data,
        code.define_meta_gpt_code_model,
        lambda learner, data, task, prompts: code.evaluate_code_model(learner, data, prompts, task),
        _functions,
    ),
    "image": App(
        "generation",
        lambda path, task: image.load_image_data(path),
        image.preprocess_images,
        _define_image_model,
        lambda learner, data, task, prompts: image.evaluate_image_model(learner, data, prompts=prompts),
        image_examples,
    ),
    "language": App(
        "generation",
        language.load_data,
        language.preprocess_data,
        language.define_meta_gpt_model,
        lambda learner, data, task, prompts: language.evaluate_model(learner, data, task, prompts),
        _texts,
    ),
}
