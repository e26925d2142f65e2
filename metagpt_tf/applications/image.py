"""Images: load, preprocess, define, fit, evaluate, generate.

A task is a style: a font, a painter. Its examples are descriptions and images, and an image is a text of codes
(`tokenizers.image_codes`), so the model, the learner and the episodes are those of texts.
"""

import functools
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.applications.episodes import define_learner, text_episodes
from metagpt_tf.applications.image_kinds import CodedImages, ImageData, Styles, Texts, coded_images, hidden_text
from metagpt_tf.datasets import load_glyphs, load_images
from metagpt_tf.datasets.glyphs import CHARACTERS
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import Drawing, ImageAutoencoder, MetaGPT, structural_similarity
from metagpt_tf.presets import find_preset
from metagpt_tf.tasks import Episode
from metagpt_tf.tokenizers import clean_text
from metagpt_tf.tokenizers.image_codes import codes_to_text, is_code

END = ":"  # of a description: codes begin after it
SOURCE_LENGTH = 64


def load_image_data(
    path: str | os.PathLike | None = None, image_shape: tuple[int, int, int] = (28, 28, 1)
) -> tuple[ImageData, Mapping[str, Mapping[str, Sequence[str]]]]:
    """Images and their descriptions by split and task, whole tasks held out.

    Args:
        path: a folder with a folder for each task (`datasets.load_images`); `None` for the bundled glyphs, where a
            style is a task and "letter g" a description.
        image_shape: of your own images.

    Returns:
        `image_data`: split -> task -> `(n, H, W, C)` float32 in [0, 1]; `text_descriptions`: split -> task -> n texts.

    Raises:
        FileNotFoundError, ValueError: see `datasets.load_images`.

    Example:

    >>> images, texts = load_image_data()
    >>> images["meta_test"]["Karla Light"].shape, texts["meta_test"]["Karla Light"][6]
    ((62, 28, 28, 1), 'letter G')
    """
    if path is not None:
        return load_images(path, image_shape)
    glyphs = load_glyphs()
    place = {style: index for index, style in enumerate(glyphs.styles)}
    names = _glyph_names()
    images = {
        split: {style: glyphs.images[place[style]][..., None].astype("float32") / 255.0 for style in styles}
        for split, styles in glyphs.splits.items()
    }
    return images, {split: dict.fromkeys(styles, names) for split, styles in glyphs.splits.items()}


def _glyph_names() -> list[str]:
    return [f"{'digit' if c.isdigit() else 'letter'} {c}" for c in CHARACTERS]


def glyph_prompts() -> list[str]:
    """What a model of the bundled glyphs is asked for each of `CHARACTERS`."""
    return _prompts(_glyph_names(), "the glyphs")


def preprocess_text_data(text_descriptions: Mapping[str, Mapping[str, Sequence[str]]]) -> Texts:
    """Descriptions made uniform: cleaned, on one line, with a colon at their end.

    Raises:
        ValueError: an empty description, or one with characters that stand for codes; names its task and number.
    """
    return {
        split: {task: _prompts(texts, f"{task!r} of {split!r}") for task, texts in tasks.items()}
        for split, tasks in text_descriptions.items()
    }


def preprocess_image_data(
    image_data: ImageData,
    task: str = "generation",
    autoencoder: ImageAutoencoder | None = None,
    seed: int = 0,
    text_descriptions: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> CodedImages:
    """Images as texts of codes, with what a task gives of each.

    Args:
        image_data: what `load_image_data` returned.
        task: `"generation"` (nothing given), `"inpainting"` (a hole of about a third of the sides), `"denoising"`
            (noise of 0.3), `"super_resolution"` (pixels of two by two) or `"style_transfer"` (an image of the same
            description of another task of the split).
        autoencoder: whose codes; `None` for the trained `glyph_codes`.
        seed: of holes, noise and other styles.
        text_descriptions: of the images; `"style_transfer"` needs them.

    Raises:
        ValueError: an unknown task, images of a shape that the autoencoder does not have, or no other style.
    """
    draw = np.random.default_rng(seed)
    return coded_images(Styles(image_data, text_descriptions, _codes(autoencoder), draw), task)


def image_episodes(
    descriptions: Texts,
    images: CodedImages,
    source_length: int = SOURCE_LENGTH,
    meta_batch_size: int = 4,
    k_shot: int = 8,
    n_query: int = 8,
    num_batches: Mapping[str, int] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Episodes: some images of a style with their descriptions, others to draw.

    Args:
        descriptions: of `preprocess_text_data`.
        images: of `preprocess_image_data`.
        source_length: tokens of a description and of what is given, the end mark included; as the model's.
        meta_batch_size, k_shot, n_query: shape of an episode dataset.
        num_batches: meta-batches of `"train"`, `"validation"` and `"test"`; by default 200, 4 and 8.
        seed: of the episodes.

    Returns:
        `"train"`, `"validation"`, `"test"`: datasets of `Episode` over disjoint tasks; `"tasks"`: the `TextTasks`.

    Raises:
        ValueError: a task without descriptions, or not one for each image, or a source that is too long.
    """
    drawing = Drawing(images.autoencoder)
    pairs = {
        split: {task: _paired(f"{task!r} of {split!r}", *_of(task, split, descriptions, images)) for task in tasks}
        for split, tasks in images.targets.items()
    }
    sources = {source for tasks in pairs.values() for rows in tasks.values() for source, _ in rows}
    longest = max(sources, key=lambda source: len(drawing.tokenizer.encode(source)))
    if (needed := len(drawing.tokenizer.encode(longest)) + 1) > source_length:
        raise ValueError(f"{longest[:40]!r}… needs source_length={needed}, received {source_length}. The model's too.")
    shape = (meta_batch_size, k_shot, n_query)
    return text_episodes(pairs, drawing.tokenizer, source_length, drawing.places + 1, shape, num_batches, seed)


def define_meta_gpt_image_model(
    preset: str | os.PathLike = "nano",
    algorithm: Any = None,
    optimizer: Any = None,
    autoencoder: ImageAutoencoder | None = None,
    source_length: int | None = None,
    **overrides: Any,
) -> MetaLearner:
    """A compiled `MetaLearner` round a `MetaGPT` that draws, ready for `fit`.

    Args:
        preset: the size of a new model, or the directory of a trained one.
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
    drawing = Drawing(_codes(autoencoder))
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
    drawing = Drawing(_codes(autoencoder), generator)
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
) -> np.ndarray:
    """Draw what descriptions say, in the style that a task taught.

    Args:
        model: a learner or its model.
        text_prompt: a description, or N of them.
        state: what a task taught (`learner.adapt`); `None` for the model before adaptation.
        samples: drawings of each description; more than one needs a `sampler` that draws.
        given: `(N, H, W, C)` in [0, 1], what is shown of each, for a model that was trained to read it.
        hidden: `(N, H/4, W/4)` bool, which codes of `given` are hidden: the hole of an inpainting.
        autoencoder: whose codes the model writes; `None` for the trained `glyph_codes`.
        sampler, seed: as in `MetaGPT.generate`.

    Returns:
        `(N · samples, H, W, C)` float32 in [0, 1], the drawings of a description side by side.

    Raises:
        ValueError: no description, one that is too long, not an image `given` for each, or `hidden` of another shape.

    Warns:
        UserWarning: drawings that lack codes, and how many; the places that lack one have the first code.
    """
    generator: Any = model.model if isinstance(model, MetaLearner) else model
    drawing = Drawing(_codes(autoencoder), generator)
    prompts = _prompts([text_prompt] if isinstance(text_prompt, str) else text_prompt, "the prompts")
    shown = _shown(drawing.autoencoder, given, hidden, len(prompts))
    sources = [source for source, _ in _paired("text_prompt", prompts, shown, shown)]
    ids = generator.text_generator.ids([s for s in sources for _ in range(samples)], state, sampler, seed)
    images, whole = (part.numpy() for part in drawing.images_of(ids))
    if not whole.all():
        warnings.warn(f"{int((~whole).sum())} of {len(whole)} drawings lack codes.", stacklevel=2)
    return images


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


@functools.cache
def _trained_codes() -> ImageAutoencoder:
    return ImageAutoencoder.from_preset("glyph_codes")


def _codes(autoencoder: ImageAutoencoder | None) -> ImageAutoencoder:
    return _trained_codes() if autoencoder is None else autoencoder


def _prompts(texts: Sequence[str], where: str) -> list[str]:
    if isinstance(texts, str) or not len(texts):
        raise ValueError(f"Expected a list of descriptions for {where}, received {texts!r}.")
    found = []
    for number, text in enumerate(texts):
        cleaned = clean_text(text, keep_lines=False).rstrip(END)
        if not cleaned or any(map(is_code, cleaned)):
            raise ValueError(
                f"Description {number} of {where} is {text!r}; expected words, without the characters U+E000 to "
                "U+EFFF, which stand for codes."
            )
        found.append(cleaned + END)
    return found


def _paired(task: str, prompts: Sequence[str], given: Sequence[str], targets: Sequence[str]) -> list[tuple[str, str]]:
    if not len(prompts) == len(given) == len(targets):
        raise ValueError(f"{task} has {len(prompts)} descriptions and {len(targets)} images. Give one for each.")
    return [(prompt + shown, target) for prompt, shown, target in zip(prompts, given, targets, strict=True)]


def _of(task: str, split: str, descriptions: Texts, images: CodedImages) -> tuple[list[str], list[str], list[str]]:
    if task not in descriptions.get(split, {}):
        raise ValueError(f"There are no descriptions of {task!r} in {split!r}. Give one for each image.")
    return descriptions[split][task], images.given[split][task], images.targets[split][task]
