"""The signatures of a SavedModel, as TF Serving offers them: dynamic batch and support size, text in and text out.

Axes: B batch, K support, P state.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from metagpt_tf.export.signatures import Exported, traced
from metagpt_tf.export.state_mark import checked, marked
from metagpt_tf.generation.per_request import Settings
from metagpt_tf.models.drawing import Drawing

Functions = dict[str, Any]


def saved_model_signatures(exported: Exported, target: Any = None, drawing: Drawing | None = None) -> Functions:
    """Every signature that a model, or a learner round it, has; see `export_saved_model`."""
    functions = _answers(exported, target)
    if drawing is not None:
        functions["draw"] = traced(
            lambda text, *s: _png(drawing, exported.sample_ids(text, Settings(*s))), _texts("text"), *_settings()
        )
    if exported.learner is not None:
        functions |= _adaptation(exported, target)
        functions |= _adapted_answers(exported, target, drawing)
    return functions


def _png(drawing: Drawing, ids: tf.Tensor) -> dict[str, tf.Tensor]:
    """PNG files, under a name that tells a server to write them in base64, and whether each was written whole."""
    png, whole = drawing.png_of(ids)
    return {"png_bytes": png, "whole": whole}


def _answers(exported: Exported, target: Any) -> Functions:
    """What a model answers as it is."""
    if exported.is_generator:
        source, text = exported.input_spec(None, "source"), _texts("text")
        return {
            "serving_default": traced(lambda text: {"text": exported.generate_text(text)}, text),
            "generate": traced(lambda source: {"output": exported.generate(source)}, source),
            "sample": traced(lambda text, *s: {"text": exported.sample_text(text, Settings(*s))}, text, *_settings()),
            "score": traced(
                lambda source, target: {"loss": exported.score(*exported.encoded(source, target))},
                *(_texts("source"), _texts("target")),
            ),
        }
    x = exported.input_spec(None, "x")
    functions = {"serving_default": traced(lambda x: {"output": exported.predict(x)}, x)}
    if exported.is_classifier:
        functions["classify"] = traced(exported.classify, x)
    if exported.learner or exported.is_classifier or (target is not None and exported.row_loss is not None):
        y = exported.target_spec(None, "y", target)
        functions["score"] = traced(lambda x, y: {"loss": exported.score(x, y)}, x, y)
    return functions


def _adaptation(exported: Exported, target: Any) -> Functions:
    """From a support set to a state, which is marked as this model's."""
    mark = exported.mark
    functions = {
        "adapt": traced(
            lambda support_x, support_y: {"state": marked(exported.adapt(support_x, support_y), mark)},
            exported.input_spec(None, "support_x"),
            exported.target_spec(None, "support_y", target),
        )
    }
    if exported.is_generator:
        functions["adapt_text"] = traced(
            lambda support_source, support_target: {
                "state": marked(exported.adapt(*exported.encoded(support_source, support_target)), mark)
            },
            *(_texts("support_source"), _texts("support_target")),
        )
    return functions


def _adapted_answers(exported: Exported, target: Any, drawing: Drawing | None) -> Functions:
    """What a model answers with a state; one of another model is refused."""
    state = tf.TensorSpec((exported.layout.size,), tf.float32, name="state")
    mark = exported.mark

    def with_state(function: Callable[..., Any], *specs: tf.TensorSpec) -> Any:
        """A signature of these inputs and then a state, which is looked at before it is used."""

        def run(*inputs: Any) -> dict[str, tf.Tensor]:
            *others, given = inputs
            return function(*others, checked(given, mark))

        return traced(run, *specs, state)

    functions: Functions = {}
    if drawing is not None:
        functions["draw_adapted"] = with_state(
            lambda prompt, *rest: _png(drawing, exported.sample_ids(prompt, Settings(*rest[:-1]), rest[-1])),
            *(_texts("prompt"), *_settings()),
        )
    if exported.is_generator:
        return functions | {
            "generate_adapted": with_state(
                lambda prompt, state: {"text": exported.generate_text(prompt, state)}, _texts("prompt")
            ),
            "generate_adapted_ids": with_state(
                lambda source, state: {"output": exported.generate(source, state)}, exported.input_spec(None, "source")
            ),
            "sample_adapted": with_state(
                lambda prompt, *rest: {"text": exported.sample_text(prompt, Settings(*rest[:-1]), rest[-1])},
                *(_texts("prompt"), *_settings()),
            ),
            "score_adapted": with_state(
                lambda source, target, state: {"loss": exported.score(*exported.encoded(source, target), state)},
                *(_texts("source"), _texts("target")),
            ),
        }
    x, y = exported.input_spec(None, "x"), exported.target_spec(None, "y", target)
    functions = {
        "predict_adapted": with_state(lambda x, state: {"output": exported.predict(x, state)}, x),
        "score_adapted": with_state(lambda x, y, state: {"loss": exported.score(x, y, state)}, x, y),
    }
    if exported.is_classifier:
        functions["classify_adapted"] = with_state(exported.classify, x)
    return functions


def _texts(name: str) -> tf.TensorSpec:
    return tf.TensorSpec((None,), tf.string, name=name)


def _settings() -> list[tf.TensorSpec]:
    """One value a row for each field of `Settings`."""
    kinds = {"temperature": tf.float32, "top_p": tf.float32}
    return [tf.TensorSpec((None,), kinds.get(name, tf.int32), name=name) for name in Settings._fields]
