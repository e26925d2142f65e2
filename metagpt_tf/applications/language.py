"""Language: load, preprocess, define, fit, evaluate, generate.

A task is an author, a language, a relation, a set of labels: what the support set shows. Every kind of task is a text
to read and a text to write (`text_kinds.py`), so one model and one learner serve all of them.
"""

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from metagpt_tf.applications.before_after import answers_before_and_after, loss_figures
from metagpt_tf.applications.episodes import define_learner, text_episodes, trained_tokenizer
from metagpt_tf.applications.text_kinds import Pairs, cut_to_fit, kind_of
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.presets import PRETRAINED, Preset, find_preset
from metagpt_tf.tasks.continuation import tokens_back
from metagpt_tf.tokenizers import ByteTokenizer, clean_text, remove_stop_words

DEFAULT = "text_nano"  # whose tokenizer and lengths all verbs take when none are given, so that they fit together

# A window ends with an end mark, and training cuts it on the border of a character: up to four bytes short is full.
NEARLY_FULL = 4


def load_data(
    path: str | os.PathLike | Sequence[str | os.PathLike] | None = None, task: str = "generation", **options: Any
) -> Mapping[str, Mapping[str, Any]]:
    """Real texts by split and task, whole tasks held out.

    Args:
        path: your own data (a folder, files, CSV or JSON Lines, a TFDS name: see the loader); `None` for the bundled.
        task: `"generation"` (437 languages and 43 authors), `"classification"` (topics of WordNet's definitions),
            `"entities"` (weakly tagged addresses), `"translation"` (from English to 436 languages), `"dialogue"` (needs
            `pip install metagpt_tf[data]`) or `"triples"` (WordNet's relations).
        **options: of the loader, `datasets.load_…`; for the bundled generation tasks `which="languages"`, `"authors"`
            or `"all"`.

    Returns:
        `{"meta_train" | "meta_validation" | "meta_test": {task: records}}`.

    Raises:
        FileNotFoundError: nothing is at `path`.
        ValueError: an unknown task (the closest name is suggested), or data that cannot be read; names file and line.

    Example:

    >>> data = load_data(task="triples")
    >>> sorted(data)
    ['meta_test', 'meta_train', 'meta_validation']
    """
    return kind_of(task).load(path, **options)


def preprocess_data(
    data: Mapping[str, Mapping[str, Any]],
    task: str = "generation",
    tokenizer: Any = None,
    source_length: int | None = None,
    target_length: int | None = None,
    clean: bool | Mapping[str, Any] = True,
    stop_words: str | Iterable[str] | None = None,
    vocabulary_size: int = 1024,
    meta_batch_size: int = 4,
    k_shot: int = 8,
    n_query: int = 8,
    num_batches: Mapping[str, int] | None = None,
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Clean, convert, tokenise and pad texts, and make episodes of them.

    Args:
        data: what `load_data` returned.
        task: as in `load_data`.
        tokenizer: name or object; `"bpe"` is trained on the training tasks (`pip install metagpt_tf[bpe]`), `None` is
            that of `text_nano`.
        source_length, target_length: tokens kept of what is read and of what is written, the end mark included; `None`
            for those of `text_nano`. Running text fills them.
        clean: whether to clean texts, or options of `tokenizers.clean_text` (`{"lower": True}`).
        stop_words: what to leave out of texts to classify: a language of the stop-words package, words, or `None`.
        vocabulary_size: of a BPE tokenizer that is trained here.
        meta_batch_size, k_shot, n_query: shape of an episode dataset.
        num_batches: meta-batches of `"train"`, `"validation"` and `"test"`; by default 200, 4 and 8.
        seed: of the episodes.
        **options: of the converter, e.g. `mode="from_text"` for triples or `permutation=1` for classification.

    Returns:
        `"train"`, `"validation"`, `"test"`: datasets of `Episode` over disjoint tasks; `"tasks"`: the `TextTasks`.

    Raises:
        ValueError: an unknown task or tokenizer, stop words in what is to be written, or a split without a task of
            K + Q examples.

    Example:

    >>> data = preprocess_data(load_data(task="triples"), "triples", source_length=32, num_batches={"train": 1})
    >>> next(iter(data["train"])).support_x.shape
    TensorShape([4, 8, 32])
    """
    kind = kind_of(task)
    source_length, target_length = _lengths(source_length, target_length)
    if stop_words is not None and not kind.stop_words:
        raise ValueError(f"stop_words would be missing from what {task!r} is to write: use it with 'classification'.")
    change = _cleaner(clean)
    sizes = source_length - 1, target_length - 1
    data = _each(data, change) if kind.running else data  # before it is cut: the blank at a cut stays
    cut = functools.partial(kind.pair, data, *sizes, **options)
    read = _without_stop_words(change, stop_words)
    pairs = cut if kind.running else functools.cache(lambda: _mapped(cut(), read, change))
    tokenizer = trained_tokenizer(_tokenizer(tokenizer), pairs, vocabulary_size)
    found = cut_to_fit(data, tokenizer, *sizes, **options) if kind.running else pairs()
    shape = meta_batch_size, k_shot, n_query
    return text_episodes(found, tokenizer, source_length, target_length, shape, num_batches, seed)


def define_meta_gpt_model(
    preset: str | os.PathLike = DEFAULT,
    algorithm: Any = None,
    optimizer: Any = None,
    tokenizer: Any = None,
    source_length: int | None = None,
    target_length: int | None = None,
    word_vectors: Any = None,
    **overrides: Any,
) -> MetaLearner:
    """A compiled `MetaLearner` round a `MetaGPT`, ready for `fit`.

    Args:
        preset: the name or directory of a trained model, which brings its algorithm and tokenizer (`"text_nano"` comes
            with the package), or the size of a new one (`"nano"`).
        algorithm: name or object; by default the preset's own, for a new model second-order `MAML` on the low-rank
            adapters, three steps, learned rate.
        optimizer: of the outer loop; by default Adam at 1e-3 with clipped gradients.
        tokenizer: the one of `preprocess_data(...)["tasks"].tokenizer`; by default the preset's own, for a new model
            that of `text_nano`.
        source_length, target_length: as in `preprocess_data`; by default the preset's own.
        word_vectors: word to vector (`models.load_word_vectors`), where the embedding of a new model begins.
        **overrides: other arguments of `MetaGPT`.

    Raises:
        ValueError: unknown preset or algorithm (the closest name is suggested), or sizes, a tokenizer or word vectors
            that a trained model cannot take.
    """
    if find_preset(preset) is None:  # new: as `preprocess_data` makes its episodes
        source_length, target_length = _lengths(source_length, target_length)
        tokenizer = _tokenizer(tokenizer)
    given = {"source_length": source_length, "target_length": target_length}
    lengths = {name: length for name, length in given.items() if length is not None}
    return define_learner(preset, algorithm, optimizer, tokenizer, word_vectors, **lengths, **overrides)


def evaluate_model(
    model: MetaLearner, test_data: tf.data.Dataset, task: str = "generation", prompts: int = 16, **options: Any
) -> dict[str, float]:
    """Quality on held-out tasks before and after adaptation.

    Args:
        model: a compiled learner.
        test_data: episodes, as in `preprocess_data(...)["test"]`.
        task: as in `load_data`; decides how answers are scored.
        prompts: queries to answer in full; 0 leaves the scores of answers out.
        **options: of `MetaGPT.generate` (`sampler`, `seed`, …).

    Returns:
        `bits_per_byte`, `perplexity` (of a token), `token_accuracy`, and of the answers: distinct-1 and -2
        (generation, dialogue), accuracy (classification), entity F1 and exact match (entities), BLEU and chrF
        (translation), exact match (triples); each also as `pre_…`.

    Raises:
        ImportError: BLEU and chrF need `pip install metagpt_tf[eval]`.
        ValueError: an unknown task.
    """
    scores = kind_of(task).scores
    figures = loss_figures(model, test_data, with_perplexity=True)
    if prompts:
        answered = answers_before_and_after(model, test_data, prompts, **options)
        for name, score in scores.items():
            figures[name] = score(answered.after, answered.targets)
            figures[f"pre_{name}"] = score(answered.before, answered.targets)
    return figures


def generate_text(
    model: MetaLearner | MetaGPT,
    prompt: str,
    state: Any = None,
    max_length: int | None = None,
    seed: int | None = None,
    truncate: bool = False,
    **options: Any,
) -> str:
    """Continue or answer a text, in the way a task taught.

    A text longer than the model writes at once is written in windows: each reads the end of what stands there so far.

    Args:
        model: a learner or its model.
        prompt: what to read.
        state: what a task taught (`learner.adapt`); `None` for the model before adaptation.
        max_length: tokens to write; `None` for one window, the model's `target_length`.
        seed: of sampling.
        truncate: whether to read the end of a prompt that is too long, instead of refusing it.
        **options: of `MetaGPT.generate` (`sampler`, `stop`, …).

    Returns:
        What was written, without the prompt. It ends where the model ends it before a window is full.

    Raises:
        TypeError: a prompt that is no text.
        ValueError: a prompt that is too long, unless `truncate`; says how many tokens there are and fit.
    """
    if not isinstance(prompt, str):
        raise TypeError(f"generate_text continues one text (str), received {type(prompt).__name__}.")
    generator: Any = model.model if isinstance(model, MetaLearner) else model
    window = generator.target_length
    wanted, written = window if max_length is None else max_length, ""
    text = _end_of(generator, prompt) if truncate else prompt
    for turn in range(wanted):
        room = min(window, wanted - len(generator.tokenizer.encode(written)))
        if room <= 0:
            break
        start = None if seed is None else seed + turn
        piece = generator.generate(text, state=state, max_length=room, seed=start, **options)
        written += piece
        if not piece or len(generator.tokenizer.encode(piece)) < room - _short_of_full(generator):
            break
        text = _end_of(generator, prompt + written)
    return written


@functools.cache
def _default_model() -> dict[str, Any]:
    return Preset(PRETRAINED / DEFAULT).description("model")["config"]


def _lengths(source_length: int | None, target_length: int | None) -> tuple[int, int]:
    given = {"source_length": source_length, "target_length": target_length}
    source, target = (_default_model()[name] if length is None else length for name, length in given.items())
    return source, target


def _tokenizer(tokenizer: Any) -> Any:
    return _default_model()["tokenizer"] if tokenizer is None else tokenizer


def _short_of_full(generator: Any) -> int:
    """By how many tokens a window that was cut in training may be short: tokens of words are cut between words."""
    if isinstance(generator.tokenizer, ByteTokenizer):
        return NEARLY_FULL
    return tokens_back(generator.target_length - 1) + 1


def _end_of(generator: Any, text: str) -> str:
    """As much of the end of a text as the model reads."""
    ids = generator.tokenizer.encode(text)[-(generator.source_length - 1) :]
    return generator.tokenizer.decode_bytes(ids).decode("utf-8", errors="ignore")


def _cleaner(clean: bool | Mapping[str, Any]) -> Callable[[str], str]:
    if clean is False:
        return lambda text: text
    options = {} if clean is True else dict(clean)
    return lambda text: clean_text(text, **options)


def _without_stop_words(change: Callable[[str], str], words: str | Iterable[str] | None) -> Callable[[str], str]:
    if words is None:
        return change
    given: dict[str, Any] = {"language": words} if isinstance(words, str) else {"stop_words": tuple(words)}
    return lambda text: remove_stop_words(change(text), **given)


def _each(data: Mapping[str, Mapping[str, Sequence[str]]], change: Callable[[str], str]) -> dict[str, dict[str, Any]]:
    return {split: {task: _changed(texts, change) for task, texts in tasks.items()} for split, tasks in data.items()}


def _changed(texts: Any, change: Callable[[str], str]) -> Any:
    """What is no list of texts is left for the cutting, which says what is wrong with it."""
    known = not isinstance(texts, str) and all(isinstance(text, str) for text in texts)
    return [change(text) for text in texts] if known else texts


def _mapped(pairs: Pairs, source: Callable[[str], str], target: Callable[[str], str]) -> Pairs:
    return {
        split: {task: [(source(one), target(other)) for one, other in rows] for task, rows in tasks.items()}
        for split, tasks in pairs.items()
    }
