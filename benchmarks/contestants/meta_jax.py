"""The same meta-training step in JAX: `jit`, `vmap` over tasks, the gradient of the query loss through the inner steps.

Of MAML and FOMAML, Meta-SGD (a learned rate for each parameter), ANIL (only the head adapts) and Reptile (the outer
gradient is the move itself).

Axes: N rows, T target, S source, C context, D width, H heads, E width of a head.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from contestants.base import Contestant
from contestants.meta_data import FIRST_ORDER, PAD, adapted, decoder_input, episode, load_weights, positions

MASKED = -1e9
Weights = dict[str, jax.Array]
Learned = dict[str, Weights]


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One product of all rows: about a tenth faster a step than leaving the axes of a batch apart."""
    return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], -1)


def linear(w: Weights, name: str, x: jax.Array) -> jax.Array:
    return product(x, w[f"{name}/kernel"]) + w[f"{name}/bias"]


def norm(w: Weights, name: str, x: jax.Array) -> jax.Array:
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w[f"{name}/gamma"] + w[f"{name}/beta"]


def adapted_linear(w: Weights, name: str, x: jax.Array) -> jax.Array:
    """A projection and the low-rank adapter beside it."""
    low = product(x, w[f"{name}_adapter/low_rank_down"])
    return linear(w, name, x) + product(low, w[f"{name}_adapter/low_rank_up"])


def attention(w: Weights, name: str, x: jax.Array, memory: jax.Array, mask: jax.Array, heads: int) -> jax.Array:
    split = lambda y: y.reshape(*y.shape[:2], heads, -1)  # noqa: E731
    q = split(adapted_linear(w, f"{name}/query", x)) * (x.shape[-1] // heads) ** -0.5
    k, v = split(linear(w, f"{name}/key", memory)), split(adapted_linear(w, f"{name}/value", memory))
    weights = jax.nn.softmax(jnp.einsum("nthe,nshe->nhts", q, k) + mask, axis=-1)
    return linear(w, f"{name}/output", jnp.einsum("nhts,nshe->nthe", weights, v).reshape(x.shape))


def feed_forward(w: Weights, name: str, x: jax.Array) -> jax.Array:
    return linear(w, f"{name}/feed_forward/down", jnp.maximum(linear(w, f"{name}/feed_forward/up", x), 0))


def embed(w: Weights, ids: jax.Array) -> jax.Array:
    table = w["embedding/embeddings"]
    return table[ids] * table.shape[1] ** 0.5 + positions(ids.shape[1], table.shape[1])


def encode(w: Weights, source: jax.Array, layers: int, heads: int) -> tuple[jax.Array, jax.Array]:
    context = w["context/context"]
    x = jnp.concatenate([embed(w, source), jnp.broadcast_to(context, (len(source), *context.shape))], axis=1)
    mask = jnp.pad(jnp.where(source == PAD, MASKED, 0.0), ((0, 0), (0, len(context))))[:, None, None]
    for i in range(layers):
        name = f"encoder/layer_{i}"
        h = norm(w, f"{name}/self_attention_residual/norm", x)
        x = x + attention(w, f"{name}/self_attention", h, h, mask, heads)
        x = x + feed_forward(w, name, norm(w, f"{name}/feed_forward_residual/norm", x))
    return norm(w, "encoder/final_norm", x), mask


def logits_of(w: Weights, source: jax.Array, target: jax.Array, layers: int, heads: int) -> jax.Array:
    memory, mask = encode(w, source, layers, heads)
    length = target.shape[1]
    causal = jnp.triu(jnp.full((length, length), MASKED), 1)
    x = embed(w, decoder_input(target, functools.partial(jnp.concatenate, axis=-1)))
    for i in range(layers):
        name = f"decoder/layer_{i}"
        h = norm(w, f"{name}/self_attention_residual/norm", x)
        x = x + attention(w, f"{name}/self_attention", h, h, causal, heads)
        h = norm(w, f"{name}/cross_attention_residual/norm", x)
        x = x + attention(w, f"{name}/cross_attention", h, memory, mask, heads)
        x = x + feed_forward(w, name, norm(w, f"{name}/feed_forward_residual/norm", x))
    return product(norm(w, "head/norm", x), w["embedding/embeddings"].T) + w["head/bias"]


def crossentropy(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Mean over the tokens that are not padding."""
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), target[..., None], axis=-1)[..., 0]
    keep = target != PAD
    return -(picked * keep).sum() / keep.sum()


class Jax(Contestant):
    """One jitted step; weights and Adam's moments are donated, so that it updates in place as the others do."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self.batch = tuple(jnp.asarray(a) for a in episode(settings))
        weights = {n: jnp.asarray(v) for n, v in load_weights(settings["weights"]).items()}
        self.scope = adapted(settings["algorithm"], weights)
        learned = {"weights": weights, "rates": self._first_rates(weights)}
        zeros = jax.tree.map(jnp.zeros_like, learned)
        self.state = (learned, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros((), jnp.int32))
        self.run = jax.jit(self._meta_step, donate_argnums=0)
        losses = [self._advance() for _ in range(settings["checked_steps"])]
        names = ("loss", "pre_loss", "support_loss")
        self.facts = {name: [float(step[i]) for step in losses] for i, name in enumerate(names)}

    def step(self) -> None:
        self._advance()

    def _advance(self) -> tuple[jax.Array, ...]:
        self.state, losses = self.run(self.state, self.batch)
        jax.block_until_ready(self.state)
        return losses

    def _first_rates(self, weights: Weights) -> Weights:
        """Meta-SGD's rates, learned with the weights; no other algorithm learns any."""
        if self.settings["algorithm"] != "meta_sgd":
            return {}
        return {n: jnp.full_like(w, self.settings["inner_learning_rate"]) for n, w in weights.items()}

    def _meta_step(self, state: tuple, batch: tuple) -> tuple[tuple, tuple]:
        def objective(learned: Learned) -> tuple[jax.Array, tuple]:
            fast, *losses = jax.vmap(self._task, in_axes=(None, 0))(learned, batch)
            query, before, support = (loss.mean() for loss in losses)
            return query, (fast, (query, before, support))

        if self.settings["algorithm"] == "reptile":
            _, (fast, losses) = objective(state[0])
            moves = jax.tree.map(lambda w, f: w - f.mean(0), state[0]["weights"], fast)
            gradients = {**state[0], "weights": moves}
        else:
            gradients, (_, losses) = jax.grad(objective, has_aux=True)(state[0])
        return adam(state, gradients, self.settings["outer_learning_rate"]), losses

    def _task(self, learned: Learned, task: tuple) -> tuple[Weights, jax.Array, jax.Array, jax.Array]:
        """Fast weights; query loss after and before, and support loss at the last inner step."""
        support_x, support_y, query_x, query_y = task
        weights = learned["weights"]
        before = jax.lax.stop_gradient(self._loss_of({}, weights, query_x, query_y))
        fast, support = {n: weights[n] for n in self.scope}, before
        for _ in range(self.settings["inner_steps"]):
            support, gradients = jax.value_and_grad(self._loss_of)(fast, weights, support_x, support_y)
            if self.settings["algorithm"] in FIRST_ORDER:
                gradients = jax.lax.stop_gradient(gradients)
            rates = learned["rates"] or dict.fromkeys(fast, self.settings["inner_learning_rate"])
            fast = {n: w - rates[n] * gradients[n] for n, w in fast.items()}
        return fast, self._loss_of(fast, weights, query_x, query_y), before, jax.lax.stop_gradient(support)

    def _loss_of(self, fast: Weights, weights: Weights, x: jax.Array, y: jax.Array) -> jax.Array:
        merged = {**weights, **fast}
        return crossentropy(logits_of(merged, x, y, self.settings["layers"], self.settings["heads"]), y)


def adam(state: tuple, gradients: Learned, rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-7) -> tuple:
    """Kingma & Ba, 2015, with Keras's constants."""
    weights, mean, square, count = state
    count = count + 1
    rate = rate * jnp.sqrt(1 - b2**count) / (1 - b1**count)
    mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, mean, gradients)
    square = jax.tree.map(lambda s, g: b2 * s + (1 - b2) * g * g, square, gradients)
    weights = jax.tree.map(lambda w, m, s: w - rate * m / (jnp.sqrt(s) + eps), weights, mean, square)
    return weights, mean, square, count
