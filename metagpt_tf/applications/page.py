"""A page of trained presets: what `metagpt-tf demo` writes and serves."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metagpt_tf.applications.deployment import deploy_model
from metagpt_tf.models import ImageAutoencoder
from metagpt_tf.presets import Preset, find_preset
from metagpt_tf.saving import load_learner
from metagpt_tf.tokenizers.image_codes import image_tokenizer

WANTED = ("image_nano", "code_nano")
CODES = "glyph_codes"
SAID = ("licence", "limits", "data")  # of a card, in a file's metadata


def default_presets() -> list[str]:
    """Those of `WANTED` that come with the package."""
    return [name for name in WANTED if find_preset(name) is not None]


def deploy_page(
    presets: Sequence[str | os.PathLike],
    path: str | os.PathLike,
    codes: str | os.PathLike = CODES,
    quantization: str = "float32",
    report: Callable[[str], None] = lambda stage: None,
) -> Path:
    """Write the page with learners of presets or `.keras` files, one for each tab.

    Args:
        presets: names, directories or files; one that draws, one that writes, or one of each.
        path: directory of the page.
        codes: preset of the autoencoder whose codes the one that draws writes.
        quantization: of the weights, see `export_litert`.
        report: called with what is being done.

    Returns:
        The path.

    Raises:
        ValueError: no preset, or two for one tab.
        FileNotFoundError: nothing is there under a name.
    """
    if not presets:
        raise ValueError(f"A page needs a learner: give names of presets, such as {', '.join(WANTED)}.")
    for preset in presets:
        report(f"loading {preset}")
        learner, autoencoder = load_learner(preset), ImageAutoencoder.from_preset(codes)
        own: Any = learner.model
        draws = (
            hasattr(own, "tokenizer")
            and own.tokenizer.get_config() == image_tokenizer(autoencoder.num_codes).get_config()
        )
        name = Path(preset).stem.replace("_", "-").lower()
        report(f"converting {name}, about a minute")
        deploy_model(
            learner,
            "web",
            path,
            name=name,
            autoencoder=autoencoder if draws else None,
            quantization=quantization,
            about={"name": name, **said_of(preset)},
        )
    return Path(path)


def said_of(preset: str | os.PathLike) -> dict[str, Any]:
    """Of a preset's card, what belongs into a file's metadata; what kind of texts it writes."""
    directory = find_preset(preset)
    card = {} if directory is None else Preset(directory).card
    written = card.get("origin", {}).get("app", "code")
    return {"kind": "text" if written == "language" else written, **{key: card[key] for key in SAID if key in card}}
