"""The tutorial's verb `deploy_model`: a directory that a server can be started on, checked before it is handed over."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from metagpt_tf.export import ParityReport, export_saved_model, parity_report
from metagpt_tf.export.calls import first_calls
from metagpt_tf.export.saved_model import new_version
from metagpt_tf.export.serving_kit import serving_kit
from metagpt_tf.files import written_aside
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import ImageAutoencoder
from metagpt_tf.suggestions import closest

TARGETS = ("serving",)


@dataclass(frozen=True)
class Deployed:
    """What `deploy_model` wrote.

    Attributes:
        path: the directory to start a server on: `docker compose up` in it.
        saved_model: the version's directory inside.
        calls: a first request, for `"call.sh"` (curl) and `"call.py"`.
        parity: the file's answers against the learner's; `None` without examples to compare on.
    """

    path: Path
    saved_model: Path
    calls: dict[str, str]
    parity: ParityReport | None


def deploy_model(
    model: Any,
    target: str = "serving",
    path: str | os.PathLike = "deployed",
    name: str = "model",
    version: int | None = None,
    support: tuple[Any, Any] | None = None,
    storage: str = "float32",
    target_spec: tf.TensorSpec | None = None,
    autoencoder: ImageAutoencoder | None = None,
) -> Deployed:
    """Write a model as it is to be served, with everything that a server and a client need beside it.

    `path` gets `models/<name>/<version>/`, TF Serving's settings, `compose.yaml`, `kserve.yaml`, `call.sh`, `call.py`
    and a `README.md`. Called again with the same path it adds the next version, which a running server takes up; files
    of the kit that are there already are left as they are.

    Args:
        model: a built model, or a compiled `MetaLearner`, which also adapts when served.
        target: `"serving"`: TF Serving, on one machine or on Kubernetes.
        path: directory.
        name: that clients ask for.
        version: number; `None` for the next.
        support: `(x, y)` to adapt on: every signature of the file is compared with the learner before this returns.
        storage: of the weights, see `export_saved_model`.
        target_spec: of one training target, see `export_saved_model`.
        autoencoder: of a model that draws.

    Returns:
        Where everything is.

    Raises:
        ValueError: an unknown target or a name that cannot be served; `support` without a learner, or with weights that
            are stored rounded; a directory of another model; a file that answers otherwise: it is not served.
        FileExistsError: that version exists.
        OSError: the path cannot be written.

    Example:

    >>> deployed = deploy_model(learner, path="deployed", support=(x, y))  # doctest: +SKIP
    >>> print(deployed.calls["call.sh"])  # doctest: +SKIP
    """
    _check_request(model, target, support, storage)
    root, kit = Path(path), serving_kit(name)
    models = root / "models" / name
    _check_kit(root, name)
    number = new_version(models, version)
    models.mkdir(parents=True, exist_ok=True)
    # Elsewhere first: a running server takes up a version as soon as it lies in its place.
    with tempfile.TemporaryDirectory(prefix=".unchecked-", dir=root) as unchecked:
        made = export_saved_model(model, unchecked, number, target_spec, storage, autoencoder)
        report = None if support is None else _compared(model, made, support, autoencoder)
        saved_model = models / made.name
        os.replace(made, saved_model)
    calls = first_calls(saved_model, name)
    for file, text in {**kit, **calls}.items():
        if not (root / file).exists():
            with written_aside(root / file) as aside:
                aside.write_text(text, encoding="utf-8")
    return Deployed(root, saved_model, calls, report)


def _check_request(model: Any, target: str, support: Any, storage: str) -> None:
    if target not in TARGETS:
        raise ValueError(f"Unknown target {target!r}. {closest(str(target), TARGETS)}")
    if support is not None and (storage != "float32" or not isinstance(model, MetaLearner)):
        raise ValueError(
            f"support is for comparing a float32 file with its learner, received storage={storage!r} and "
            f"{type(model).__name__}. Leave support out."
        )


def _compared(
    model: MetaLearner, made: Path, support: tuple[Any, Any], autoencoder: ImageAutoencoder | None
) -> ParityReport:
    report = parity_report(model, made, support=support, autoencoder=autoencoder)
    if not report.passed:
        raise ValueError(f"The SavedModel does not answer as the learner does, and is not deployed:\n{report}")
    return report


def _check_kit(root: Path, name: str) -> None:
    """Files that are there are kept, so they must be of the same model."""
    config = root / "models.config"
    if config.is_file() and f'"{name}"' not in config.read_text(encoding="utf-8"):
        raise ValueError(
            f"{root} serves a model of another name: {config} does not name {name!r}. Choose another directory, or add "
            "the model to the files there by hand."
        )
