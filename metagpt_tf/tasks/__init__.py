"""Few-shot problems: `Episode`, `TaskDistribution` and its families."""

from metagpt_tf.tasks.arrays import ArrayTasks
from metagpt_tf.tasks.distribution import TaskDistribution, pooled_examples
from metagpt_tf.tasks.episode import Episode, check_episode
from metagpt_tf.tasks.few_shot import FewShotClasses, FewShotImages
from metagpt_tf.tasks.grammar import Grammars
from metagpt_tf.tasks.in_context import InContext
from metagpt_tf.tasks.in_context_tokens import InContextTokens
from metagpt_tf.tasks.mixed_regression import MixedRegression
from metagpt_tf.tasks.python_code import PythonCode
from metagpt_tf.tasks.sinusoid import Sinusoid
from metagpt_tf.tasks.text import TextTasks

__all__ = [
    "ArrayTasks",
    "Episode",
    "FewShotClasses",
    "FewShotImages",
    "Grammars",
    "InContext",
    "InContextTokens",
    "MixedRegression",
    "PythonCode",
    "Sinusoid",
    "TaskDistribution",
    "TextTasks",
    "check_episode",
    "pooled_examples",
]
