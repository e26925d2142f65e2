"""Which matrices of a model are pruned or clustered, by policy."""

import re
from collections.abc import Mapping
from typing import Any

import keras

from metagpt_tf.kept_zeros import is_prunable


def trained_model(model: keras.Model) -> keras.Model:
    """The model that a learner trains, or the model itself."""
    return getattr(model, "model", model)


def prunable_variables(model: keras.Model, policy: Mapping[str, Any] | None = None) -> list[tuple[Any, Any]]:
    """Matrices to prune, each with what the policy says of it.

    Args:
        model: a built model, or a learner round one.
        policy: regular expression over weight paths to a sparsity, a schedule, or `None` for "leave it"; the first that
            is found in a path counts, and a matrix that none is found in stays as it is. `None`: all matrices.

    Raises:
        ValueError: not built, or nothing to prune (with the paths there are).
    """
    variables = [v for v in trained_model(model).trainable_variables if is_prunable(v)]
    rules = {".": True} if policy is None else policy
    chosen = []
    for variable in variables:
        rule = next((rules[pattern] for pattern in rules if re.search(pattern, variable.path)), None)
        if rule is not None:
            chosen.append((variable, rule))
    if not chosen:
        paths = ", ".join(v.path for v in variables[:4]) or "no matrices: is it built?"
        raise ValueError(f"There is nothing to prune in model {model.name!r} by {policy}. Its matrices: {paths}")
    return chosen
