"""The tutorial's verb `deploy_model`: what a server, a device or a browser needs, checked before it is handed over."""

import functools
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from metagpt_tf.applications.deployed import Deployed
from metagpt_tf.applications.device_deployment import DeviceFile, deploy_litert, deploy_web
from metagpt_tf.export import ParityReport, export_saved_model, parity_report
from metagpt_tf.export.calls import first_calls
from metagpt_tf.export.device_kit import write_files
from metagpt_tf.export.saved_model import new_version
from metagpt_tf.export.serving_kit import serving_kit
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import ImageAutoencoder
from metagpt_tf.suggestions import closest

TARGETS = ("serving", "litert", "web")


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
    k_shot: int = 8,
    quantization: str = "float32",
    about: Mapping[str, Any] | None = None,
) -> Deployed:
    """Write a model as it is to be used, with everything that is needed beside it.

    A server gets `models/<name>/<version>/`, TF Serving's settings, Compose's and KServe's, and a first call; called
    again it gets the next version. A device gets `model.tflite`, `initial.npz` (the state before anything was learned)
    and a runner. A browser gets a page that learns in its tab, `metagpt-tf demo --path …` serves it; called again with
    another name, the page has both models. Files of a kit that are there already are left as they are.

    Args:
        model: a built model, or a compiled `MetaLearner`, which also adapts when served.
        target: `"serving"`: TF Serving, on one machine or on Kubernetes; `"litert"`: a device; `"web"`: a browser.
        path: directory.
        name: that clients ask for, or of the model in a page.
        version: number, for a server; `None` for the next.
        support: `(x, y)` to adapt on: every signature of the file is compared with the learner before this returns.
        storage: of a server's weights, see `export_saved_model`.
        target_spec, autoencoder: of the targets, and of a model that draws; see `export_saved_model`.
        k_shot, quantization, about: of a device's or a page's file, see `export_litert`; of `about` a page also reads
            `kind`, `"code"` (by default) or `"text"`.

    Raises:
        TypeError: a model that cannot adapt, for a device or a page.
        ValueError: an unknown target or a name that cannot be served; `support` without a learner, or with weights that
            are stored rounded; a directory of another model; a file that answers otherwise: it is not served.
        FileExistsError: that version exists.
        OSError: the path cannot be written.

    Example:

    >>> deployed = deploy_model(learner, path="deployed", support=(x, y))  # doctest: +SKIP
    >>> print(deployed.calls["call.sh"])  # doctest: +SKIP
    """
    _check_request(model, target, support, storage, quantization)
    kit = serving_kit(name)  # also says whether the name can stand in a URL
    if target == "serving":
        made = functools.partial(
            export_saved_model, model, target=target_spec, storage=storage, autoencoder=autoencoder
        )
        compared = None if support is None else functools.partial(_compared, model, support, autoencoder)
        return _to_server(made, compared, Path(path), name, version, kit)
    device = DeviceFile(model, support, k_shot, quantization, target_spec, autoencoder, about)
    return deploy_litert(device, Path(path)) if target == "litert" else deploy_web(device, Path(path), name)


def _to_server(
    export: Callable[..., Path],
    compared: Callable[[Path], ParityReport] | None,
    root: Path,
    name: str,
    version: int | None,
    kit: dict[str, str],
) -> Deployed:
    models = root / "models" / name
    _check_kit(root, name)
    number = new_version(models, version)
    models.mkdir(parents=True, exist_ok=True)
    # Elsewhere first: a running server takes up a version as soon as it lies in its place.
    with tempfile.TemporaryDirectory(prefix=".unchecked-", dir=root) as unchecked:
        made = export(path=unchecked, version=number)
        report = None if compared is None else compared(made)
        saved_model = models / made.name
        os.replace(made, saved_model)
    calls = first_calls(saved_model, name)
    write_files(root, {file: text.encode() for file, text in {**kit, **calls}.items()}, keep=True)
    return Deployed(root, saved_model, calls, report)


def _check_request(model: Any, target: str, support: Any, storage: str, quantization: str) -> None:
    if target not in TARGETS:
        raise ValueError(f"Unknown target {target!r}. {closest(str(target), TARGETS)}")
    if target != "serving" and not isinstance(model, MetaLearner):
        raise TypeError(f"A file for {target!r} adapts: give a MetaLearner, received {type(model).__name__}.")
    rounded = storage if target == "serving" else quantization
    if support is not None and (rounded != "float32" or not isinstance(model, MetaLearner)):
        raise ValueError(
            f"support is for comparing a float32 file with its learner, received {rounded!r} and "
            f"{type(model).__name__}. Leave support out."
        )


def _compared(
    model: MetaLearner, support: tuple[Any, Any], autoencoder: ImageAutoencoder | None, made: Path
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
