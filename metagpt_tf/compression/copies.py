"""Copies to compress: what was trained stays as it is."""

from typing import Any

import keras

from metagpt_tf.meta import MetaLearner


def copy_of(subject: Any, optimizer: Any = None, **changes: Any) -> Any:
    """A model or learner with weights of its own and a fresh optimizer, compiled as the subject is.

    Args:
        subject: a built model, or a learner round one.
        optimizer: of the copy; `None` for the subject's, begun anew.
        **changes: constructor arguments of a learner that differ.

    Raises:
        ValueError: a model that is not built or not compiled.
    """
    if not subject.built or not subject.compiled:
        raise ValueError(
            f"{type(subject).__name__} {subject.name!r} must be built and compiled before it is compressed: what is "
            "taken away is trained round. Call compile(optimizer, loss) first."
        )
    changes = changes if isinstance(subject, MetaLearner) else {}
    copied = type(subject).from_config({**subject.get_config(), **changes})
    copied.set_weights(subject.get_weights())
    return compiled_like(copied, subject, optimizer)


def compiled_like(model: Any, subject: Any, optimizer: Any = None) -> Any:
    """Compile a model with the subject's loss and metrics and a fresh optimizer, and return it."""
    fresh = keras.optimizers.get(optimizer) if optimizer is not None else _afresh(subject.optimizer)
    if isinstance(subject, MetaLearner):  # by hand: a config has no place for a function of the user's own
        metrics = [_afresh(m) if isinstance(m, keras.metrics.Metric) else m for m in subject._given_metrics or []]
        model.compile(
            fresh,
            subject._given_loss,
            metrics or None,
            run_eagerly=subject.run_eagerly,
            steps_per_execution=subject.steps_per_execution,
        )
        return model
    config = dict(subject.get_compile_config())
    config["optimizer"] = keras.saving.serialize_keras_object(fresh)
    model.compile_from_config(config)
    return model


def _afresh(part: Any) -> Any:
    """Another of the same configuration, without what it has seen."""
    return type(part).from_config(part.get_config())
