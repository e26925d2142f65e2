"""Tuning, fusion and architecture search, judged by the quality after adaptation.

KerasTuner is needed by `search` alone, and imported there.
"""

from metagpt_tf.tuning.fusion import fuse
from metagpt_tf.tuning.search import SearchResult, search
from metagpt_tf.tuning.soups import greedy_soup
from metagpt_tf.tuning.space import Space

__all__ = ["SearchResult", "Space", "fuse", "greedy_soup", "search"]
