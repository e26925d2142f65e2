"""Pretrain `image_nano`, which draws glyphs in a style, on 199 styles of free fonts.

One seed:  python scripts/pretrain_image.py --seeds 0
Preset:    python scripts/pretrain_image.py --finish
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metagpt_tf.applications.image import load_image_data, preprocess_images
from metagpt_tf.applications.image_drawings import Drawings, draw_held_out, judge_drawings
from metagpt_tf.applications.image_kinds import IMAGE_KINDS
from metagpt_tf.applications.intervals import interval_95
from metagpt_tf.applications.pretrained import FIGURES
from metagpt_tf.applications.pretraining import in_bits
from metagpt_tf.applications.recipe import Recipe
from metagpt_tf.files import written_aside
from metagpt_tf.meta import MAML, AdaptationCurve, MetaLearner
from metagpt_tf.plotting import contact_sheet
from metagpt_tf.presets import PRETRAINED, write_card
from metagpt_tf.saving import load_model
from pretraining import run

NAME, SHEET, DRAWN = "image_nano", "sheet.png", "drawings.json"
SHOWN = (
    "Karla Light",
    "Amiri Bold",
    "Dancing Script Regular",
    "IBM 3270 Regular",
    "okolaks BoldItalic",
    "monofur italic",
)
VARIANTS = 4
# A description alone is short, and what is not padded is not computed.
GLYPHS = {"task": "generation", "tokenizer": None, "source_length": 16}
ABOUT = {
    "origin": {
        "app": "image",
        "load": {},
        "preprocess": GLYPHS,
        "preprocess_for_training": {**GLYPHS, "variants": VARIANTS, "and_mixed": True, "source_length": 64},
        "preprocess_for_meta_training": {**GLYPHS, "variants": VARIANTS},
    },
    "data": "Letters and digits of 269 styles of 147 font families, 28 x 28 (datasets.load_glyphs), as 49 codes of the "
    "preset glyph_codes. Whole families are held out.",
    "licence": "Fonts: SIL Open Font License 1.1. The weights: the licence of this package.",
    "training": f"The training styles and {VARIANTS} variants of each: slanted, narrowed, emboldened. The "
    "plain steps also with something shown (a hole, noise, coarse pixels, another style) or without a description; the "
    "meta-training on plain glyphs.",
    "limits": "Glyphs of 28 x 28 only, light on dark, latin letters and digits, by their description ('letter g'). It "
    "takes over weight, width and slant of a style, and loses some letters by it. Its meta-training showed it no "
    "images, and after it little use is made of what is shown, but for a hole, around which what is shown stays. "
    "Kernel distances are by this package's own judge of glyphs and not comparable with published FID.",
}


def recipe(seed: int) -> Recipe:
    """The sizes of one seed's training."""
    return Recipe(
        seed=seed,
        unit="code",
        target_length=50,
        warm_steps=8000,
        warm_tasks=2,
        warm_dtype="mixed_bfloat16",
        meta_steps=500,
        first_order_steps=350,
        multi_step_loss=350,
        inner_learning_rate=0.1,
        judged_episodes=4,
    )


def finish(folders: list[Path]) -> None:
    """Add to the card what each seed draws of all held-out styles, and put a sheet of drawings beside it."""
    found = [drawn_by(folder) for folder in folders]
    shutil.copyfile(folders[0] / SHEET, PRETRAINED / NAME / SHEET)
    card = json.loads((PRETRAINED / NAME / "card.json").read_text())
    drawn = {name: interval_95([one[name] for one in found])._asdict() for name in found[0]}
    aliases = {f"bits_per_code_{name}": card[name] for name in ("before", "after", "twin_after", "twin_time_after")}
    aliases["letter_accuracy"] = drawn["letter_accuracy_after"]
    per_seed = {name: [round(one[name], 5) for one in found] for name in found[0]}
    write_card(PRETRAINED / NAME, {**card, **aliases, **drawn, "drawings_per_seed": per_seed})
    print(json.dumps(drawn, indent=1))


def drawn_by(folder: Path) -> dict[str, Any]:
    """How the drawings of one seed's learner and twins are judged; measured once, with a sheet of them beside it."""
    kept = folder / DRAWN
    if kept.exists():
        return json.loads(kept.read_text())
    images, texts = (part["meta_test"] for part in load_image_data())
    figures, found = json.loads((folder / FIGURES).read_text()), {}
    for prefix, learner, chosen in _learners(folder, figures):
        drawings = draw_held_out(learner, images, texts, steps=chosen["steps"])
        found |= {f"{prefix}{name}": value for name, value in judge_drawings(drawings).items()}
        if not prefix:
            found |= kinds_of(learner, figures, chosen["steps"])
            sheet_of(drawings).savefig(folder / SHEET, dpi=110)
    with written_aside(kept) as aside:
        aside.write_text(json.dumps(found, indent=1))
    return found


def _learners(folder: Path, figures: Mapping[str, Any]) -> list[tuple[str, MetaLearner, dict[str, Any]]]:
    """The meta-trained learner and its plain twins, each with the rate and the steps that were best in validation."""
    chosen, recipe = figures["chosen"], Recipe(**figures["recipe"])
    learner: Any = load_model(folder / "learner.keras")
    learner.algorithm.scale_rates(chosen["meta"]["rate_multiplier"])
    found = [("", learner, chosen["meta"])]
    for name in ("twin", "twin_time"):
        rate = recipe.inner_learning_rate * chosen[name]["rate_multiplier"]
        twin = MetaLearner(load_model(folder / f"{name}.keras"), MAML(recipe.inner_steps, rate, scope=recipe.scope))
        twin.compile(metrics=[])
        found.append((f"{name}_", twin, chosen[name]))
    return found


def kinds_of(learner: MetaLearner, figures: Mapping[str, Any], steps: int) -> dict[str, float]:
    """Bits per code before and after adaptation where something is shown: a hole, noise, and the like."""
    recipe, found = Recipe(**figures["recipe"]), {}
    held_out = tuple(
        {split: dict(list(tasks.items())[: None if split == "meta_test" else 2]) for split, tasks in part.items()}
        for part in load_image_data()
    )
    for kind in [kind for kind in IMAGE_KINDS if kind not in ("generation", "mixed")]:
        tasks = preprocess_images(held_out, kind, source_length=recipe.source_length)["tasks"]
        episodes = tasks.split("meta_test").every_task(recipe.k_shot, recipe.n_query, recipe.meta_batch_size)
        losses = AdaptationCurve(learner, tuple(range(steps + 1)))(episodes)
        bits = in_bits(learner, episodes, losses, "code").mean(axis=0)
        found |= {f"{kind}_before": float(bits[0]), f"{kind}_after": float(bits[-1])}
    return found


def sheet_of(drawings: Drawings, across: int = 20) -> Any:
    """What a style was learned from, what is drawn before and after, and the truth, for a few styles."""
    blocks = {}
    for style in SHOWN:
        number = drawings.styles.index(style)
        chosen = np.flatnonzero(drawings.task == number)[:across]
        rows = {name: getattr(drawings, name)[chosen] for name in ("before", "after", "truth")}
        blocks[style] = {"learned from": drawings.support[number], **rows}
    return contact_sheet(blocks, "held-out styles, K = 8")


if __name__ == "__main__":
    run(NAME, recipe, ABOUT, __doc__, finish)
