"""Train the judge of drawings, the preset `glyph_judge`: a few minutes on one core.

It sees each glyph as it is and as the codes of `glyph_codes` make it, because drawings are made of these codes.

python scripts/pretrain_glyph_judge.py
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.datasets import load_glyphs
from metagpt_tf.models import GlyphJudge, ImageAutoencoder
from metagpt_tf.presets import PRETRAINED, write_card

NAME = "glyph_judge"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--steps", type=int, default=4000)
    add("--batch", type=int, default=128)
    add("--rate", type=float, default=1e-3, help="peak of the annealed rate")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=1, help="threads of TensorFlow")
    add("--output", type=Path, default=PRETRAINED / NAME, help="directory to make")
    return parser.parse_args()


def glyphs_of(split: str, codes: ImageAutoencoder) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Images `(N, 28, 28, 1)` as they are, as codes make them, and their labels."""
    glyphs = load_glyphs()
    place = {style: index for index, style in enumerate(glyphs.styles)}
    chosen = glyphs.images[[place[style] for style in glyphs.splits[split]]].astype("float32") / 255
    styles, characters = chosen.shape[:2]
    images = chosen.reshape(-1, *chosen.shape[2:], 1)
    labels = {"character": np.tile(np.arange(characters), styles), "style": np.repeat(np.arange(styles), characters)}
    return images, codes.predict(images, verbose=0), labels


def moved(images: tf.Tensor, labels: Any) -> tuple[tf.Tensor, Any]:
    """Each image a pixel or none to a side."""
    padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
    return tf.image.random_crop(padded, tf.shape(images)), labels


def main() -> None:
    options = parse()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    if options.output.exists():
        raise SystemExit(f"{options.output} is there already. Remove it, or choose another --output.")
    keras.utils.set_random_seed(options.seed)
    codes = ImageAutoencoder.from_preset("glyph_codes")
    images, coded, labels = glyphs_of("meta_train", codes)
    judge = GlyphJudge(num_styles=len(load_glyphs().splits["meta_train"]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(1e-4, options.steps, warmup_target=options.rate, warmup_steps=200)
    judge.compile(keras.optimizers.AdamW(rate, weight_decay=1e-2), {"character": loss, "style": loss})
    both = (np.concatenate([images, coded]), {name: np.tile(label, 2) for name, label in labels.items()})
    data = tf.data.Dataset.from_tensor_slices(both).shuffle(30_000, seed=options.seed).repeat()
    began = time.process_time()
    judge.fit(data.batch(options.batch).map(moved), epochs=1, steps_per_epoch=options.steps, verbose=2)
    seconds = time.process_time() - began
    judge.save_to_preset(options.output, {})
    rounded = GlyphJudge.from_preset(options.output)  # what is shipped is what is measured
    card = {**about(rounded, codes), "seconds": round(seconds), "seed": options.seed, "steps": options.steps}
    write_card(options.output, card)
    print(json.dumps(card, indent=1))


def about(judge: GlyphJudge, codes: ImageAutoencoder) -> dict[str, Any]:
    figures = {}
    for split in ("meta_train", "meta_validation", "meta_test"):
        images, coded, labels = glyphs_of(split, codes)
        figures[split] = {
            "read": round(float((judge.read(images) == labels["character"]).mean()), 4),
            "read_as_codes_make_them": round(float((judge.read(coded) == labels["character"]).mean()), 4),
        }
    return {
        "name": NAME,
        "data": "Letters and digits of 147 font families, 28 x 28 (datasets.load_glyphs); whole families are held out.",
        "licence": "Fonts: SIL Open Font License 1.1. The weights: the licence of this package.",
        "limits": "Judges glyphs of 28 x 28. Some cannot be told apart even by eye: l and I, O and 0 of many styles.",
        "figures": figures,
    }


if __name__ == "__main__":
    main()
