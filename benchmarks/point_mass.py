"""Does one policy gradient teach a goal? MAML on the paper's 2-D point mass, next to the paper's own figures.

Measured is the mean return of an episode on held-out goals after n gradient steps, each on fresh episodes; the first
at the inner rate, later ones at half of it, as in the paper. The world is the paper's; its outer step is TRPO, here it
is Adam with a falling rate and a clipped gradient. The paper's figures are the mean of its own run.
"""

import argparse
import time
from typing import Any

from machine import describe, sentence
from rounds import require_product, table, write_json
from seeds import interval, use_threads

PAPER = (-40.41, -11.68, -3.33, -3.23)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--steps", type=int, default=180, help="outer steps (the paper takes up to 500)")
    add("--tasks", type=int, default=20, help="goals in a meta-batch")
    add("--trajectories", type=int, default=20, help="N, episodes of one gradient")
    add("--inner-learning-rate", type=float, default=0.1)
    add("--outer-learning-rate", type=float, default=5e-3, help="at the start; falls to 0 by a cosine")
    add("--initial-std", type=float, default=1.0, help="deviation of the policy at the start, 1 for full speed")
    add("--reward", choices=("distance", "squared_distance"), default="distance")
    add("--held-out", type=int, default=40, help="test goals")
    add("--threads", type=int, default=1, help="threads of TensorFlow; 0 for its own choice")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--json", metavar="PATH", help="write the results there")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    use_threads(options.threads)
    machine = describe()
    print(sentence(machine))
    print(
        f"Policy 2-100-100-2 (ReLU), N = {options.trajectories}, {options.tasks} goals a step, {options.steps} steps "
        f"of Adam({options.outer_learning_rate:g}), inner rate {options.inner_learning_rate:g}; mean return on "
        f"{options.held_out} held-out goals, mean over {len(options.seeds)} seeds with its 95 % interval.\n"
    )
    runs = [one_seed(options, seed) for seed in options.seeds]
    found = rows(options, runs)
    cells = [[f"{r['steps']} steps", f"{r['paper']:.2f}", f"{r['ours']:.2f}", spread(r)] for r in found]
    table(["", "paper", "ours", "95 % interval"], cells)
    settings = {key: value for key, value in vars(options).items() if key != "json"}
    content = {"benchmark": "point_mass", "machine": machine, "settings": settings, "runs": runs}
    write_json(options.json, {**content, "rows": found})


def one_seed(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Meta-train a policy, and read its returns on held-out goals."""
    import keras

    from metagpt_tf.meta import MAML
    from metagpt_tf.reinforcement import PointMass, PolicyGradientLearner, gaussian_policy

    keras.utils.set_random_seed(seed)
    world = PointMass(reward=options.reward)
    policy = gaussian_policy(initial_std=options.initial_std)
    algorithm = MAML(inner_steps=1, inner_learning_rate=options.inner_learning_rate)
    learner = PolicyGradientLearner(policy, world, algorithm, trajectories=options.trajectories, evaluation_steps=3)
    rate = keras.optimizers.schedules.CosineDecay(options.outer_learning_rate, options.steps)
    learner.compile(keras.optimizers.Adam(rate, clipnorm=1.0))
    clock = time.perf_counter()
    history = learner.fit(world.as_dataset(options.tasks, seed=seed, num_batches=options.steps), verbose=0).history
    seconds = time.perf_counter() - clock
    held_out = world.as_dataset(options.held_out, seed=-1 - seed, num_batches=1)  # training seeds are not negative
    returns = list(learner.evaluate(held_out, verbose=0, return_dict=True).values())
    line = ", ".join(f"{value:.2f}" for value in returns)
    print(f"seed {seed}: return after 0, 1, 2, 3 steps {line}; trained in {seconds:.0f} s", flush=True)
    training = {name: values[-1] for name, values in history.items()}
    return {"seed": seed, "returns": returns, "seconds": seconds, "training_means": training}


def rows(options: argparse.Namespace, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each number of steps; the interval is `null` for a single seed."""
    found = []
    for steps, paper in enumerate(PAPER):
        mean, half = interval([run["returns"][steps] for run in runs])
        known = len(runs) > 1
        found.append(
            {
                "row": "point_mass/maml",
                "shots": options.trajectories,
                "steps": steps,
                "paper": paper,
                "ours": mean,
                "low": mean - half if known else None,
                "high": mean + half if known else None,
                "seeds": len(runs),
                "iterations": options.steps,
                "seconds": sum(run["seconds"] for run in runs),
            }
        )
    return found


def spread(row: dict[str, Any]) -> str:
    """The interval in words."""
    return "one seed" if row["low"] is None else f"{row['low']:.2f} … {row['high']:.2f}"


if __name__ == "__main__":
    main()
