"""ALFA: rates and decay generated from a task's own gradients."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.algorithm import Algorithm, registry
from metagpt_tf.meta.inner import Carry, LossOfWeights, Weights


@registry.register("alfa")
class ALFA(Algorithm):
    """MAML whose rate and weight decay are generated anew in each step, from where the task stands.

    `φ_{i+1} = b ∘ φ_i − a ∘ ∇L_support(φ_i)`, with one `a` and one `b` a tensor: a small network reads the mean
    gradient and the mean weight of each of the L tensors, `τ (2L,)`, and scales learned values of this step,
    `a = α_i (1 + g_a(τ))`, `b = β_i (1 + g_b(τ))`, with `α_i` from `inner_learning_rate` and `β_i` from 1 at first. The
    network starts at `g = 0`, where ALFA is MAML.

    Use it when tasks differ in how far they should move; it works from random initialisations too.

    Args:
        inner_steps: n; steps beyond n use the n-th's values.
        inner_learning_rate: first value of every `α_i`.
        scope: which weights a task adapts.
        first_order: ignore second derivatives of the inner gradients (the network still learns).
        inner_optimizer: `"sgd"`, `"momentum"` or `"adam"`.

    Raises:
        ValueError: a number of steps that is negative or not whole, or a rate that is not positive.

    Example:

    >>> ALFA(inner_steps=3).inner_steps
    3

    Reference: Baik et al., 2020, "Meta-Learning with Adaptive Hyperparameters".
    """

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        tensors, steps = len(shapes), max(self.inner_steps, 1)
        add, rate = self._add, keras.initializers.Constant(self.inner_learning_rate)
        self.step_rates = add("rates", (steps, tensors), rate)
        self.step_decays = add("decays", (steps, tensors), "ones")
        width = 2 * tensors
        self.network = [
            (
                add(f"kernel_{i}", (width, width), "glorot_uniform" if i < 2 else "zeros"),
                add(f"bias_{i}", (width,), "zeros"),
            )
            for i in range(3)
        ]
        super().build(shapes)

    def _add(self, name: str, shape: tuple[int, ...], initializer: Any) -> keras.Variable:
        return self.add_weight(shape=shape, initializer=initializer, name=name, dtype="float32")

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        if self.step_rates.shape[1] != len(shapes):
            raise ValueError(
                f"This ALFA was made for {self.step_rates.shape[1]} weights; scope {self.scope!r} now picks "
                f"{len(shapes)}. Make a new ALFA for another model or other trainable layers."
            )

    def step(self, carry: Carry, support_loss: LossOfWeights, rate_multiplier: Any = 1.0) -> tuple[Carry, tf.Tensor]:
        loss, gradients = self.gradients(carry.weights, support_loss)
        rates, decays = self.generate(carry, gradients)
        rates = [rate * rate_multiplier for rate in rates]
        kept = [tf.cast(b, w.dtype) * w for b, w in zip(decays, carry.weights, strict=True)]
        weights, slots = self.inner_optimizer.apply(kept, gradients, rates, carry.slots, carry.index)
        return Carry(weights, slots, carry.index + 1), loss

    def generate(self, carry: Carry, gradients: Weights) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Rate and decay of each tensor, scalars."""
        means = [tf.reduce_mean(tf.cast(t, tf.float32)) for t in (*gradients, *carry.weights)]
        x = tf.stack(means)[None]
        for i, (kernel, bias) in enumerate(self.network):
            x = tf.matmul(x, tf.convert_to_tensor(kernel)) + tf.convert_to_tensor(bias)
            x = tf.maximum(x, 0.0) if i < 2 else x
        scale_rates, scale_decays = tf.split(1.0 + x[0], 2)
        index = tf.minimum(carry.index, self.step_rates.shape[0] - 1)
        rates = tf.gather(tf.convert_to_tensor(self.step_rates), index) * scale_rates
        decays = tf.gather(tf.convert_to_tensor(self.step_decays), index) * scale_decays
        return tf.unstack(rates), tf.unstack(decays)
