"""What the verbs of all text applications share: pairs to episodes, a preset to a compiled learner."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from metagpt_tf import tokenizers
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.meta import get as get_algorithm
from metagpt_tf.models import MetaGPT, embedding_from_vectors, set_embedding
from metagpt_tf.presets import find_preset
from metagpt_tf.saving import load_learner
from metagpt_tf.tasks import TextTasks
from metagpt_tf.tokenizers import BPETokenizer, Tokenizer

Pairs = Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]
BATCHES = {"train": 200, "validation": 4, "test": 8}


def text_episodes(
    pairs: Pairs,
    tokenizer: Any,
    source_length: int,
    target_length: int,
    shape: tuple[int, int, int],
    num_batches: Mapping[str, int] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Tokenise pairs of all splits, and make episodes of them.

    Args:
        pairs: split -> task -> `[(source, target), …]`; tasks with fewer than K + Q pairs are left out.
        tokenizer: name or object.
        source_length, target_length: tokens kept, the end mark included.
        shape: M, K and Q of an episode dataset.
        num_batches: meta-batches of `"train"`, `"validation"` and `"test"`; by default 200, 4 and 8.
        seed: of the episodes.

    Returns:
        `"train"`, `"validation"`, `"test"`: datasets of `Episode`; `"tasks"`: the `TextTasks` they come from.

    Raises:
        ValueError: an unknown name in `num_batches`, or a split without a task that is large enough.
    """
    unknown = set(num_batches or {}) - set(BATCHES)
    if unknown:
        raise ValueError(f"num_batches knows {', '.join(BATCHES)}; received {', '.join(sorted(unknown))}.")
    tasks = TextTasks.from_pairs(pairs, tokenizer, source_length, target_length, on_small="drop")
    episodes = {
        name: tasks.split(f"meta_{name}").as_dataset(*shape, seed, num_batches=batches)
        for name, batches in {**BATCHES, **(num_batches or {})}.items()
    }
    return {**episodes, "tasks": tasks}


def trained_tokenizer(tokenizer: Any, pairs: Callable[[], Pairs], vocabulary_size: int) -> Tokenizer:
    """The tokenizer of that name or configuration; `"bpe"` is trained on `pairs()` of the training tasks."""
    if isinstance(tokenizer, str) and tokenizer == "bpe":
        texts = [text for rows in pairs()["meta_train"].values() for pair in rows for text in pair]
        return BPETokenizer.train(texts, vocabulary_size)
    return tokenizers.get(tokenizer)


def define_learner(
    preset: str | os.PathLike,
    algorithm: Any = None,
    optimizer: Any = None,
    tokenizer: Any = None,
    word_vectors: Any = None,
    **arguments: Any,
) -> MetaLearner:
    """A compiled learner: a new model of a named size, or a trained preset with the algorithm it was trained with.

    Args:
        preset: size, or name or directory of a trained preset.
        algorithm: name or object; `None` for the preset's own, for a new model for `default_algorithm()`.
        optimizer: of the outer loop; `None` for Adam at 1e-3 with clipped gradients.
        tokenizer: of a new model, by default bytes; of a trained one it can only be its own.
        word_vectors: word to vector, where a new model's embedding begins.
        **arguments: of `MetaGPT`.

    Raises:
        ValueError: unknown preset or algorithm, or for a model that is trained already: word vectors, another
            tokenizer, or sizes that its weights do not have.
    """
    if find_preset(preset) is None:
        model = MetaGPT.from_preset(preset, tokenizer=tokenizer or "bytes", **arguments)
        if word_vectors is not None:
            set_embedding(model, embedding_from_vectors(model.tokenizer, word_vectors, model.dim).matrix)
        learner = MetaLearner(model, default_algorithm() if algorithm is None else algorithm)
    elif word_vectors is not None:
        raise ValueError(f"{preset!r} is trained: word vectors would overwrite what it knows. Take a size, 'nano'.")
    elif algorithm is None:
        learner = load_learner(preset, **arguments)
    else:
        learner = MetaLearner(MetaGPT.from_preset(preset, **arguments), get_algorithm(algorithm))
    _check_tokenizer(preset, learner.model, tokenizer)
    learner.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0) if optimizer is None else optimizer)
    return learner


def _check_tokenizer(preset: Any, model: Any, wanted: Any) -> None:
    """A trained model reads the ids of its own tokenizer only."""
    if wanted is None:
        return
    wanted, own = tokenizers.get(wanted), model.tokenizer
    if type(wanted) is not type(own) or wanted.get_config() != own.get_config():
        raise ValueError(
            f"{preset!r} was trained with {type(own).__name__} of {own.vocabulary_size} ids, and this data has "
            f"{type(wanted).__name__} of {wanted.vocabulary_size}. Take preset='nano' for a new model, or make the "
            "episodes with the preset's tokenizer."
        )


def default_algorithm() -> MAML:
    """Second-order MAML on the low-rank adapters: a state of kilobytes, a start that stays good, and a large rate."""
    return MAML(inner_steps=3, inner_learning_rate=0.5, scope="low_rank", learn_rate=True)
