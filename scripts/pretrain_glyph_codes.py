"""Train the codes that glyphs are drawn with, the preset `glyph_codes`: about ten minutes on one core.

python scripts/pretrain_glyph_codes.py
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
from metagpt_tf.models import ImageAutoencoder, structural_similarity
from metagpt_tf.presets import PRETRAINED, save_preset, write_card

NAME = "glyph_codes"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--steps", type=int, default=4000)
    add("--batch", type=int, default=128)
    add("--rate", type=float, default=2e-3, help="peak of the annealed rate")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=1, help="threads of TensorFlow")
    add("--options", type=json.loads, default={}, help="of ImageAutoencoder, as JSON")
    add("--output", type=Path, default=PRETRAINED / NAME, help="directory to make")
    return parser.parse_args()


def main() -> None:
    options = parse()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    if options.output.exists():
        raise SystemExit(f"{options.output} is there already. Remove it, or choose another --output.")
    keras.utils.set_random_seed(options.seed)
    model = ImageAutoencoder(**options.options)
    rate = keras.optimizers.schedules.CosineDecay(1e-4, options.steps, warmup_target=options.rate, warmup_steps=200)
    model.compile(keras.optimizers.Adam(rate))
    images = tf.data.Dataset.from_tensor_slices(pixels("meta_train")).shuffle(20_000, seed=options.seed).repeat()
    began = time.process_time()
    model.fit(images.batch(options.batch).map(lambda x: (x, x)), epochs=1, steps_per_epoch=options.steps, verbose=2)
    seconds = time.process_time() - began
    save_preset(options.output, {"autoencoder": model}, {}, dtype="float16")
    rounded = ImageAutoencoder.from_preset(options.output)  # what is shipped is what is measured
    card = {**about(rounded, seconds), "seed": options.seed, "steps": options.steps}
    write_card(options.output, card)
    print(json.dumps(card, indent=1))


def pixels(split: str) -> np.ndarray:
    glyphs = load_glyphs()
    place = {style: index for index, style in enumerate(glyphs.styles)}
    chosen = glyphs.images[[place[style] for style in glyphs.splits[split]]]
    return chosen.reshape(-1, *chosen.shape[2:], 1).astype("float32") / 255


def about(model: ImageAutoencoder, seconds: float) -> dict[str, Any]:
    figures = {}
    for split in ("meta_train", "meta_validation", "meta_test"):
        images = pixels(split)
        found = model.predict(images, verbose=0)
        used = model.codes_in_use(images)
        error = np.mean((images - found) ** 2, axis=(1, 2, 3))
        figures[split] = {
            "psnr": round(float(np.mean(-10 * np.log10(np.maximum(error, 1e-10)))), 3),
            "ssim": round(float(structural_similarity(images, found).mean()), 4),
            "codes_used": used.used,
            "perplexity": round(used.perplexity, 1),
        }
    return {
        "name": NAME,
        "data": "Letters and digits of 147 font families, 28 x 28 (datasets.load_glyphs); whole families are held out.",
        "licence": "Fonts: SIL Open Font License 1.1. The weights: the licence of this package.",
        "limits": "Glyphs only: 49 codes of 512 for an image of 28 x 28 tones. Thin strokes and textures suffer most.",
        "figures": figures,
        "seconds": round(seconds),
    }


if __name__ == "__main__":
    main()
