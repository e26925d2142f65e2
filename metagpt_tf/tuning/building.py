"""From chosen values to a compiled learner: the hyper-parameters that have a name here, and what each changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from metagpt_tf.fast_weights import scope_variables
from metagpt_tf.meta import MetaLearner
from metagpt_tf.meta import registry as algorithms
from metagpt_tf.models import MetaGPT, cosine_annealing
from metagpt_tf.presets import find_preset
from metagpt_tf.registry import closest
from metagpt_tf.saving import load_learner
from metagpt_tf.tuning.space import Space

OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
    "adamw": keras.optimizers.AdamW,
}
SCHEDULES = ("constant", "exponential", "cosine", "warmup")
INNER = ("inner_learning_rate", "inner_steps", "scope", "algorithm", "rate_multiplier")
OUTER = ("learning_rate", "optimizer", "schedule")
EPISODES = ("meta_batch_size", "n_query")
MODEL = ("dropout", "num_layers", "dim", "num_heads", "hidden_dim")
KNOWN = (*INNER, *OUTER, *EPISODES, *MODEL)


def outer_optimizer(values: Mapping[str, Any], steps: int) -> keras.optimizers.Optimizer:
    """The outer loop's optimizer, with clipped gradients, for a training of so many steps.

    Args:
        values: `optimizer` (`"adam"`, `"rmsprop"`, `"sgd"`, `"adamw"`), `learning_rate`, and `schedule`: `"constant"`,
            `"exponential"` (to a hundredth), `"cosine"` (to 0), `"warmup"` (a tenth of the steps, then a cosine).
        steps: of the whole training.

    Raises:
        ValueError: an unknown name; the closest is suggested.

    Example:

    >>> type(outer_optimizer({"optimizer": "adamw", "schedule": "warmup"}, 100)).__name__
    'AdamW'
    """
    name, schedule = values.get("optimizer", "adam"), values.get("schedule", "constant")
    for kind, given, known in (("optimizer", name, OPTIMIZERS), ("schedule", schedule, SCHEDULES)):
        if given not in known:
            raise ValueError(f"Unknown {kind} {given!r}. {closest(str(given), known)}")
    rate: Any = float(values.get("learning_rate", 1e-3))
    if schedule == "exponential":
        rate = keras.optimizers.schedules.ExponentialDecay(rate, steps, 0.01)
    elif schedule != "constant":
        rate = cosine_annealing(rate, max(steps, 2), warmup_steps=steps // 10 if schedule == "warmup" else 0)
    return OPTIMIZERS[name](rate, clipnorm=1.0)


@dataclass(frozen=True)
class Base:
    """What the trials of a search begin with; values change it.

    A value of `MODEL` other than `dropout` makes another shape: that model begins with fresh weights. Everything else
    leaves the base's weights. The inner loop is the base's own until one of `algorithm`, `scope`, `inner_steps` or
    `inner_learning_rate` is chosen: then it begins anew, and rates that the base has learned are left behind.
    `rate_multiplier` keeps them and scales them.

    Attributes:
        learner: compiled, round a built model.
        trained: whether its weights are worth keeping.
        options: values that hold unless a trial chooses others, e.g. `{"learning_rate": 5e-4}`.
    """

    learner: MetaLearner
    trained: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, subject: Any, tokenizer: Any = None, **sizes: int) -> "Base":
        """A base made of a learner, a trained preset's name or directory, or a size such as `"nano"`.

        Args:
            subject: which.
            tokenizer: of a size.
            **sizes: constructor arguments of a size, e.g. `source_length`.

        Raises:
            TypeError: something else.
            ValueError: an unknown name (the closest is suggested), or a learner that is not compiled.
        """
        if isinstance(subject, MetaLearner):
            if not subject.compiled:
                raise ValueError("The learner is not compiled. Call learner.compile(optimizer, loss) first.")
            return cls(subject)
        if not isinstance(subject, str):
            raise TypeError(
                "A search begins with a compiled MetaLearner, the name of a preset or size, or a function of the "
                f"chosen values; received {type(subject).__name__}."
            )
        if find_preset(subject) is not None:
            return cls(load_learner(subject))
        learner = MetaLearner(MetaGPT.from_preset(subject, tokenizer=tokenizer or "bytes", **sizes), "maml")
        learner.compile()
        return cls(learner, trained=False)

    def __call__(self, values: Mapping[str, Any], steps: int) -> MetaLearner:
        """A compiled learner for chosen values and a training of so many outer steps."""
        values = {**self.options, **values}
        old = self.learner
        kept = (old.task_parallelism, old.rematerialize, old.keep_zeros)
        learner = MetaLearner(self._model(values), self._algorithm(values), *kept)
        if learner.algorithm.built and self._keeps_algorithm(values) and not self._new_shape(values):
            learner.algorithm.set_weights(old.algorithm.get_weights())
        if "rate_multiplier" in values:
            learner.algorithm.scale_rates(values["rate_multiplier"])
        given = old._given_metrics or []
        metrics = [type(m).from_config(m.get_config()) if isinstance(m, keras.metrics.Metric) else m for m in given]
        learner.compile(outer_optimizer(values, steps), old._given_loss, metrics)
        return learner

    def check(self, space: Space) -> None:
        """Say what cannot be, before anything is trained.

        Raises:
            ValueError: an unknown name, a choice that nothing knows, a scope that picks nothing, or a rate that is not
                above 0.
            TypeError: a model whose sizes cannot be chosen.
        """
        space.check_names(KNOWN)
        model = self.learner.model
        if any(name in MODEL for name in space.axes) and not isinstance(model, MetaGPT):
            raise TypeError(
                f"{', '.join(name for name in MODEL if name in space.axes)} are sizes of a MetaGPT, and the base is a "
                f"{type(model).__name__}. Give search a function that builds the learner."
            )
        for name in space.ends("algorithm"):
            algorithms.class_of(name)
        for scope in space.ends("scope"):
            scope_variables(model, scope)
        for name in ("optimizer", "schedule"):
            for given in space.ends(name):
                outer_optimizer({name: given}, 100)
        for name in ("inner_learning_rate", "learning_rate", "rate_multiplier"):
            if any(not value > 0 for value in space.ends(name)):
                raise ValueError(f"{name} must be above 0, the space has {space.ends(name)}.")
        if "rate_multiplier" in space.axes and not hasattr(self.learner.algorithm, "scale_rates"):
            kind = type(self.learner.algorithm).__name__
            raise ValueError(f"rate_multiplier scales the rates of MAML, and the base has {kind}. Leave it out.")
        self._check_sizes(space)
        self._check_ends(space)

    def _check_ends(self, space: Space) -> None:
        """Make what each choice and each end of a range asks for: constructors know what cannot be."""
        first = {**self.options, **space.first()}
        for name in space.axes:
            for value in space.ends(name):
                values = {**first, name: value}
                try:
                    if name in INNER and name != "rate_multiplier":
                        made = self._algorithm(values)
                        if "rate_multiplier" in space.axes and not hasattr(made, "scale_rates"):
                            raise TypeError(f"{type(made).__name__} has no rates that rate_multiplier could scale")
                    elif name in MODEL:
                        self._model(values)
                except (TypeError, ValueError) as error:
                    raise ValueError(f"The space has {name}={value!r}, which cannot be: {error}") from error

    def _check_sizes(self, space: Space) -> None:
        """Every pair of width and heads must fit; a MetaGPT says so only once it is made."""
        if not {"dim", "num_heads"} & set(space.axes):
            return
        config = self.learner.model.get_config()
        widths, heads = (space.whole(name) or [config[name]] for name in ("dim", "num_heads"))
        wrong = [(w, h) for w in widths for h in heads if w % h]
        if wrong:
            width, count = wrong[0]
            raise ValueError(f"dim must be a multiple of num_heads; the space has dim={width} with num_heads={count}.")

    def _new_shape(self, values: Mapping[str, Any]) -> bool:
        return any(name in values for name in MODEL if name != "dropout")

    def _model(self, values: Mapping[str, Any]) -> keras.Model:
        old = self.learner.model
        config = {**old.get_config(), **{name: values[name] for name in MODEL if name in values}}
        if "dim" in values and "hidden_dim" not in values and isinstance(old, MetaGPT):
            config["hidden_dim"] = None  # four times the width, as ever
        model = type(old).from_config(config)
        if self.trained and not self._new_shape(values):
            model.set_weights(old.get_weights())
        return model

    def _keeps_algorithm(self, values: Mapping[str, Any]) -> bool:
        return not any(name in values for name in INNER if name != "rate_multiplier")

    def _algorithm(self, values: Mapping[str, Any]) -> Any:
        old = self.learner.algorithm
        chosen = {name: values[name] for name in ("inner_learning_rate", "inner_steps", "scope") if name in values}
        if "algorithm" in values and algorithms.class_of(values["algorithm"]) is not type(old):
            # What an algorithm is defined by (ANIL's head, CAVIA's context) is its own.
            own = {} if values["algorithm"] in ("anil", "cavia") else {"scope": old.scope}
            given = {"inner_steps": old.inner_steps, "inner_learning_rate": old.inner_learning_rate, **own, **chosen}
            return algorithms.get(values["algorithm"], **given)
        return type(old).from_config({**old.get_config(), **chosen})
