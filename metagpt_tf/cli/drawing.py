"""Images for `metagpt-tf generate --app image` and `adapt --app image`."""

import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from metagpt_tf.applications.image import generate_images, glyph_names
from metagpt_tf.applications.image_drawings import warn_of_paper
from metagpt_tf.applications.image_episodes import as_prompts, codes_or_trained
from metagpt_tf.datasets import load_image_folder
from metagpt_tf.files import written_aside
from metagpt_tf.plotting import contact_sheet
from metagpt_tf.tokenizers.image_codes import codes_to_text

ACROSS = 13  # drawings in a row of a sheet


def image_examples(path: str, task: str, model: Any) -> list[tuple[str, str]]:
    """Descriptions and codes of the images in one folder, a style.

    Raises:
        FileNotFoundError: no such folder, or no images in it.
        ValueError: a task that shows part of an image.
    """
    if task != "generation":
        raise ValueError(f"A folder of images is a support set of --task generation, received {task!r}.")
    autoencoder = codes_or_trained(None)
    height, width, channels = autoencoder.image_shape
    images, texts = load_image_folder(path, (height, width, channels))
    warn_of_paper(images)
    return list(zip(as_prompts(texts, path), codes_to_text(autoencoder.encode(images)), strict=True))


def draw_sheet(arguments: Namespace, model: Any, state: Any, sampler: Any) -> dict[str, Any]:
    """Draw what the prompts say, or all letters and digits, and write them to `--out` as one PNG.

    Raises:
        ValueError: no `--out`, or one that is no PNG, or an option of texts.
    """
    if arguments.max_length is not None or arguments.stop:
        raise ValueError("--max-length and --stop are of texts: a drawing always has all its codes. Leave them out.")
    if not arguments.out or Path(arguments.out).suffix.lower() != ".png":
        raise ValueError(f"--app image writes a picture: give --out sheet.png, received {arguments.out!r}.")
    prompts = arguments.prompt or glyph_names()
    began = time.perf_counter()
    images = generate_images(
        model,
        prompts,
        state,
        samples=arguments.samples,
        sampler=sampler,
        seed=arguments.seed,
        guidance=arguments.guidance,
    )
    seconds = time.perf_counter() - began
    figure = contact_sheet(_rows(prompts, images, arguments.samples))
    with written_aside(Path(arguments.out)) as aside:
        figure.savefig(aside, format="png", dpi=150)
    return {"prompts": prompts, "images": len(images), "seconds": seconds, "out": arguments.out}


def _rows(prompts: list[str], images: np.ndarray, samples: int) -> dict[str, dict[str, np.ndarray]]:
    """A row for so many drawings; with several samples a row for each description."""
    across = samples if samples > 1 else ACROSS
    starts = range(0, len(images), across)
    return {f"{prompts[s // samples]}, {s + 1}": {"": images[s : s + across]} for s in starts}
