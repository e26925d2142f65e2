"""What a model draws of held-out styles, before and after adaptation, and how a judge likes it.

Axes: N drawings, T styles, P descriptions of a style, K support examples, H height, W width, C channels.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from metagpt_tf.applications.image_episodes import END, as_prompts, codes_or_trained
from metagpt_tf.datasets.glyphs import CHARACTERS
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import Drawing, GlyphJudge, ImageAutoencoder, kernel_distance, structural_similarity
from metagpt_tf.tokenizers.image_codes import codes_to_text

NAMED = re.compile(r"(?:letter|digit) ([A-Za-z0-9])")
RIDGE = 10.0


class Drawings(NamedTuple):
    """Drawings of the queries of held-out styles, N in all, and what they are to look like.

    Args:
        styles: names, T.
        support: `(T, K, H, W, C)`: what each style was learned from.
        task: the number of each drawing's style, `(N,)`.
        texts: the description of each drawing, N.
        truth: `(N, H, W, C)`, as the style has it; `coded`, as the codes make that, the best that can be drawn.
        coded: see `truth`.
        before: as the model draws before it has adapted; `after`, after.
        after: see `before`.
        whole_before: whether each was written with all its codes, `(N,)` bool; `whole_after`, after.
        whole_after: see `whole_before`.
    """

    styles: list[str]
    support: np.ndarray
    task: np.ndarray
    texts: list[str]
    truth: np.ndarray
    coded: np.ndarray
    before: np.ndarray
    after: np.ndarray
    whole_before: np.ndarray
    whole_after: np.ndarray


def draw_held_out(
    learner: MetaLearner,
    images: Mapping[str, np.ndarray],
    descriptions: Mapping[str, Sequence[str]],
    k_shot: int = 8,
    steps: int | None = None,
    seed: int = 0,
    autoencoder: ImageAutoencoder | None = None,
    sampler: Any = "greedy",
    guidance: float = 1.0,
) -> Drawings:
    """Learn each style from K of its images, drawn at random, and draw the others.

    Args:
        learner: compiled, round a model that draws.
        images: style -> `(P, H, W, C)` in [0, 1]: one split of `load_image_data`.
        descriptions: style -> P texts.
        k_shot: K.
        steps: of the inner loop; `None` for the algorithm's own.
        seed: of the choice of support sets and of a sampler that draws.
        autoencoder: whose codes the model writes; `None` for the trained `glyph_codes`.
        sampler, guidance: as in `generate_images`.

    Raises:
        ValueError: a style with no more than K images, or descriptions that do not fit them.
    """
    drawing = Drawing(codes_or_trained(autoencoder), learner.model)
    draw = np.random.default_rng(seed)
    found: dict[str, list[Any]] = {name: [] for name in Drawings._fields}
    for number, (style, all_images) in enumerate(images.items()):
        prompts = as_prompts(descriptions[style], repr(style))
        if not k_shot < len(all_images) == len(prompts):
            raise ValueError(
                f"{style!r} has {len(all_images)} images and {len(prompts)} descriptions; expected as many of each, "
                f"and more than k_shot={k_shot}."
            )
        order = draw.permutation(len(prompts))
        known, asked = order[:k_shot], order[k_shot:]
        taught = [descriptions[style][i] for i in known]
        state = adapt_to_images(learner, all_images[known], taught, drawing.autoencoder, steps)
        sources = [prompts[i] for i in asked]
        for name, given in (("before", None), ("after", state)):
            pictures, whole = drawn(drawing, learner.model, sources, given, sampler, seed, guidance)
            found[name].append(pictures)
            found[f"whole_{name}"].append(whole)
        found["styles"].append(style)
        found["support"].append(all_images[known])
        found["task"].append(np.full(len(asked), number))
        found["texts"] += [descriptions[style][i] for i in asked]
        found["truth"].append(all_images[asked])
        found["coded"].append(drawing.autoencoder.decode(drawing.autoencoder.encode(all_images[asked])))
    arrays = {
        name: np.concatenate(found[name]) for name in Drawings._fields if name not in ("styles", "support", "texts")
    }
    return Drawings(found["styles"], np.stack(found["support"]), texts=found["texts"], **arrays)


def adapt_to_images(
    learner: MetaLearner,
    images: Any,
    descriptions: Sequence[str],
    autoencoder: ImageAutoencoder | None = None,
    steps: int | None = None,
) -> Any:
    """What a few images of one style teach: the state that `generate_images` takes.

    Args:
        learner: round a model that draws.
        images: `(K, H, W, C)` in [0, 1].
        descriptions: K texts.
        autoencoder: whose codes the model writes; `None` for the trained `glyph_codes`.
        steps: of the inner loop; `None` for the algorithm's own.

    Raises:
        ValueError: not one description for each image, or images or descriptions that are not as they should be.

    Warns:
        UserWarning: images for `glyph_codes` that are bright at their borders.
    """
    if autoencoder is None:
        warn_of_paper(images)
    drawing, model = Drawing(codes_or_trained(autoencoder), learner.model), learner.model
    prompts, codes = as_prompts(descriptions, "the examples"), codes_to_text(drawing.autoencoder.encode(images))
    if len(prompts) != len(codes):
        raise ValueError(f"Received {len(codes)} images and {len(prompts)} descriptions. Give one for each.")
    tokenizer, lengths = drawing.tokenizer, (cast(Any, model).source_length, cast(Any, model).target_length)
    return learner.adapt((tokenizer.pack(prompts, lengths[0]), tokenizer.pack(codes, lengths[1])), steps=steps)


def warn_of_paper(images: Any) -> None:
    """Say so if images `(N, H, W, C)` look like dark ink on paper: the trained codes are of light ink on a dark ground.

    Warns:
        UserWarning: they do.
    """
    pixels = np.asarray(images, "float32")
    if pixels.ndim == 4 and pixels.size and np.median(pixels[:, [0, -1]]) > 0.5:
        warnings.warn(
            "These images are bright at their upper and lower edges, as dark ink on paper is, and glyph_codes reads "
            "light ink on a dark ground. Invert them (1 - images), or they are learned as they are.",
            stacklevel=3,
        )


def drawn(
    drawing: Drawing,
    model: Any,
    sources: list[str],
    state: Any,
    sampler: Any,
    seed: int | None,
    guidance: float,
    known: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Images `(N, H, W, C)` of sources, and whether each was written whole; see `generate_images`.

    `known` are ids `(N, places)` that are kept as they are, -1 where the model is to draw.
    """
    without = None if guidance == 1.0 else [END] * len(sources)
    ids = model.text_generator.ids(sources, state, sampler, seed, without, guidance, known)
    images, whole = drawing.images_of(ids)
    return images.numpy(), whole.numpy()


def judge_drawings(drawings: Drawings, judge: GlyphJudge | None = None) -> dict[str, float]:
    """How good drawings of glyphs are.

    - `style_accuracy`: the share that a linear classifier on the judge's features takes for the style they are in. It
      is fitted to the true images of the styles, with and without codes, and judges only characters that it was not
      fitted to: two fits, each of one half of the characters. Chance is 1 / T.
    - `letter_accuracy`: the share that the judge reads as the character that was asked for.
    - `kernel_distance` of features to those of the truth (`models.kernel_distance`; by this judge, so not comparable
      with published figures), `ssim` with the truth as codes make it, and `whole`, the share written with all codes.

    Args:
        drawings: of `draw_held_out`, described as "letter g" or "digit 3".
        judge: `None` for the trained `glyph_judge`.

    Returns:
        Each of them with `_before`, `_after`, and (but for `ssim` and `whole`) `_coded`: the same of the truth as codes
        make it, which is the best that can be drawn.

    Raises:
        ValueError: descriptions of something else.
    """
    judge = judge or GlyphJudge.from_preset()
    wanted = _characters(drawings.texts)
    truth = judge.features(drawings.truth)
    coded = judge.features(drawings.coded)
    figures: dict[str, float] = {}
    for when in ("before", "after", "coded"):
        images = getattr(drawings, when)
        features = judge.features(images)
        correct = _in_style(features, truth, coded, drawings.task, wanted)
        figures[f"style_accuracy_{when}"] = float(correct.mean())
        figures[f"letter_accuracy_{when}"] = float((judge.read(images) == wanted).mean())
        figures[f"kernel_distance_{when}"] = kernel_distance(truth, features)
        if when != "coded":
            figures[f"whole_{when}"] = float(getattr(drawings, f"whole_{when}").mean())
            figures[f"ssim_{when}"] = float(structural_similarity(drawings.coded, images).mean())
    return figures


def _characters(texts: Sequence[str]) -> np.ndarray:
    found = [NAMED.fullmatch(text) for text in texts]
    if None in found:
        wrong = texts[found.index(None)]
        raise ValueError(f"The judge reads letters and digits ('letter g', 'digit 3'); received {wrong!r}.")
    return np.array([CHARACTERS.index(match.group(1)) for match in found if match])


def _in_style(
    features: np.ndarray, truth: np.ndarray, coded: np.ndarray, task: np.ndarray, characters: np.ndarray
) -> np.ndarray:
    """Whether each row of features is taken for its own style, `(N,)` bool, by a fit to the other half's characters."""
    correct = np.zeros(len(task), bool)
    for half in (0, 1):
        fitted, judged = characters % 2 == half, characters % 2 != half
        rows = np.concatenate([truth[fitted], coded[fitted]])
        guess = _linear(rows, np.tile(task[fitted], 2), features[judged])
        correct[judged] = guess == task[judged]
    return correct


def _linear(rows: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Ridge regression on one-hot labels; the largest answer is the class."""
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    known, new = (np.c_[(part - mean) / scale, np.ones(len(part))] for part in (rows, asked))
    targets = np.eye(int(labels.max()) + 1)[labels]
    weights = np.linalg.solve(known.T @ known + RIDGE * np.eye(known.shape[1]), known.T @ targets)
    return (new @ weights).argmax(axis=1)
