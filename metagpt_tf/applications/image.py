"""Images: load, preprocess, define, fit, evaluate, generate.

A task is a style: a font, a painter. Its examples are descriptions and images, and an image is a text of codes
(`tokenizers.image_codes`), so the model, the learner and the episodes are those of texts.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf import generation
from metagpt_tf.applications.episodes import define_learner
from metagpt_tf.applications.image_drawings import adapt_to_images, drawn
from metagpt_tf.applications.image_episodes import (
    SOURCE_LENGTH,
    as_prompts,
    codes_or_trained,
    image_episodes,
    paired,
    preprocess_image_data,
    preprocess_images,
    preprocess_text_data,
)
from metagpt_tf.applications.image_kinds import ImageData, hidden_text
from metagpt_tf.datasets import load_glyphs, load_image_sets
from metagpt_tf.datasets.glyphs import CHARACTERS
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import Drawing, ImageAutoencoder, MetaGPT, structural_similarity
from metagpt_tf.presets import find_preset
from metagpt_tf.tasks import Episode
from metagpt_tf.tokenizers.image_codes import codes_to_text

__all__ = [
    "adapt_to_images",
    "define_meta_gpt_image_model",
    "evaluate_image_model",
    "generate_images",
    "image_episodes",
    "load_image_data",
    "preprocess_image_data",
    "preprocess_images",
    "preprocess_text_data",
]

DEFAULT = "image_nano"  # of glyphs, by the codes of glyph_codes


def load_image_data(
    path: str | os.PathLike | None = None, image_shape: tuple[int, int, int] = (28, 28, 1), **options: Any
) -> tuple[ImageData, Mapping[str, Mapping[str, Sequence[str]]]]:
    """Images and their descriptions by split and task, whole tasks held out.

    Args:
        path: a folder with a folder for each task, `"digits"`, a folder of IDX files or the name of a set of TFDS (all
            by `datasets.load_image_sets`); `None` for the bundled glyphs, where a style is a task and "letter g" a
            description.
        image_shape: of your own images.
        **options: `label_names` and `examples_per_class` (200 unless given) of `datasets.load_image_sets`; a folder
            with a folder for each task has its own descriptions and is read whole.

    The bundled glyphs are light on dark, 0 the ground and 1 the ink, and what is trained on them expects that.

    Returns:
        `image_data`: split -> task -> `(n, H, W, C)` float32 in [0, 1]; `text_descriptions`: split -> task -> n texts.

    Raises:
        FileNotFoundError, ValueError: see `datasets.load_image_sets`.

    Example:

    >>> images, texts = load_image_data()
    >>> images["meta_test"]["Karla Light"].shape, texts["meta_test"]["Karla Light"][6]
    ((62, 28, 28, 1), 'letter G')
    """
    if path is not None:
        return load_image_sets(path, image_shape, **options)
    if options:
        raise ValueError(f"The bundled glyphs have no {', '.join(options)}. Give a path, or leave it out.")
    glyphs = load_glyphs()
    place = {style: index for index, style in enumerate(glyphs.styles)}
    names = glyph_names()
    images = {
        split: {style: glyphs.images[place[style]][..., None].astype("float32") / 255.0 for style in styles}
        for split, styles in glyphs.splits.items()
    }
    return images, {split: dict.fromkeys(styles, names) for split, styles in glyphs.splits.items()}


def glyph_names() -> list[str]:
    """How each of `CHARACTERS` is described: "letter A", "digit 0"."""
    return [f"{'digit' if c.isdigit() else 'letter'} {c}" for c in CHARACTERS]


def glyph_prompts() -> list[str]:
    """What a model of the bundled glyphs is asked for each of `CHARACTERS`."""
    return as_prompts(glyph_names(), "the glyphs")


def define_meta_gpt_image_model(
    preset: str | os.PathLike = DEFAULT,
    algorithm: Any = None,
    optimizer: Any = None,
    autoencoder: ImageAutoencoder | None = None,
    source_length: int | None = None,
    **overrides: Any,
) -> MetaLearner:
    """A compiled `MetaLearner` round a `MetaGPT` that draws, ready for `fit`.

    Args:
        preset: the name or directory of a trained model (`"image_nano"` comes with the package), or the size of a new
            one, e.g. `"nano"`.
        algorithm: name or object; by default the preset's own, for a new model second-order `MAML` on the low-rank
            adapters.
        optimizer: of the outer loop; by default Adam at 1e-3 with clipped gradients.
        autoencoder: whose codes it writes; `None` for the trained `glyph_codes`.
        source_length: as in `image_episodes`; `None` for a trained model's own, 64 for a new one: room for a short
            description and all codes of an image of 28 x 28.
        **overrides: other arguments of `MetaGPT`.

    Raises:
        ValueError: unknown preset or algorithm, or sizes or codes that a trained model does not have.
    """
    drawing = Drawing(codes_or_trained(autoencoder))
    lengths = {} if source_length is None else {"source_length": source_length}
    if find_preset(preset) is None:
        lengths = {"source_length": SOURCE_LENGTH, "target_length": drawing.places + 1, **lengths}
    return define_learner(preset, algorithm, optimizer, drawing.tokenizer, **lengths, **overrides)


def evaluate_image_model(
    model: MetaLearner,
    test_data: tf.data.Dataset,
    autoencoder: ImageAutoencoder | None = None,
    prompts: int = 16,
    sampler: Any = "greedy",
    seed: int | None = None,
) -> dict[str, float]:
    """Held-out figures before and after adaptation.

    Args:
        model: compiled.
        test_data: episodes of tasks that are held out.
        autoencoder: whose codes the model writes.
        prompts: queries to draw, at least (whole episodes are drawn); 0 leaves the scores of drawings out.
        sampler, seed: of drawing, as in `MetaGPT.generate`.

    Returns:
        `bits_per_code` and `bits_per_pixel` (all bits of a text of codes, its end included, by its codes and by the
        pixels of the image), `ssim` of drawings with the autoencoder's image of the truth, `whole`, the share of
        drawings with all their codes; each also as `pre_…`.
    """
    generator: Any = model.model
    drawing = Drawing(codes_or_trained(autoencoder), generator)
    pixels = int(np.prod(drawing.autoencoder.image_shape[:2]))
    logs = model.evaluate(test_data, verbose=0, return_dict=True)
    figures: dict[str, float] = {}
    for when in ("", "pre_"):
        bits = float(logs[f"{when}bits_per_token"]) * (drawing.places + 1)
        figures |= {f"{when}bits_per_code": bits / drawing.places, f"{when}bits_per_pixel": bits / pixels}
    if prompts:
        truth, *drawn = _drawn_before_and_after(model, test_data, prompts, sampler, seed)
        images, _ = drawing.images_of(truth)
        for when, ids in zip(("pre_", ""), drawn, strict=True):
            found, whole = drawing.images_of(ids)
            figures[f"{when}ssim"] = float(structural_similarity(images, found).mean())
            figures[f"{when}whole"] = float(whole.numpy().mean())
    return figures


def _drawn_before_and_after(
    model: MetaLearner, test_data: tf.data.Dataset, prompts: int, sampler: Any, seed: int | None
) -> list[np.ndarray]:
    """Ids `(N, T)` of the truth, of what is written without, and with what a task's support set taught."""
    generator: Any = model.model
    found: list[list[np.ndarray]] = [[], [], []]
    for row in test_data.unbatch():
        episode = Episode(*row)
        state = model.adapt((episode.support_x, episode.support_y))
        sources = [generator.tokenizer.decode(ids) for ids in np.asarray(episode.query_x)]
        drawn = (generator.text_generator.ids(sources, given, sampler, seed) for given in (None, state))
        for kept, new in zip(found, (np.asarray(episode.query_y), *drawn), strict=True):
            kept.append(new)
        if sum(map(len, found[0])) >= prompts:
            break
    return [np.concatenate(parts) for parts in found]


def generate_images(
    model: MetaLearner | MetaGPT,
    text_prompt: str | Sequence[str],
    state: Any = None,
    samples: int = 1,
    given: np.ndarray | None = None,
    hidden: np.ndarray | None = None,
    autoencoder: ImageAutoencoder | None = None,
    sampler: Any = "greedy",
    seed: int | None = None,
    guidance: float = 1.0,
) -> np.ndarray:
    """Draw what descriptions say, in the style that a task taught.

    Args:
        model: a learner or its model.
        text_prompt: a description, or N of them.
        state: what a task taught (`adapt_to_images`, `learner.adapt`); `None` for the model before adaptation.
        samples: drawings of each description; more than one needs a `sampler` that draws.
        given: `(N, H, W, C)` in [0, 1], what is shown of each, for a model that was trained to read it; a coarser
            image is enlarged to that size first.
        hidden: `(N, H/4, W/4)` bool, which codes of `given` are hidden: the hole of an inpainting. The others stay as
            they are given, and what is hidden is drawn in the light of those before it, row by row.
        autoencoder: whose codes the model writes; `None` for the trained `glyph_codes`.
        sampler, seed: as in `MetaGPT.generate`.
        guidance: above 1 the drawing follows its description and what is given more closely than the model by itself
            (`generation.guided`), at twice the cost; it needs a model that was trained without either too.

    Returns:
        `(N · samples, H, W, C)` float32 in [0, 1], the drawings of a description side by side.

    Raises:
        ValueError: no description, one that is too long, not an image `given` for each, or `hidden` of another shape.

    Warns:
        UserWarning: drawings that lack codes, and how many; the places that lack one have the first code.
    """
    generator: Any = model.model if isinstance(model, MetaLearner) else model
    drawing = Drawing(codes_or_trained(autoencoder), generator)
    if samples < 1 or (samples > 1 and generation.get(sampler).is_greedy):
        raise ValueError(
            f"samples must be at least 1, and several need a sampler that draws, such as 'temperature'; received "
            f"samples={samples} and sampler={sampler!r}."
        )
    prompts = as_prompts([text_prompt] if isinstance(text_prompt, str) else text_prompt, "the prompts")
    shown = _shown(drawing.autoencoder, given, hidden, len(prompts))
    known = None if hidden is None else _known(drawing, shown).repeat(samples, axis=0)
    sources = [source for source, _ in paired("text_prompt", prompts, shown, shown)]
    repeated = [source for source in sources for _ in range(samples)]
    images, whole = drawn(drawing, generator, repeated, state, sampler, seed, guidance, known)
    if not whole.all():
        warnings.warn(f"{int((~whole).sum())} of {len(whole)} drawings lack codes.", stacklevel=2)
    return images


def _known(drawing: Drawing, shown: list[str]) -> np.ndarray:
    """The ids of codes that are shown, and -1 where one is hidden, `(N, places)`."""
    ids = np.array([drawing.tokenizer.encode(text) for text in shown])
    return np.where(ids >= drawing.first, ids, generation.OPEN)


def _shown(autoencoder: ImageAutoencoder, given: Any, hidden: Any, count: int) -> list[str]:
    """What is given of each image, as text."""
    if given is None:
        if hidden is not None:
            raise ValueError(
                "hidden says which codes of the images given are hidden, and there are none: give given=…."
            )
        return [""] * count
    texts = codes_to_text(autoencoder.encode(given))
    if hidden is None:
        return texts
    expected = (len(texts), *autoencoder.code_shape)
    if np.shape(hidden) != expected:
        raise ValueError(f"hidden is {expected} bool, one for each code, received shape {np.shape(hidden)}.")
    return [hidden_text(text, places) for text, places in zip(texts, np.asarray(hidden), strict=True)]
