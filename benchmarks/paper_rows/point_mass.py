"""Does one policy gradient teach a goal? MAML on the paper's 2-D point mass.

Policy 2-100-100-2 (ReLU), 20 goals a step, 20 trajectories a gradient, inner rate 0.1. Judged is the mean return on 40
held-out goals after n gradient steps, each on fresh episodes; the first at the inner rate, later ones at half of it, as
in the paper. The world is the paper's; its outer step is TRPO, here it is Adam with a falling rate.
"""

from paper_rows.base import Experiment, Result

TRAJECTORIES, STEPS = 20, 3
PAPER = {f"{TRAJECTORIES}/{step}": value for step, value in enumerate((-40.41, -11.68, -3.33, -3.23))}


def train(seed: int, iterations: int) -> Result:
    """Meta-train a policy, and read its returns on held-out goals."""
    import keras

    from metagpt_tf.meta import MAML
    from metagpt_tf.reinforcement import PointMass, PolicyGradientLearner, gaussian_policy

    keras.utils.set_random_seed(seed)
    world = PointMass(reward="distance")
    algorithm = MAML(inner_steps=1, inner_learning_rate=0.1)
    learner = PolicyGradientLearner(
        gaussian_policy(initial_std=1.0), world, algorithm, trajectories=TRAJECTORIES, evaluation_steps=STEPS
    )
    learner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, iterations), clipnorm=1.0))
    learner.fit(world.as_dataset(20, seed=seed, num_batches=iterations), verbose=0)
    held_out = world.as_dataset(40, seed=-1 - seed, num_batches=1)  # training seeds are not negative
    returns = learner.evaluate(held_out, verbose=0, return_dict=True).values()
    return {f"{TRAJECTORIES}/{step}": float(value) for step, value in enumerate(returns)}


PROTOCOL = "mean return, shots are trajectories; 180 outer steps of Adam, falling rate; the paper up to 500 of TRPO"
EXPERIMENTS = [Experiment("point_mass/maml", train, 180, 20, PAPER, PROTOCOL)]
