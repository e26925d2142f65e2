"""Few-shot letters: N-way K-shot on whole scripts that were never seen, drawn with the Noto fonts.

The rows `alphabets/` are not Omniglot: printed letters under small distortions, one to four drawings each. The rows
`omniglot/` are: TFDS downloads it, where it may. The paper column of both is Omniglot's.
All algorithms see the same episodes, so that a step of each has looked at as many images.
"""

from functools import cache, partial
from typing import Any

from paper_rows.base import Experiment, Result

STEPS = 100
FINE_TUNED = 5  # steps of the baseline
TESTED = 10  # meta-batches of 10 held-out tasks


NOTO, OMNIGLOT_SET = "noto", "omniglot"


@cache
def letters(name: str, n_way: int) -> Any:
    """Printed letters that come with the package, or Omniglot's drawn ones."""
    from metagpt_tf.tasks import FewShotClasses, FewShotImages
    from metagpt_tf.tasks.few_shot import grey_image

    if name == NOTO:
        return FewShotImages(n_way)
    import tensorflow_datasets as tfds

    drawn = tfds.load("omniglot", split="train+test")
    return FewShotClasses.from_dataset(drawn, n_way, group="alphabet", prepare=grey_image)


def episodes(split: str, n_way: int, shots: int, tasks: int, seed: int, batches: int, source: str = NOTO) -> Any:
    queries = 5 if n_way == 5 else 2
    chosen = letters(source, n_way).split(split)
    return chosen.as_dataset(tasks, shots, queries, seed=seed, num_batches=batches)


def training(n_way: int, shots: int, seed: int, iterations: int, source: str = NOTO) -> Any:
    return episodes("meta_train", n_way, shots, 4 if n_way == 5 else 2, seed, iterations, source)


def classifier(n_way: int, backbone: str) -> Any:
    from metagpt_tf.models import MetaClassifier

    return MetaClassifier.from_preset("nano", n_way=n_way, backbone=backbone)


def accuracy(learner: Any, n_way: int, shots: int, source: str = NOTO) -> tuple[float, float]:
    """Per cent right on held-out scripts, before and after adapting."""
    logs = learner.evaluate(episodes("meta_test", n_way, shots, 10, 1, TESTED, source), verbose=0, return_dict=True)
    name = next(key for key in logs if "accuracy" in key and not key.startswith("pre_"))
    return 100.0 * logs.get(f"pre_{name}", float("nan")), 100.0 * logs[name]


def by_gradient(
    seed: int, iterations: int, *, n_way: int, shots: int, backbone: str, algorithm: str, source: str = NOTO
) -> Result:
    """Meta-train with an algorithm, and judge accuracy before and after adapting."""
    import keras

    from metagpt_tf.meta import MetaLearner, ProtoMAML, get

    keras.utils.set_random_seed(seed)
    options = {"inner_steps": 3, "inner_learning_rate": 0.1}
    made = ProtoMAML(**options) if algorithm == "proto_maml" else get(algorithm, **options)
    learner = MetaLearner(classifier(n_way, backbone), made)
    learner.compile(keras.optimizers.Adam(1e-3))
    learner.fit(training(n_way, shots, seed, iterations, source), verbose=0)
    before, after = accuracy(learner, n_way, shots, source)
    return {f"{shots}/0": before, f"{shots}/3": after}


def by_prototypes(seed: int, iterations: int, *, n_way: int, shots: int, backbone: str) -> Result:
    """The non-parametric reference: class means in a trained embedding."""
    import keras

    from metagpt_tf.meta import PrototypicalNetwork

    keras.utils.set_random_seed(seed)
    network = PrototypicalNetwork(classifier(n_way, backbone).backbone, n_way)
    network.compile(keras.optimizers.Adam(1e-3))
    network.fit(training(n_way, shots, seed, iterations), verbose=0)
    return {f"{shots}/0": accuracy(network, n_way, shots)[1]}


def by_fine_tuning(seed: int, iterations: int, *, n_way: int, shots: int, backbone: str) -> Result:
    """Plain: learn to tell all training letters apart, then fine-tune everything and a new head on the support set."""
    import keras
    import numpy as np

    from metagpt_tf.datasets import load_alphabets
    from metagpt_tf.meta import MAML, AdaptationCurve, MetaLearner, best_rate

    keras.utils.set_random_seed(seed)
    letters = load_alphabets()
    scripts = [letters.names.index(name) for name in letters.splits["meta_train"]]
    kept = np.isin(letters.script, scripts)
    _, labels = np.unique(letters.letter[kept], return_inverse=True)
    trained = classifier(int(labels.max()) + 1, backbone)
    trained.compile(keras.optimizers.Adam(1e-3))
    batch = sum(int(np.prod(part.shape[:2])) for part in training(n_way, shots, seed, 1).element_spec[1::2])
    trained.fit(
        plain_images(letters.images[kept], labels, batch, seed), steps_per_epoch=iterations, verbose=0, shuffle=False
    )
    model = classifier(n_way, backbone)
    model.backbone.set_weights(trained.backbone.get_weights())
    learner = MetaLearner(model, MAML(FINE_TUNED, 0.1))
    learner.compile(keras.optimizers.Adam(1e-3))
    tuning = episodes("meta_validation", n_way, shots, 10, 2, 2)
    factor, _ = best_rate(AdaptationCurve(learner, (FINE_TUNED,)), tuning, (0.1, 0.3, 1.0, 3.0))
    tuned = MetaLearner(model, MAML(FINE_TUNED, 0.1 * factor))
    tuned.compile(keras.optimizers.Adam(1e-3))
    before, after = accuracy(tuned, n_way, shots)
    return {f"{shots}/0": before, f"{shots}/{FINE_TUNED}": after}


def plain_images(images: Any, labels: Any, batch: int, seed: int) -> Any:
    """Endless batches of distorted training letters and their classes."""
    import tensorflow as tf

    from metagpt_tf.tasks.affine import random_affine

    rows = tf.data.Dataset.from_tensor_slices((images[..., None], labels.astype("int32")))
    shuffled = rows.shuffle(len(labels), seed=seed).repeat().batch(batch, drop_remainder=True)
    seeds = tf.data.Dataset.random(seed=seed).batch(2).map(lambda pair: tf.cast(pair % 2**31, tf.int32))
    return tf.data.Dataset.zip(shuffled, seeds).map(lambda row, key: (random_affine(row[0], key), row[1]))


OMNIGLOT = {(5, 1): 98.7, (5, 5): 99.9, (20, 1): 95.8, (20, 5): 98.9}
PROTOCOL = (
    f"accuracy in % on {10 * TESTED} tasks; {STEPS} outer steps of 4 (20-way: 2) tasks, which two cores bear, "
    "60,000 in the paper; printed letters of the Noto fonts, 17 scripts held out; the paper column is MAML on Omniglot"
)


def rows(n_way: int, shots: int) -> list[Experiment]:
    sizes = {"n_way": n_way, "shots": shots, "backbone": "conv"}
    name, paper = f"alphabets/{n_way}way{shots}shot", {f"{shots}/3": OMNIGLOT[n_way, shots]}
    gradient, quick = partial(by_gradient, **sizes), 20 if (n_way, shots) == (5, 1) else 0
    tuned = f"{PROTOCOL}; all training letters told apart, then all weights fine-tuned, {FINE_TUNED} steps, rate tuned"
    return [
        Experiment(f"{name}/prototypes", partial(by_prototypes, **sizes), STEPS, quick, {}, PROTOCOL),
        Experiment(name, partial(gradient, algorithm="maml"), STEPS, quick, paper, PROTOCOL),
        Experiment(f"{name}/fine_tuning", partial(by_fine_tuning, **sizes), STEPS, quick, {}, tuned),
        Experiment(f"{name}/anil", partial(gradient, algorithm="anil"), STEPS, quick, {}, PROTOCOL),
        Experiment(f"{name}/proto_maml", partial(gradient, algorithm="proto_maml"), STEPS, quick, {}, PROTOCOL),
    ][: 5 if (n_way, shots) == (5, 1) else 3]


def drawn(n_way: int, shots: int) -> Experiment:
    """MAML on Omniglot itself; a fifth of its alphabets is held out, as the library splits them."""
    run = partial(by_gradient, n_way=n_way, shots=shots, backbone="conv", algorithm="maml", source=OMNIGLOT_SET)
    words = f"accuracy in % on {10 * TESTED} tasks; {STEPS} outer steps, 60,000 in the paper; no rotated classes"
    paper = {f"{shots}/3": OMNIGLOT[n_way, shots]}
    return Experiment(f"omniglot/{n_way}way{shots}shot", run, STEPS, 0, paper, words, downloads=True)


SIZES = [(n_way, shots) for n_way in (5, 20) for shots in (1, 5)]
EXPERIMENTS = [*(row for size in SIZES for row in rows(*size)), *(drawn(*size) for size in SIZES)]
