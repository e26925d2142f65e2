"""Several models as one: it answers for all of them, adapts, generates, is saved and exported like any other.

Axes: B batch, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import keras

from metagpt_tf.models.generating import Generating
from metagpt_tf.models.mixing import Mixing
from metagpt_tf.models.teacher_forcing import TeacherForced


class Fusing(keras.Model):
    """What fused models have in common: members, and how their answers are mixed.

    Args:
        members: built models of one kind; their weights become the fused model's, in their order.
        mixing: a `Mixing` of as many members.

    Raises:
        ValueError: another number of members than the mixing has.
    """

    def __init__(self, members: Sequence[keras.Model], mixing: Mixing, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(members) != mixing.num_members:
            raise ValueError(f"The mixing is of {mixing.num_members} members, received {len(members)}.")
        self.members, self.mixing = list(members), mixing

    def answers(self, inputs: Any, training: bool = False) -> list[Any]:
        """What each member says."""
        return [member(inputs, training=training) for member in self.members]

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.mixing(self.answers(inputs, training))

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "members": [serialize(member) for member in self.members],
            "mixing": serialize(self.mixing),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Fusing":
        config = dict(config)
        members = [keras.saving.deserialize_keras_object(member) for member in config.pop("members")]
        return cls(members, keras.saving.deserialize_keras_object(config.pop("mixing")), **config)


@keras.saving.register_keras_serializable("metagpt_tf")
class FusedModel(Fusing):
    """Models that predict, as one. `metagpt_tf.tuning.fuse` makes it.

    Args:
        members: built models whose inputs and outputs have one shape.
        mixing: a `Mixing` of as many members.

    Call arguments:
        inputs: what each member takes.
        training: bool, whether to drop.

    Returns:
        `(B, …, F)`, as each member's.

    Raises:
        ValueError: another number of members than the mixing has.

    Example:

    >>> members = [keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]) for _ in range(2)]
    >>> keras.ops.shape(FusedModel(members, Mixing(2))(keras.ops.ones((4, 2))))
    (4, 3)
    """

    def __init__(self, members: Sequence[keras.Model], mixing: Mixing, **kwargs: Any) -> None:
        super().__init__(members, mixing, **kwargs)
        self.mixing.build([tuple(member.outputs[0].shape) for member in self.members])
        self.built = True

    @property
    def inputs(self) -> list[Any]:
        """What it takes, as Keras says it of its own models."""
        return self.members[0].inputs

    @property
    def outputs(self) -> list[Any]:
        """What it answers."""
        return self.members[0].outputs

    @property
    def is_classifier(self) -> bool:
        """Whether the members choose among classes."""
        return getattr(self.members[0], "is_classifier", False)

    def input_example_spec(self) -> Any:
        """What one example of a classifier is, as the members say it."""
        first: Any = self.members[0]
        return first.input_example_spec()

    def build(self, input_shape: Any = None) -> None:
        """Nothing: members and mixing are built."""

    def default_loss(self) -> Any:
        """The members' own loss, if they bring one."""
        return getattr(self.members[0], "default_loss", lambda: None)()

    def default_metrics(self) -> Any:
        """The members' own metrics, if they bring some."""
        return getattr(self.members[0], "default_metrics", lambda: None)()

    def check_data(self, x: Any, y: Any) -> None:
        """Refuse data that a member refuses."""
        getattr(self.members[0], "check_data", lambda x, y: None)(x, y)


@keras.saving.register_keras_serializable("metagpt_tf")
class FusedGPT(Fusing, Generating, TeacherForced):
    """Models that write, as one: at each step all of them say what they expect, and one token is chosen.

    Args:
        members: built `MetaGPT`s of one tokenizer and of equal lengths.
        mixing: a `Mixing` of as many members.

    Call arguments:
        inputs: `(source (B, S) int32, decoder_input (B, T) int32)`.
        training: bool, whether to drop.

    Returns:
        Logarithms of probabilities `(B, T, V)` float32, which serve as logits.

    Raises:
        ValueError: another number of members than the mixing has.

    Example:

    >>> from metagpt_tf.models import MetaGPT
    >>> sizes = {"source_length": 8, "target_length": 8, "dim": 8, "num_heads": 2, "num_layers": 1}
    >>> model = FusedGPT([MetaGPT(**sizes), MetaGPT(**sizes)], Mixing(2))
    >>> isinstance(model.generate("ab", max_length=2), str)
    True
    """

    def __init__(self, members: Sequence[keras.Model], mixing: Mixing, **kwargs: Any) -> None:
        super().__init__(members, mixing, **kwargs)
        first: Any = self.members[0]
        self.tokenizer = first.tokenizer
        self.source_length, self.target_length = first.source_length, first.target_length
        self.mixing.build([(None, None, self.tokenizer.vocabulary_size)] * len(self.members))
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Nothing: members and mixing are built."""

    def start_cache(self, source: Any, batch_size: Any, max_length: int) -> Any:
        """What each member carries."""
        return tuple(member.start_cache(source, batch_size, max_length) for member in self.members)

    def decode_step(self, token: Any, position: Any, cache: Any) -> tuple[Any, Any]:
        """One step of all members: `token (B,)` to log-probabilities `(B, V)` and the new caches."""
        steps = [member.decode_step(token, position, own) for member, own in zip(self.members, cache, strict=True)]
        return self.mixing([logits for logits, _ in steps]), tuple(own for _, own in steps)
