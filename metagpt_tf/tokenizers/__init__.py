"""Text to ids and back, in Python and inside a TensorFlow graph; `get("bytes")` makes one by name."""

from metagpt_tf.tokenizers.base import Tokenizer, registry
from metagpt_tf.tokenizers.bytes import ByteTokenizer

get = registry.get

__all__ = ["ByteTokenizer", "Tokenizer", "get", "registry"]
