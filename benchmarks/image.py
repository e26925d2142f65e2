"""How long `image_nano` takes to learn a style and to draw, and what it draws of all held-out styles.

Speed: adapting to K = 8 glyphs and drawing 16, each after one call that compiles. Quality: that of the shipped seed, as
`scripts/pretrain_image.py --finish` measures it, with the steps of the card; `--guidance` shows what it changes.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import describe, sentence
from rounds import save_json

from metagpt_tf import generation
from metagpt_tf.applications.image import adapt_to_images, define_meta_gpt_image_model, generate_images, load_image_data
from metagpt_tf.applications.image_drawings import draw_held_out, judge_drawings
from metagpt_tf.presets import Preset, find_preset

HERE = Path(__file__).parent
ASKED = [f"letter {character}" for character in "bcdefhijklmpqrst"]
TARGETS = {"learn_seconds": 1.0, "draw_16_seconds": 1.0}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--preset", default="image_nano")
    add("--repeats", type=int, default=15, help="calls behind each median")
    add("--guidance", nargs="*", type=float, default=[1.0, 1.5, 2.0], help="to draw with; none leaves quality out")
    add("--json", type=Path, default=HERE / "results" / "image.json")
    return parser.parse_args()


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median of calls, after one that compiles."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    options = parse()
    machine = describe()
    print(sentence(machine))
    learner = define_meta_gpt_image_model(options.preset)
    images, texts = (part["meta_test"] for part in load_image_data())
    style = next(iter(images))
    known, names = images[style][:8], texts[style][:8]
    state = adapt_to_images(learner, known, names)
    figures = {
        "learn_seconds": seconds(lambda: adapt_to_images(learner, known, names), options.repeats),
        "draw_16_seconds": seconds(lambda: generate_images(learner, ASKED, state), options.repeats),
    }
    for name, value in figures.items():
        told = "reached" if value <= TARGETS[name] else "MISSED"
        print(f"{name}: {value:.3f} (target {TARGETS[name]}: {told})")
    quality, steps = {}, Preset(find_preset(options.preset) or options.preset).card["steps"]
    for guidance in options.guidance:
        for sampler in ("greedy", "temperature"):
            chosen = generation.get(sampler, temperature=0.7) if sampler == "temperature" else sampler
            drawings = draw_held_out(learner, images, texts, steps=steps, guidance=guidance, sampler=chosen)
            quality[f"{sampler}, guidance {guidance}"] = found = judge_drawings(drawings)
            print(f"{sampler}, guidance {guidance}: " + ", ".join(f"{n} {v:.3f}" for n, v in found.items()), flush=True)
    drawn = {"quality": quality} if quality else {}
    save_json(options.json, {"machine": machine, "preset": options.preset, **figures, **drawn})


if __name__ == "__main__":
    main()
