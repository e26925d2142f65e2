"""What is fused: models, or learners round them, that fit together."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from metagpt_tf.meta import ANIL, FOMAML, MAML, Algorithm, Apart, MAMLPlusPlus, MetaLearner, MetaSGD
from metagpt_tf.models import MetaGPT

PLAIN: set[type[Algorithm]] = {MAML, FOMAML, ANIL, MAMLPlusPlus}


def check_members(members: Sequence[Any], same_weights: bool) -> list[Any]:
    """The members' models, if they fit together.

    Args:
        members: models or learners.
        same_weights: whether their weights must have the same shapes, as averages of weights need it.

    Raises:
        TypeError: models and learners, or something else.
        ValueError: fewer than two, other tokenizers, other shapes; learners that are not compiled or lose otherwise.
    """
    if len(members) < 2:
        raise ValueError(f"Fusing takes at least two members, received {len(members)}.")
    learners = [isinstance(member, MetaLearner) for member in members]
    if any(learners) != all(learners) or not all(isinstance(member, keras.Model) for member in members):
        kinds = ", ".join(type(member).__name__ for member in members)
        raise TypeError(f"Members are all models or all learners, received {kinds}.")
    models = [member.model if isinstance(member, MetaLearner) else member for member in members]
    for index, model in enumerate(models):
        if not model.built:
            raise ValueError(f"Member {index} is not built. Call it once on data first.")
    _check_tokenizers(models)
    _check_shapes(models, same_weights)
    if all(learners):
        _check_losses(members)
    return models


def _check_tokenizers(models: Sequence[Any]) -> None:
    tokenizers: list[Any] = [getattr(model, "tokenizer", None) for model in models]
    for index, tokenizer in enumerate(tokenizers[1:], 1):
        first = tokenizers[0]
        if (first is None) != (tokenizer is None):
            raise ValueError(f"Member 0 and member {index} do not both read text.")
        if first is not None and first.get_config() != tokenizer.get_config():
            raise ValueError(
                f"Members write with one tokenizer: member 0 has a {type(first).__name__} of {first.vocabulary_size} "
                f"tokens, member {index} a {type(tokenizer).__name__} of {tokenizer.vocabulary_size}, and token 300 of "
                "one is another word than token 300 of the other. Train them with one tokenizer."
            )


def _check_shapes(models: Sequence[Any], same_weights: bool) -> None:
    first, shapes = shape_of(models[0]), [tuple(v.shape) for v in models[0].trainable_variables]
    for index, model in enumerate(models[1:], 1):
        if shape_of(model) != first:
            raise ValueError(
                f"Members take and answer tensors of one shape: member 0 {first}, member {index} {shape_of(model)}."
            )
        own = [tuple(v.shape) for v in model.trainable_variables]
        if same_weights and own != shapes:
            differing = next(((a, b) for a, b in zip(shapes, own, strict=False) if a != b), (len(shapes), len(own)))
            raise ValueError(
                f"A soup averages weights of the same shapes; those of member 0 and member {index} differ first in "
                f"{differing[0]} and {differing[1]}. Fuse models of other sizes with how='weighted' or 'stacking'."
            )


def shape_of(model: Any) -> tuple[Any, ...]:
    """What a model takes and answers, without the batch."""
    if isinstance(model, MetaGPT) or hasattr(model, "source_length"):
        return model.source_length, model.target_length, model.tokenizer.vocabulary_size
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise ValueError(
            f"A {type(model).__name__} does not say what it takes and answers. Fuse MetaGPT, MetaClassifier, "
            "functional or sequential models, or give yours the properties inputs and outputs."
        )
    return tuple(tuple(t.shape[1:]) for t in (*model.inputs, *model.outputs))


def _check_losses(members: Sequence[MetaLearner]) -> None:
    for index, member in enumerate(members):
        if not member.compiled:
            raise ValueError(f"Member {index} is not compiled. Call compile(optimizer, loss) first.")
    scopes = [member.algorithm.scope for member in members]
    if len(set(scopes)) > 1:
        raise ValueError(f"Members adapt the same weights, received the scopes {', '.join(scopes)}.")
    if any(member.keep_zeros for member in members) and not all(member.keep_zeros for member in members):
        raise ValueError("Of the members some keep their zeros and some do not. Fuse learners of one kind.")


def copy_of_model(model: Any) -> Any:
    """A model of its own with the same weights."""
    copied = type(model).from_config(model.get_config())
    copied.set_weights(model.get_weights())
    return copied


def joined_algorithm(members: Sequence[MetaLearner]) -> Apart:
    """One algorithm for all members' tensors: each keeps the rates it has learned, and adapts by itself.

    Raises:
        TypeError: algorithms whose rates cannot be put side by side.
    """
    kinds = {type(member.algorithm) for member in members}
    first = members[0].algorithm
    if kinds == {MetaSGD}:
        config = first.get_config()
        joined: Any = MetaSGD.from_config(config)
        weights = [w for member in members for w in member.algorithm.get_weights()]
    elif kinds <= PLAIN:  # others bring a start or a structure of their own
        joined, weights = _joined_maml(members)
    else:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(
            f"Rates of MAML and its kin, or of MetaSGD, can be put side by side; received {names}. Give algorithm=…, "
            "with which the fused model is to adapt."
        )
    shapes = [shape for member in members for shape in member.layout.shapes]
    layers, offset = [], 0
    for member in members:
        layers += [offset + index for index in member.layout.layer_indices]
        offset = max(layers) + 1
    algorithm = Apart(joined)
    algorithm.layer_indices = tuple(layers)
    algorithm.build(shapes)
    algorithm.set_weights(weights)
    return algorithm


def _joined_maml(members: Sequence[MetaLearner]) -> tuple[MAML, list[np.ndarray]]:
    algorithms: list[Any] = [member.algorithm for member in members]
    steps = max(1, max(a.inner_steps for a in algorithms))
    speed = algorithms[0].rate_speed
    rates = np.concatenate([rates_of(member, steps) for member in members], axis=1)
    config = {**algorithms[0].get_config(), "learn_rate": "per_tensor_per_step", "inner_steps": steps}
    joined = MAML.from_config({**config, "name": "joined"})
    counted = [w.numpy() for w in algorithms[0].non_trainable_variables]  # outer steps, where they are counted
    return joined, [np.log(rates) / speed, *counted]


def rates_of(member: MetaLearner, steps: int) -> np.ndarray:
    """The rates of a learner round MAML as `(steps, tensors)`, whatever it has learned them by."""
    algorithm, tensors = member.algorithm, len(member.layout.variables)
    if not isinstance(algorithm, MAML):
        raise TypeError(f"rates_of reads the rates of MAML, received {type(algorithm).__name__}.")
    if not algorithm.learn_rate:
        return np.full((steps, tensors), algorithm.inner_learning_rate)
    learned = np.exp(algorithm.rate_speed * algorithm.log_rate.numpy())
    if algorithm.learn_rate == "per_step":
        learned = learned[:, None]
    learned = np.atleast_2d(learned)
    rows = np.minimum(np.arange(steps), len(learned) - 1)
    return np.broadcast_to(learned[rows], (steps, tensors))
