"""Pretrain `code_nano` on the documented functions of the standard library and of installed packages.

One seed:  python scripts/pretrain_code.py --seeds 0
Preset:    python scripts/pretrain_code.py --finish
"""

from metagpt_tf.applications.recipe import Recipe
from pretraining import run

PACKAGES = [
    "tensorflow.python.*",
    "keras.src.*",
    "numpy.*",
    "tensorflow_datasets.core.*",
    *("absl", "h5py", "matplotlib", "optree", "PIL", "pygments", "rich", "tensorboard"),
    "tensorflow_model_optimization",
]

ABOUT = {
    "origin": {
        "app": "code",
        "load": {},
        "load_for_training": {"packages": PACKAGES, "min_functions": 24},
        "preprocess": {"task": "body"},
    },
    "data": "Documented functions (signature and docstring in, body out) of the standard library of Python 3.11 and of "
    f"the packages {', '.join(PACKAGES)}. Judged on modules of the standard library that were held out.",
    "licence": "Standard library: PSF; the packages: Apache 2.0, BSD, MIT, MIT-CMU and the Matplotlib licence (PSF "
    "alike). The weights: the licence of this package.",
    "limits": "A model of a million parameters that reads and writes 64 bytes at a time: it writes first lines in the "
    "habits of a package. Few of its answers are whole functions, and those do not do what the docstring says.",
}


def recipe(seed: int) -> Recipe:
    """The sizes of one seed's training."""
    return Recipe(
        seed=seed,
        options={"dropout": 0.1},
        warm_steps=3000,
        warm_dtype="mixed_bfloat16",
        size_exponent=0.5,
        inner_learning_rate=0.15,
        new_tasks=True,
        judged_episodes=4,
    )


if __name__ == "__main__":
    run("code_nano", recipe, ABOUT, __doc__)
