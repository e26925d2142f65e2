"""Few-shot problems: `Episode`, `TaskDistribution` and its families."""

from metagpt_tf.tasks.arrays import ArrayTasks
from metagpt_tf.tasks.continuation import text_chunks, token_chunks
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
from metagpt_tf.tasks.text_to_text import (
    classification_pairs,
    dialogue_pairs,
    entities_from_text,
    entity_pairs,
    to_pairs,
    translation_pairs,
    triple_pairs,
)
from metagpt_tf.tasks.tfds_classes import TFDSClasses

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
    "TFDSClasses",
    "TaskDistribution",
    "TextTasks",
    "check_episode",
    "classification_pairs",
    "dialogue_pairs",
    "entities_from_text",
    "entity_pairs",
    "pooled_examples",
    "text_chunks",
    "to_pairs",
    "token_chunks",
    "translation_pairs",
    "triple_pairs",
]
