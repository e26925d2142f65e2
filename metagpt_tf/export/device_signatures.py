"""The signatures of a LiteRT file: static shapes, and nothing that has no builtin operation.

Axes: B batch, K support, S source, T target, V vocabulary, P state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from metagpt_tf.export.signatures import Exported, traced
from metagpt_tf.generation.per_request import PerRequest, Settings
from metagpt_tf.models.drawing import Drawing
from metagpt_tf.registry import closest

Functions = dict[str, Any]

EXTRAS = ("sample", "score", "stream", "draw", "loss")


@dataclass(frozen=True)
class DeviceShapes:
    """What is fixed when a file is written.

    Attributes:
        k_shot: K.
        batch_size: B.
        target: spec of one training target, see `export_saved_model`.
        extras: signatures beside `adapt` and `generate` or `predict`.
        drawing: of a model that draws.
    """

    k_shot: int = 8
    batch_size: int = 1
    target: tf.TensorSpec | None = None
    extras: Sequence[str] = field(default=())
    drawing: Drawing | None = None

    def check(self, is_generator: bool) -> None:
        """Raise a ValueError for sizes below 1, and for an extra that is unknown or that the model cannot have."""
        if self.k_shot < 1 or self.batch_size < 1:
            raise ValueError(f"k_shot and batch_size must be >= 1, received {self.k_shot} and {self.batch_size}.")
        for name in self.extras:
            if name not in EXTRAS:
                raise ValueError(f"Unknown extra {name!r}. {closest(str(name), EXTRAS)}")
            if name in ("sample", "stream") and not is_generator:
                raise ValueError(f"{name!r} is of models that generate text, and this one does not. Leave it out.")
        if "draw" in self.extras and self.drawing is None:
            raise ValueError("'draw' needs autoencoder=…, the one whose codes the model writes.")


def device_signatures(exported: Exported, shapes: DeviceShapes) -> Functions:
    """`adapt`, `generate` or `predict`, and the extras that are asked for, by name; see `export_litert`."""
    state = tf.TensorSpec((exported.layout.size,), tf.float32, name="state")
    rows, k_shot = shapes.batch_size, shapes.k_shot
    functions: Functions = {
        "adapt": traced(
            lambda support_x, support_y: {"state": exported.adapt(support_x, support_y)},
            exported.input_spec(k_shot, "support_x"),
            exported.target_spec(k_shot, "support_y", shapes.target),
        )
    }
    if exported.is_generator:
        source = exported.input_spec(rows, "source")
        functions["generate"] = traced(
            lambda source, state: {"output": exported.decode_on_device(source, state)}, source, state
        )
    else:
        functions["predict"] = traced(
            lambda x, state: {"output": exported.predict(x, state)}, exported.input_spec(rows, "x"), state
        )
    makers: dict[str, Callable[[Exported, DeviceShapes, tf.TensorSpec], Functions]] = {
        "sample": _sample,
        "score": _score,
        "stream": _stream,
        "draw": _draw,
        "loss": _loss,
    }
    for name in EXTRAS:
        if name in shapes.extras:
            functions |= makers[name](exported, shapes, state)
    return functions


def _sample(exported: Exported, shapes: DeviceShapes, state: tf.TensorSpec) -> Functions:
    """Random operations of LiteRT repeat themselves, so the noise, Gumbel's, comes from outside."""
    rows = shapes.batch_size
    vocabulary = exported.model.tokenizer.vocabulary_size

    def sample(source: Any, state: Any, noise: Any, temperature: Any, top_k: Any, top_p: Any) -> Functions:
        settings = Settings(temperature, top_k, top_p, seed=None, max_length=None)
        return {"output": exported.decode_on_device(source, state, PerRequest(settings), noise)}

    return {
        "sample": traced(
            sample,
            exported.input_spec(rows, "source"),
            state,
            tf.TensorSpec((rows, exported.target_length, vocabulary), tf.float32, name="noise"),
            tf.TensorSpec((rows,), tf.float32, name="temperature"),
            tf.TensorSpec((rows,), tf.int32, name="top_k"),
            tf.TensorSpec((rows,), tf.float32, name="top_p"),
        )
    }


def _score(exported: Exported, shapes: DeviceShapes, state: tf.TensorSpec) -> Functions:
    names = ("source", "target") if exported.is_generator else ("x", "y")
    specs = exported.input_spec(shapes.k_shot, names[0]), exported.target_spec(shapes.k_shot, names[1], shapes.target)
    return {"score": traced(lambda x, y, state: {"loss": exported.score_rows(x, y, state)}, *specs, state)}


def _loss(exported: Exported, shapes: DeviceShapes, state: tf.TensorSpec) -> Functions:
    specs = exported.input_spec(shapes.k_shot, "x"), exported.target_spec(shapes.k_shot, "y", shapes.target)
    return {"loss": traced(lambda x, y, state: {"loss": exported.loss(x, y, state)}, *specs, state)}


def _stream(exported: Exported, shapes: DeviceShapes, state: tf.TensorSpec) -> Functions:
    """`start` reads the source, `step` writes one token; between the two the caller carries the cache.

    `step` returns what changes of it: an output that is an input as it came has no values in LiteRT.js.
    """
    structure: list[Any] = []

    def start(source: Any, state: Any) -> Functions:
        cache = exported.start(source, state)
        structure[:] = [cache]
        return {f"cache_{i}": _own(part, source, i) for i, part in enumerate(tf.nest.flatten(cache))}

    def step(token: Any, position: Any, state: Any, *parts: Any) -> Functions:
        cache = tf.nest.pack_sequence_as(structure[0], parts)
        logits, cache = exported.step(token, position[0], cache, state)
        changed = {f"cache_{i}": part for i, part in enumerate(tf.nest.flatten(cache)) if part is not parts[i]}
        return {"logits": logits, **changed}

    source = exported.input_spec(shapes.batch_size, "source")
    made = tf.function(start, input_signature=(source, state), autograph=False).get_concrete_function()
    specs = [tf.TensorSpec(t.shape, t.dtype, name=f"cache_{i}") for i, t in enumerate(_flat(made.structured_outputs))]
    token = tf.TensorSpec((shapes.batch_size,), tf.int32, name="token")
    position = tf.TensorSpec((1,), tf.int32, name="position")
    return {"start": traced(start, source, state), "step": traced(step, token, position, state, *specs)}


def _own(part: Any, source: Any, number: int) -> Any:
    """The tensor, as one that no other output shares: of several empty caches LiteRT.js returns only the last."""
    nothing = tf.minimum(tf.reduce_min(source) + number, 0)  # ids are not negative; a converter cannot know
    return part + tf.cast(nothing, part.dtype)


def _flat(outputs: dict[str, Any]) -> list[Any]:
    return [outputs[f"cache_{i}"] for i in range(len(outputs))]


def _draw(exported: Exported, shapes: DeviceShapes, state: tf.TensorSpec) -> Functions:
    """Ids to an image, and K images to the ids that a support set gives as their targets."""
    drawing, rows = shapes.drawing, shapes.batch_size
    if drawing is None:
        raise ValueError("'draw' needs autoencoder=…, the one whose codes the model writes.")

    def draw(output: Any) -> Functions:
        images, whole = drawing.images_of(output)
        return {"image": images, "whole": tf.cast(whole, tf.int32)}

    image = tf.TensorSpec((shapes.k_shot, *drawing.autoencoder.image_shape), tf.float32, name="image")
    return {
        "draw": traced(draw, tf.TensorSpec((rows, exported.target_length), tf.int32, name="output")),
        "encode": traced(lambda image: {"target": drawing.ids_of(image, exported.target_length)}, image),
    }
