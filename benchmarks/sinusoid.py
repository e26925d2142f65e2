"""Does meta-learning pay on the paper's sinusoids? MAML against the same network trained on all tasks jointly.

Both take as many outer steps over the same episodes; a step costs both two gradients of K examples a task. Measured is
the loss of held-out tasks on Q other points, after n gradient steps on K. MAML adapts at the rate it was trained with;
the joint network, to its advantage, at the best rate for that n, chosen on validation tasks.
"""

import argparse
import time
from typing import Any

from machine import describe, sentence
from rounds import require_product, table, write_json
from seeds import interval

READ_AT = (0, 1, 5)
MULTIPLIERS = (0.03, 0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--steps", type=int, default=10000, help="outer steps (the paper takes 70000)")
    add("--tasks", type=int, default=25, help="tasks in a meta-batch")
    add("--shot", type=int, default=10, help="K, points to adapt on")
    add("--inner-learning-rate", type=float, default=0.01)
    add("--outer-learning-rate", type=float, default=1e-3)
    add("--held-out", type=int, default=600, help="test tasks")
    add("--points", type=int, default=100, help="Q, points a held-out task is judged on")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--json", metavar="PATH", help="write the results there")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    machine = describe()
    print(sentence(machine))
    print(
        f"MLP 1-40-40-1 (ReLU), K = {options.shot}, {options.tasks} tasks a step, {options.steps} steps of "
        f"Adam({options.outer_learning_rate:g}), inner rate {options.inner_learning_rate:g}; mean squared error on "
        f"{options.held_out} held-out tasks, mean over {len(options.seeds)} seeds ± 95 % interval.\n"
    )
    runs = [one_seed(options, seed) for seed in options.seeds]
    summary = {
        name: [interval([run[name][i] for run in runs]) for i in range(len(READ_AT))] for name in ("maml", "joint")
    }
    head = ["", *(f"{n} steps" for n in READ_AT)]
    table(head, [[name, *(f"{mean:.3f} ± {half:.3f}" for mean, half in row)] for name, row in summary.items()])
    settings = {key: value for key, value in vars(options).items() if key != "json"}
    content = {"benchmark": "sinusoid", "machine": machine, "settings": settings, "read_at": READ_AT}
    write_json(options.json, {**content, "runs": runs, "mean_and_half_width": summary})


def one_seed(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Both networks from the same initial weights, over the same episodes."""
    import keras

    from metagpt_tf.meta import MAML, AdaptationCurve, MetaLearner
    from metagpt_tf.tasks import Sinusoid, pooled_examples

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((1,)), layers.Dense(40, "relu"), layers.Dense(40, "relu"), layers.Dense(1)], name="wave"
    )
    learner = MetaLearner(model, MAML(1, options.inner_learning_rate))
    learner.compile(keras.optimizers.Adam(options.outer_learning_rate), "mse")
    model.compile(keras.optimizers.Adam(options.outer_learning_rate), "mse")
    waves, start = Sinusoid(), model.get_weights()
    episodes = waves.as_dataset(options.tasks, options.shot, options.shot, seed=seed, num_batches=options.steps)

    def held_out(split: str) -> Any:
        batches = max(1, options.held_out // 100)
        return waves.split(split).as_dataset(100, options.shot, options.points, seed=seed, num_batches=batches).cache()

    clock = time.perf_counter()
    learner.fit(episodes, verbose=0)
    seconds = {"maml": time.perf_counter() - clock}
    maml = AdaptationCurve(learner, READ_AT)(held_out("meta_test")).mean(axis=0).tolist()
    model.set_weights(start)
    clock = time.perf_counter()
    model.fit(pooled_examples(episodes), shuffle=False, verbose=0)
    seconds["joint"] = time.perf_counter() - clock
    joint, rates = tuned(learner, held_out("meta_validation"), held_out("meta_test"), options.inner_learning_rate)
    line = ", ".join(f"{n} steps {m:.3f} / {j:.3f}" for n, m, j in zip(READ_AT, maml, joint, strict=True))
    print(f"seed {seed}: MAML / joint {line}; trained in {seconds['maml']:.0f} / {seconds['joint']:.0f} s")
    return {"seed": seed, "maml": maml, "joint": joint, "joint_rates": rates, "seconds": seconds}


def tuned(learner: Any, validation: Any, test: Any, rate: float) -> tuple[list[float], list[float]]:
    """The loss at each number of steps, each at its own best rate, and those rates."""
    from metagpt_tf.meta import AdaptationCurve, best_rate

    losses, rates = [], []
    for steps in READ_AT:
        curve = AdaptationCurve(learner, (steps,))
        best = best_rate(curve, validation, MULTIPLIERS)[0] if steps else 1.0
        losses.append(float(curve(test, best).mean()))
        rates.append(best * rate)
    return losses, rates


if __name__ == "__main__":
    main()
