"""From images and descriptions to episodes: cleaned, coded, checked, joined."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metagpt_tf import tokenizers
from metagpt_tf.applications.episodes import text_episodes
from metagpt_tf.applications.image_kinds import MIXED, CodedImages, ImageData, Styles, Texts, coded_images, shown_of
from metagpt_tf.applications.image_variants import varied_styles
from metagpt_tf.models import Drawing, ImageAutoencoder
from metagpt_tf.tokenizers import clean_text
from metagpt_tf.tokenizers.image_codes import is_code

END = ":"  # of a description, and of a source
SOURCE_LENGTH = 64


def preprocess_text_data(text_descriptions: Mapping[str, Mapping[str, Sequence[str]]]) -> Texts:
    """Descriptions made uniform: cleaned, on one line, with a colon at their end.

    Raises:
        ValueError: an empty description, or one with characters that stand for codes; names its task and number.
    """
    return {
        split: {task: as_prompts(texts, f"{task!r} of {split!r}") for task, texts in tasks.items()}
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
            (noise of 0.3), `"super_resolution"` (pixels of two by two), `"style_transfer"` (an image of the same
            description of another task of the split) or `"mixed"` (for each image one of these).
        autoencoder: whose codes; `None` for the trained `glyph_codes`.
        seed: of holes, noise and other styles.
        text_descriptions: of the images; `"style_transfer"` and `"mixed"` need them.

    Raises:
        ValueError: an unknown task, images of a shape that the autoencoder does not have, or no other style.
    """
    draw = np.random.default_rng(seed)
    return coded_images(Styles(image_data, text_descriptions, codes_or_trained(autoencoder), draw), task)


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
        split: {task: paired(f"{task!r} of {split!r}", *_of(task, split, descriptions, images)) for task in tasks}
        for split, tasks in images.targets.items()
    }
    sources = {source for tasks in pairs.values() for rows in tasks.values() for source, _ in rows}
    longest = max(sources, key=lambda source: len(drawing.tokenizer.encode(source)))
    if (needed := len(drawing.tokenizer.encode(longest)) + 1) > source_length:
        raise ValueError(f"{longest[:40]!r}… needs source_length={needed}, received {source_length}. The model's too.")
    shape = (meta_batch_size, k_shot, n_query)
    return text_episodes(pairs, drawing.tokenizer, source_length, drawing.places + 1, shape, num_batches, seed)


def preprocess_images(
    data: tuple[ImageData, Mapping[str, Mapping[str, Sequence[str]]]],
    task: str = "generation",
    and_mixed: bool = False,
    variants: int = 0,
    tokenizer: Any = None,
    autoencoder: ImageAutoencoder | None = None,
    target_length: int | None = None,
    seed: int = 0,
    **sizes: Any,
) -> dict[str, Any]:
    """All of it in one call: what `load_image_data` returned to episodes, as `preprocess_data` does for texts.

    Args:
        data: images and descriptions.
        task: as in `preprocess_image_data`.
        and_mixed: whether each style is a second task too, `"mixed"`, so that one model learns all kinds. Where such an
            example shows nothing it has no description either: what guidance compares with.
        variants: of each training style that are trained on beside it (`varied_styles`).
        tokenizer: that of the model that is to draw; `None` for the autoencoder's.
        autoencoder: whose codes.
        target_length: of the model; one more than an image has codes, so there is nothing to choose.
        seed: of holes, noise, other styles and episodes.
        **sizes: of `image_episodes`.

    Raises:
        ValueError: another tokenizer or length than the codes have; see `preprocess_image_data`.
    """
    images, texts = data
    if variants:
        more, named = varied_styles(images["meta_train"], texts["meta_train"], variants, seed)
        images, texts = {**images, "meta_train": more}, {**texts, "meta_train": named}
    coded = preprocess_image_data(images, MIXED if and_mixed else task, autoencoder, seed, texts)
    prompts = preprocess_text_data(texts)
    drawing = Drawing(coded.autoencoder)
    wanted = drawing.tokenizer if tokenizer is None else tokenizers.get(tokenizer)
    if wanted.get_config() != drawing.tokenizer.get_config() or target_length not in (None, drawing.places + 1):
        raise ValueError(
            f"Images of these codes are written with image_tokenizer({coded.autoencoder.num_codes}) and "
            f"target_length={drawing.places + 1}; received {type(wanted).__name__} of {wanted.vocabulary_size} tokens "
            f"and {target_length}. Leave both out."
        )
    if and_mixed:
        mixed, shown = coded, shown_of(Styles(images, texts, coded.autoencoder, np.random.default_rng(seed)), task)
        prompts, coded = _with_mixed(prompts, mixed._replace(given=shown), mixed)
    return image_episodes(prompts, coded, seed=seed, **sizes)


def _with_mixed(prompts: Texts, coded: CodedImages, mixed: CodedImages) -> tuple[Texts, CodedImages]:
    """Both kinds of each style as tasks of their own, so that none shows the other's answers."""

    def both(first: Texts, second: Texts) -> Texts:
        named = {split: {f"{style}, {MIXED}": rows for style, rows in tasks.items()} for split, tasks in second.items()}
        return {split: {**tasks, **named[split]} for split, tasks in first.items()}

    described = {
        split: {
            style: [text if shown else END for text, shown in zip(texts, mixed.given[split][style], strict=True)]
            for style, texts in tasks.items()
        }
        for split, tasks in prompts.items()
    }
    joined = CodedImages(both(coded.targets, mixed.targets), both(coded.given, mixed.given), coded.autoencoder)
    return both(prompts, described), joined


@functools.cache
def _trained_codes() -> ImageAutoencoder:
    return ImageAutoencoder.from_preset("glyph_codes")


def codes_or_trained(autoencoder: ImageAutoencoder | None) -> ImageAutoencoder:
    """The autoencoder, or the trained `glyph_codes`, which is read once."""
    return _trained_codes() if autoencoder is None else autoencoder


def as_prompts(texts: Sequence[str], where: str) -> list[str]:
    """Descriptions as a model reads them, each with a colon at its end; `where` names them in an error."""
    if texts is None or isinstance(texts, str) or not len(texts):
        raise ValueError(f"Expected a list of descriptions for {where}, received {texts!r}.")
    found = []
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"Description {number} of {where} is {text!r} of type {type(text).__name__}; expected text."
            )
        cleaned = clean_text(text, keep_lines=False).rstrip(END)
        if not cleaned or any(map(is_code, cleaned)):
            raise ValueError(
                f"Description {number} of {where} is {text!r}; expected words, without the characters U+E000 to "
                "U+EFFF, which stand for codes."
            )
        found.append(cleaned + END)
    return found


def paired(task: str, prompts: Sequence[str], given: Sequence[str], targets: Sequence[str]) -> list[tuple[str, str]]:
    """Source and target of each example: what is given and its description, and its codes.

    What is given comes first, so that each of its codes stands where the decoder is to write it.
    """
    if not len(prompts) == len(given) == len(targets):
        raise ValueError(f"{task} has {len(prompts)} descriptions and {len(targets)} images. Give one for each.")
    return [(shown + prompt, target) for prompt, shown, target in zip(prompts, given, targets, strict=True)]


def _of(task: str, split: str, descriptions: Texts, images: CodedImages) -> tuple[list[str], list[str], list[str]]:
    if task not in descriptions.get(split, {}):
        raise ValueError(f"There are no descriptions of {task!r} in {split!r}. Give one for each image.")
    return descriptions[split][task], images.given[split][task], images.targets[split][task]
