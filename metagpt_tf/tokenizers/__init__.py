"""Text to ids and back, in Python and inside a TensorFlow graph; `get("bytes")` makes one by name."""

from metagpt_tf.tokenizers.base import Tokenizer, registry
from metagpt_tf.tokenizers.bpe import BPETokenizer
from metagpt_tf.tokenizers.bytes import ByteTokenizer
from metagpt_tf.tokenizers.cleaning import clean_text, frequent_words, remove_stop_words

get = registry.get

__all__ = [
    "BPETokenizer",
    "ByteTokenizer",
    "Tokenizer",
    "clean_text",
    "frequent_words",
    "get",
    "registry",
    "remove_stop_words",
]
