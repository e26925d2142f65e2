"""Real data on this machine as TFDS builders, and `load_*` functions, which give it as plain lists.

The builders need tensorflow_datasets, whose import is slow: they are loaded when they are first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from metagpt_tf.datasets.alphabets import Alphabets, load_alphabets
from metagpt_tf.datasets.dialogues import load_dialogues
from metagpt_tf.datasets.glyphs import Glyphs, load_glyphs
from metagpt_tf.datasets.image_files import load_image_folder, load_images
from metagpt_tf.datasets.image_sets import load_image_sets
from metagpt_tf.datasets.labelled_texts import load_classification
from metagpt_tf.datasets.loading import functions_at, load_functions
from metagpt_tf.datasets.parallel import load_parallel
from metagpt_tf.datasets.records import Dialogue, LabelledText, TaggedSentence, Triple
from metagpt_tf.datasets.splits import SPLITS, split_tasks
from metagpt_tf.datasets.tagged_sentences import load_entities
from metagpt_tf.datasets.text_files import load_texts
from metagpt_tf.datasets.texts import language_names, load_authors, load_languages
from metagpt_tf.datasets.triples import load_triples

if TYPE_CHECKING:
    from metagpt_tf.datasets.python_functions import PythonFunctions, PythonFunctionsConfig
    from metagpt_tf.datasets.text_builders import AuthorTexts, LanguageTexts, ParallelTexts, pairs_from

LAZY = {
    "AuthorTexts": "text_builders",
    "LanguageTexts": "text_builders",
    "ParallelTexts": "text_builders",
    "PythonFunctions": "python_functions",
    "PythonFunctionsConfig": "python_functions",
    "pairs_from": "text_builders",
}

__all__ = [
    "SPLITS",
    "Alphabets",
    "AuthorTexts",
    "Dialogue",
    "Glyphs",
    "LabelledText",
    "LanguageTexts",
    "ParallelTexts",
    "PythonFunctions",
    "PythonFunctionsConfig",
    "TaggedSentence",
    "Triple",
    "functions_at",
    "language_names",
    "load_alphabets",
    "load_authors",
    "load_classification",
    "load_dialogues",
    "load_entities",
    "load_functions",
    "load_glyphs",
    "load_image_folder",
    "load_image_sets",
    "load_images",
    "load_languages",
    "load_parallel",
    "load_texts",
    "load_triples",
    "pairs_from",
    "split_tasks",
]


def __getattr__(name: str) -> Any:
    if name in LAZY:
        return getattr(importlib.import_module(f"{__name__}.{LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
