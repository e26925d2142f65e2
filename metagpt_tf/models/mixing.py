"""How the answers of several models become one.

Axes: n members, F numbers of an answer (of logits the vocabulary).
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from metagpt_tf.layers.arguments import check_at_least, check_choice
from metagpt_tf.layers.projection import Projection

MIXINGS = ("weighted", "soft_vote", "hard_vote", "stacking")
OUTPUTS = ("logits", "values")
LEFT = 0.1  # share of a hard vote that the soft one keeps: it parts ties, and no class is impossible


@keras.saving.register_keras_serializable("metagpt_tf")
class Mixing(keras.layers.Layer):
    """Mixes the answers of n models with weights that tasks do not adapt.

    Of logits it mixes probabilities and answers with their logarithm, `log Σ w_i softmax(z_i)`; of values it answers
    `Σ w_i y_i`. `"weighted"` has one w for each member; `"soft_vote"` has equal ones; `"hard_vote"` gives each member
    one vote for its likeliest class (its gradient is the soft vote's); `"stacking"` asks a small network, for each
    answer, which looks at how sure each member is (of logits: the likeliest class's log-probability and the entropy; of
    values: the values).

    Args:
        num_members: int, n.
        how: `"weighted"` (default), `"soft_vote"`, `"hard_vote"` or `"stacking"`.
        outputs: `"logits"` (default) or `"values"`.
        hidden_dim: int, width of the small network; default 8.

    Call arguments:
        answers: list of n tensors `(…, F)`.

    Returns:
        `(…, F)`.

    Raises:
        ValueError: an unknown name, fewer than two members, or a hard vote on values.

    Example:

    >>> import numpy as np
    >>> mixing = Mixing(2, "weighted", "values")
    >>> mixing([np.array([[1.0]], "float32"), np.array([[3.0]], "float32")]).numpy().tolist()
    [[2.0]]

    Reference: Wolpert, 1992, "Stacked Generalization".
    """

    def __init__(
        self, num_members: int, how: str = "weighted", outputs: str = "logits", hidden_dim: int = 8, **kwargs: Any
    ) -> None:
        kwargs["trainable"] = False  # a task adapts the members, not what is made of them
        super().__init__(**kwargs)
        check_at_least(self, 2, num_members=num_members)
        check_at_least(self, 1, hidden_dim=hidden_dim)
        self.num_members, self.hidden_dim = num_members, hidden_dim
        self.how = check_choice(self, "how", how, MIXINGS)
        self.outputs = check_choice(self, "outputs", outputs, OUTPUTS)
        if how == "hard_vote" and outputs == "values":
            raise ValueError("A hard vote is on classes; of values take 'weighted' or 'stacking'.")

    built: bool

    def build(self, input_shape: Sequence[tuple]) -> None:
        if self.built:  # read from a file, before its model could build it
            return
        if self.how == "weighted":
            self.scores = self.add_weight(shape=(self.num_members,), initializer="zeros", name="scores")
        if self.how == "stacking":
            seen = self.num_members * (2 if self.outputs == "logits" else input_shape[0][-1])
            self.hidden = Projection(self.hidden_dim, name="hidden", dtype=self.dtype_policy, trainable=False)
            self.judge = Projection(
                self.num_members, kernel_initializer="zeros", name="judge", dtype=self.dtype_policy, trainable=False
            )
            self.hidden.build((None, seen))
            self.judge.build((None, self.hidden_dim))
        self.built = True

    def call(self, answers: Sequence[Any]) -> Any:
        stacked = ops.stack([ops.cast(a, "float32") for a in answers], axis=-2)  # (…, n, F)
        if self.outputs == "values":
            weights = ops.exp(self._log_weights(stacked))
            return ops.sum(stacked * ops.expand_dims(weights, -1), axis=-2)
        log_p = ops.log_softmax(stacked, axis=-1)
        soft = ops.logsumexp(log_p + ops.expand_dims(self._log_weights(log_p), -1), axis=-2)
        return soft if self.how != "hard_vote" else soft + ops.stop_gradient(self._votes(log_p, soft) - soft)

    def _votes(self, log_p: Any, soft: Any) -> Any:
        votes = ops.cast(log_p >= ops.max(log_p, axis=-1, keepdims=True), "float32")
        return ops.log((1.0 - LEFT) * ops.mean(votes, axis=-2) + LEFT * ops.exp(soft))

    def _log_weights(self, stacked: Any) -> Any:
        """Logarithms of the members' weights, `(…, n)` or `(n,)`."""
        if self.how == "weighted":
            return ops.log_softmax(ops.cast(self.scores, "float32"), axis=-1)
        if self.how != "stacking":
            return -ops.log(ops.full((self.num_members,), float(self.num_members)))
        if self.outputs == "logits":
            entropy = -ops.sum(ops.exp(stacked) * stacked, axis=-1)
            seen = ops.concatenate([ops.max(stacked, axis=-1), entropy], axis=-1)
        else:
            seen = ops.reshape(stacked, (*_axes(stacked)[:-2], self.num_members * stacked.shape[-1]))
        return ops.log_softmax(ops.cast(self.judge(ops.tanh(self.hidden(seen))), "float32"), axis=-1)

    def compute_output_shape(self, input_shape: Sequence[tuple]) -> tuple:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        names = ("num_members", "how", "outputs", "hidden_dim")
        config = {**super().get_config(), **{name: getattr(self, name) for name in names}}
        return {name: value for name, value in config.items() if name != "trainable"}


def _axes(x: Any) -> tuple[Any, ...]:
    """The sizes of a tensor, those that are not static read from it: at most one is a -1."""
    unknown = [size is None for size in x.shape]
    if sum(unknown) <= 1:
        return tuple(-1 if size is None else size for size in x.shape)
    return tuple(ops.shape(x))
