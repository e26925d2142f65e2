"""Tuning, fusion and architecture search, judged by the quality after adaptation.

KerasTuner is needed by `search` alone, and imported there.
"""

from metagpt_tf.tuning.architecture import Found, find_architecture
from metagpt_tf.tuning.costs import FileBudget
from metagpt_tf.tuning.elastic import ElasticLearner, elastic, part_of
from metagpt_tf.tuning.for_task import TaskChoice, TaskGain, TaskTuner
from metagpt_tf.tuning.fusion import fuse
from metagpt_tf.tuning.search import SearchResult, search
from metagpt_tf.tuning.soups import greedy_soup
from metagpt_tf.tuning.space import Space

__all__ = [
    "ElasticLearner",
    "FileBudget",
    "Found",
    "SearchResult",
    "Space",
    "TaskChoice",
    "TaskGain",
    "TaskTuner",
    "elastic",
    "find_architecture",
    "fuse",
    "greedy_soup",
    "part_of",
    "search",
]
