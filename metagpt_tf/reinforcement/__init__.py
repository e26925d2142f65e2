"""Meta-reinforcement learning: learn a task from rewards, by a policy gradient or by memory alone.

Axes in comments: M tasks of a meta-batch, N episodes of a task, T steps, O observation, A action, G numbers of a task.
"""

from metagpt_tf.reinforcement.bandits import UCB1, BanditPlayer, Bandits, RandomPlayer, ThompsonSampling
from metagpt_tf.reinforcement.distributions import ActionDistribution, Categorical, Gaussian
from metagpt_tf.reinforcement.environment import Environment, TaskBatch, get, registry
from metagpt_tf.reinforcement.point_mass import PointMass
from metagpt_tf.reinforcement.policies import GaussianHead, RecurrentPolicy, gaussian_policy
from metagpt_tf.reinforcement.policy_gradient import PolicyGradientLearner
from metagpt_tf.reinforcement.rl_squared import RL2
from metagpt_tf.reinforcement.rollout import Noise, Previous, Trajectories, draw_noise, play, rollout

__all__ = [
    "RL2",
    "UCB1",
    "ActionDistribution",
    "BanditPlayer",
    "Bandits",
    "Categorical",
    "Environment",
    "Gaussian",
    "GaussianHead",
    "Noise",
    "PointMass",
    "PolicyGradientLearner",
    "Previous",
    "RandomPlayer",
    "RecurrentPolicy",
    "TaskBatch",
    "ThompsonSampling",
    "Trajectories",
    "draw_noise",
    "gaussian_policy",
    "get",
    "play",
    "registry",
    "rollout",
]
