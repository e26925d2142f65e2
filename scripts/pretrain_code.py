"""Pretrain `code_nano` on the documented functions of the standard library and of two packages.

One seed:  python scripts/pretrain_code.py --seeds 0
Preset:    python scripts/pretrain_code.py --finish
"""

from pretraining import Recipe, run

ABOUT = {
    "origin": {"app": "code", "load": {"packages": ["keras", "numpy"]}, "preprocess": {"task": "body"}},
    "data": "Documented functions (signature and docstring in, body out) of the standard library of Python 3.11, of "
    "keras and of numpy. Whole modules and packages are held out.",
    "licence": "Standard library: PSF; keras: Apache 2.0; numpy: BSD. The weights: the licence of this package.",
    "limits": "A model of a million parameters that reads and writes 64 bytes at a time: it writes the first lines in "
    "the habits of a package, and mostly code that parses but does not do what the docstring says.",
}


def recipe(seed: int) -> Recipe:
    """The sizes of one seed's training."""
    return Recipe(seed=seed)


if __name__ == "__main__":
    run("code_nano", recipe, ABOUT, __doc__)
