"""The same meta-training step in PyTorch: `torch.func.functional_call`, `grad` and `vmap`, `torch.optim.Adam`.

Of the algorithms that `meta_jax` has.

Axes: N rows, T target, S source, D width, H heads, E width of a head.
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import functional as F

from contestants.base import Contestant
from contestants.meta_data import (
    FIRST_ORDER,
    PAD,
    VOCABULARY,
    adapted,
    decoder_input,
    episode,
    load_weights,
    positions,
)

MASKED = -1e9
Weights = dict[str, torch.Tensor]


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))


class Linear(nn.Module):
    def __init__(self, dim: int, units: int) -> None:
        super().__init__()
        self.kernel, self.bias = parameter(dim, units), parameter(units)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.kernel + self.bias


class Adapter(nn.Module):
    def __init__(self, dim: int, rank: int = 4) -> None:
        super().__init__()
        self.low_rank_down, self.low_rank_up = parameter(dim, rank), parameter(rank, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.low_rank_down @ self.low_rank_up


class Norm(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma, self.beta = parameter(dim), parameter(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Written out: the second derivative of F.layer_norm under vmap is wrong in the third digit (PyTorch 2.13).
        x = x - x.mean(-1, keepdim=True)
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * self.gamma + self.beta


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (Linear(dim, dim) for _ in range(4))
        self.query_adapter, self.value_adapter = Adapter(dim), Adapter(dim)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        q = self._split(self.query(x) + self.query_adapter(x)) * (x.shape[-1] // self.heads) ** -0.5
        k, v = self._split(self.key(memory)), self._split(self.value(memory) + self.value_adapter(memory))
        weights = torch.softmax(q @ k.transpose(-1, -2) + mask, dim=-1)
        return self.output((weights @ v).transpose(1, 2).reshape(x.shape))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.up, self.down = Linear(dim, hidden), Linear(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(torch.relu(self.up(x)))


def framed_norm(dim: int) -> nn.ModuleDict:
    """A norm under the name that ours has it under."""
    return nn.ModuleDict({"norm": Norm(dim)})


class Layer(nn.Module):
    """An encoder layer; with `cross`, a decoder layer."""

    def __init__(self, dim: int, heads: int, hidden: int, cross: bool) -> None:
        super().__init__()
        self.self_attention, self.self_attention_residual = Attention(dim, heads), framed_norm(dim)
        if cross:
            self.cross_attention, self.cross_attention_residual = Attention(dim, heads), framed_norm(dim)
        self.feed_forward, self.feed_forward_residual = FeedForward(dim, hidden), framed_norm(dim)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, memory: Any = None, memory_mask: Any = None) -> torch.Tensor:
        h = self.self_attention_residual["norm"](x)
        x = x + self.self_attention(h, h, mask)
        if memory is not None:
            x = x + self.cross_attention(self.cross_attention_residual["norm"](x), memory, memory_mask)
        return x + self.feed_forward(self.feed_forward_residual["norm"](x))


class Model(nn.Module):
    """MetaGPT with the names of its weights: `load_state_dict` is strict, so each has exactly one place."""

    def __init__(self, dim: int, heads: int, layers: int, hidden: int, length: int) -> None:
        super().__init__()
        self.layers = layers
        self.embedding = nn.ParameterDict({"embeddings": parameter(VOCABULARY, dim)})
        self.context = nn.ParameterDict({"context": parameter(4, dim)})
        stack = {f"layer_{i}": Layer(dim, heads, hidden, cross=False) for i in range(layers)}
        self.encoder = nn.ModuleDict({**stack, "final_norm": Norm(dim)})
        self.decoder = nn.ModuleDict({f"layer_{i}": Layer(dim, heads, hidden, cross=True) for i in range(layers)})
        self.head = nn.ModuleDict({"norm": Norm(dim)})
        self.head.register_parameter("bias", parameter(VOCABULARY))
        self.register_buffer("positions", torch.from_numpy(positions(length, dim)), persistent=False)
        self.register_buffer("causal", torch.full((length, length), MASKED).triu(1), persistent=False)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        memory, mask = self._encode(source)
        x = self._embed(decoder_input(target, functools.partial(torch.cat, dim=-1)))
        for i in range(self.layers):
            x = self.decoder[f"layer_{i}"](x, self.causal, memory, mask)
        return self.head["norm"](x) @ self.embedding["embeddings"].T + self.head.bias

    def _encode(self, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        context = self.context["context"]
        x = torch.cat([self._embed(source), context.expand(len(source), -1, -1)], dim=1)
        mask = F.pad((source == PAD).float() * MASKED, (0, len(context)))[:, None, None]
        for i in range(self.layers):
            x = self.encoder[f"layer_{i}"](x, mask)
        return self.encoder["final_norm"](x), mask

    def _embed(self, ids: torch.Tensor) -> torch.Tensor:
        table = self.embedding["embeddings"]
        return F.embedding(ids, table) * table.shape[1] ** 0.5 + self.positions


def crossentropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over the tokens that are not padding."""
    picked = torch.log_softmax(logits, -1).gather(-1, target[..., None])[..., 0]
    keep = (target != PAD).float()
    return -(picked * keep).sum() / keep.sum()


class Torch(Contestant):
    """The step run eagerly, as `torch.func` is used."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        torch.set_num_threads(settings["cores"])
        sizes = [settings[name] for name in ("dim", "heads", "layers", "hidden", "length")]
        self.model = Model(*sizes)
        weights = load_weights(settings["weights"])
        self.model.load_state_dict({n.replace("/", "."): torch.from_numpy(v) for n, v in weights.items()})
        self.batch = tuple(torch.from_numpy(a.astype(np.int64)) for a in episode(settings))
        self.parameters = dict(self.model.named_parameters())
        self.scope = [n.replace("/", ".") for n in adapted(settings["algorithm"], weights)]
        self.rates = self._first_rates()
        learned = [*self.parameters.values(), *self.rates.values()]
        self.optimizer = torch.optim.Adam(learned, settings["outer_learning_rate"])
        self.reptile, self.count = settings["algorithm"] == "reptile", 0
        losses = [self._meta_step() for _ in range(settings["checked_steps"])]
        names = ("loss", "pre_loss", "support_loss")
        self.facts = {name: [float(step[i]) for step in losses] for i, name in enumerate(names)}

    def step(self) -> None:
        self._meta_step()

    def _first_rates(self) -> dict[str, torch.Tensor]:
        """Meta-SGD's rates, learned with the weights; no other algorithm learns any."""
        if self.settings["algorithm"] != "meta_sgd":
            return {}
        rate = self.settings["inner_learning_rate"]
        return {n: torch.full_like(w, rate, requires_grad=True) for n, w in self.parameters.items()}

    def _meta_step(self) -> tuple[torch.Tensor, ...]:
        self.count += 1
        # Keras and Kingma & Ba's section 2 add epsilon before the bias of the second moment is corrected, PyTorch
        # after.
        self.optimizer.param_groups[0]["eps"] = 1e-7 / (1 - 0.999**self.count) ** 0.5
        self.optimizer.zero_grad()
        query, before, support = self._reptile_gradients() if self.reptile else self._gradients()
        self.optimizer.step()
        return query.detach(), before.detach(), support.detach()

    def _gradients(self) -> tuple[torch.Tensor, ...]:
        _, *losses = vmap(self._task, in_dims=(None, None, 0))(self.parameters, self.rates, self.batch)
        query, before, support = (loss.mean() for loss in losses)
        query.backward()
        return query, before, support

    @torch.no_grad()
    def _reptile_gradients(self) -> tuple[torch.Tensor, ...]:
        """The outer gradient is the move itself: nothing is differentiated beyond the inner steps."""
        fast, *losses = vmap(self._task, in_dims=(None, None, 0))(self.parameters, self.rates, self.batch)
        for name, weight in self.parameters.items():
            weight.grad = weight - fast[name].mean(0)
        return tuple(loss.mean() for loss in losses)

    def _task(self, weights: Weights, rates: Weights, task: tuple) -> tuple[Any, ...]:
        """Fast weights; query loss after and before, and support loss at the last inner step."""
        support_x, support_y, query_x, query_y = task
        with torch.no_grad():
            before = self._loss_of({}, weights, query_x, query_y)
        fast, support = {n: weights[n] for n in self.scope}, before
        rates = rates or dict.fromkeys(fast, self.settings["inner_learning_rate"])
        for _ in range(self.settings["inner_steps"]):
            gradients, support = grad_and_value(self._loss_of)(fast, weights, support_x, support_y)
            if self.settings["algorithm"] in FIRST_ORDER:
                gradients = {n: g.detach() for n, g in gradients.items()}
            fast = {n: w - rates[n] * gradients[n] for n, w in fast.items()}
        return fast, self._loss_of(fast, weights, query_x, query_y), before, support.detach()

    def _loss_of(self, fast: Weights, weights: Weights, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return crossentropy(functional_call(self.model, {**weights, **fast}, (x, y)), y)
