"""SavedModel export: a versioned directory that TF Serving loads, and that adapts without Keras."""

import os
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.export.serving_signatures import saved_model_signatures
from metagpt_tf.export.signatures import Exported
from metagpt_tf.export.warmup import write_warmup
from metagpt_tf.files import written_aside
from metagpt_tf.models import ImageAutoencoder
from metagpt_tf.models.drawing import Drawing


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike,
    version: int | None = None,
    target: tf.TensorSpec | None = None,
    storage: str = "float32",
    autoencoder: ImageAutoencoder | None = None,
) -> Path:
    """Write `<path>/<version>/`, a SavedModel for TF Serving or `tf.saved_model.load` (no Keras needed to read it).

    Signatures of a text generator: `serving_default(text) -> text` and `generate(source) -> output` (ids), both greedy;
    `sample(text, temperature, top_k, top_p, seed, max_length) -> text`, one value of each a row; `score(source, target)
    -> loss`, mean nats a token of each row. Of a `MetaLearner` also `adapt(support_x, support_y) -> state` (ids),
    `adapt_text(support_source, support_target) -> state`, and with a state `generate_adapted(prompt, state) -> text`,
    `generate_adapted_ids(source, state) -> output`, `sample_adapted`, `score_adapted`.

    Of any other model: `serving_default(x) -> output`, `adapt`, `score(x, y)` (of a bare model if it has a loss and
    `target` is given), `predict_adapted(x, state)`, `score_adapted(x, y, state)`; of a `MetaClassifier`, or several as
    one, also `classify(x) -> label, probabilities` and `classify_adapted(x, state)`.

    With an `autoencoder` also `draw(text, temperature, top_k, top_p, seed, max_length) -> png_bytes, whole`, PNG files
    of what was written and whether each has all its codes; of a learner `draw_adapted(prompt, …, state)`.

    The server holds nothing between requests: the client keeps the state. A state says which model it is of
    (`state_mark`), and another model refuses it.

    Args:
        model: a built model, or a compiled `MetaLearner`.
        path: directory of all versions.
        version: number of this one; `None` for one more than the highest there.
        target: spec of one training target without batch axis, for models whose targets differ in shape or type from
            their outputs (class labels, for example).
        storage: how matrices are stored: `"float32"`, `"float16"`, or `"weight_int8"` (a quarter of the size, one scale
            a channel). The graph makes them float32 where it reads them; a state is float32 in each.
        autoencoder: whose codes a text generator writes; it is stored in float32 beside the model.

    Returns:
        The version's directory.

    Raises:
        ValueError: not built, not compiled, an unknown storage, a version that is not a positive number, or an
            autoencoder whose codes the model does not write.
        FileExistsError: the version exists.
        OSError: the path cannot be written; nothing half-written is left.
    """
    root = Path(path)
    final = root / str(new_version(root, version))
    exported = Exported(model, storage)
    module = tf.Module()
    module.exported_variables = exported.variables()
    drawing = None if autoencoder is None else Drawing(autoencoder, exported.model)
    if autoencoder is not None:
        module.autoencoder_variables = [variable.value for variable in autoencoder.variables]
    signatures = saved_model_signatures(exported, target, drawing)
    for name, function in signatures.items():
        setattr(module, name, function)
    with written_aside(final) as aside:
        _save(module, aside, signatures)
        write_warmup(aside, signatures, exported.layout.initial_state() if exported.learner else None)
    return final


def _save(module: tf.Module, aside: Path, signatures: dict[str, Any]) -> None:
    try:
        tf.saved_model.save(module, str(aside), signatures=signatures)
    except (
        tf.errors.ResourceExhaustedError,
        tf.errors.PermissionDeniedError,
        tf.errors.FailedPreconditionError,
    ) as error:
        raise OSError(None, f"TensorFlow could not write the SavedModel: {error.message}") from error


def new_version(root: Path, version: int | None = None) -> int:
    """The number of a version that is not there yet; by default one more than the highest.

    Raises:
        ValueError: not a positive number.
        FileExistsError: the version exists.
    """
    if version is None:
        taken = [int(p.name) for p in root.iterdir() if p.name.isdigit()] if root.is_dir() else []
        return max(taken, default=0) + 1
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"version must be a whole number >= 1, received {version!r}.")
    if (root / str(version)).exists():
        raise FileExistsError(f"Version {version} exists in {root}. Choose another, or version=None for the next one.")
    return version
