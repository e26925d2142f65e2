"""Few-shot letters: N-way K-shot on whole scripts that were never seen, drawn with the Noto fonts.

Not Omniglot: printed letters under small distortions, one to four drawings each. The paper column is Omniglot's.
"""

from functools import partial
from typing import Any

from paper_rows.base import Experiment, Result

QUERIES = 5


def episodes(split: str, n_way: int, shots: int, tasks: int, seed: int, batches: int) -> Any:
    from metagpt_tf.tasks import FewShotImages

    return FewShotImages(n_way).split(split).as_dataset(tasks, shots, QUERIES, seed=seed, num_batches=batches)


def classifier(n_way: int, backbone: str) -> Any:
    from metagpt_tf.models import MetaClassifier

    return MetaClassifier.from_preset("nano", n_way=n_way, backbone=backbone)


def by_gradient(seed: int, iterations: int, *, n_way: int, shots: int, backbone: str, algorithm: str) -> Result:
    """Meta-train with an algorithm, and judge accuracy before and after adapting."""
    import keras

    from metagpt_tf.meta import MetaLearner, ProtoMAML, get

    keras.utils.set_random_seed(seed)
    options = {"inner_steps": 3, "inner_learning_rate": 0.1}
    made = ProtoMAML(**options) if algorithm == "proto_maml" else get(algorithm, **options)
    learner = MetaLearner(classifier(n_way, backbone), made)
    learner.compile(keras.optimizers.Adam(1e-3))
    learner.fit(episodes("meta_train", n_way, shots, 4, seed, iterations), verbose=0)
    logs = learner.evaluate(episodes("meta_test", n_way, shots, 10, 1, 60), verbose=0, return_dict=True)
    name = next(key for key in logs if "accuracy" in key and not key.startswith("pre_"))
    return {f"{shots}/0": 100.0 * logs[f"pre_{name}"], f"{shots}/3": 100.0 * logs[name]}


def by_prototypes(seed: int, iterations: int, *, n_way: int, shots: int, backbone: str) -> Result:
    """The non-parametric reference: class means in a trained embedding."""
    import keras

    from metagpt_tf.meta import PrototypicalNetwork

    keras.utils.set_random_seed(seed)
    network = PrototypicalNetwork(classifier(n_way, backbone).backbone, n_way)
    network.compile(keras.optimizers.Adam(1e-3))
    network.fit(episodes("meta_train", n_way, shots, 4, seed, iterations), verbose=0)
    logs = network.evaluate(episodes("meta_test", n_way, shots, 10, 1, 60), verbose=0, return_dict=True)
    return {f"{shots}/0": 100.0 * next(value for key, value in logs.items() if "accuracy" in key)}


OMNIGLOT = {(5, 1): 98.7, (5, 5): 99.9, (20, 1): 95.8, (20, 5): 98.9}
PROTOCOL = "accuracy in %; printed letters of the Noto fonts, 17 scripts held out; the paper column is MAML on Omniglot"


def rows(n_way: int, shots: int) -> list[Experiment]:
    sizes = {"n_way": n_way, "shots": shots, "backbone": "conv"}
    name, paper = f"alphabets/{n_way}way{shots}shot", {f"{shots}/3": OMNIGLOT[n_way, shots]}
    gradient, quick = partial(by_gradient, **sizes), 20 if (n_way, shots) == (5, 1) else 0
    return [
        Experiment(name, partial(gradient, algorithm="maml"), 3000, quick, paper, PROTOCOL),
        Experiment(f"{name}/anil", partial(gradient, algorithm="anil"), 3000, quick, {}, PROTOCOL),
        Experiment(f"{name}/proto_maml", partial(gradient, algorithm="proto_maml"), 3000, quick, {}, PROTOCOL),
        Experiment(f"{name}/prototypes", partial(by_prototypes, **sizes), 3000, quick, {}, PROTOCOL),
    ]


EXPERIMENTS = [row for n_way in (5, 20) for shots in (1, 5) for row in rows(n_way, shots)]
