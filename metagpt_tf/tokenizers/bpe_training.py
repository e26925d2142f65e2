"""Learning byte pairs with the `tokenizers` library; nothing else here needs it."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from metagpt_tf.tokenizers.base import as_bytes
from metagpt_tf.tokenizers.bytes import BYTES
from metagpt_tf.tokenizers.words import split_words

# Each byte travels as the character 0x100 + byte: a letter, and never the blank that parts two words.
SHIFT = 0x100
ALPHABET = [chr(SHIFT + value) for value in range(BYTES)]
TO_TEXT = {value: SHIFT + value for value in range(BYTES)}


def learn_merges(texts: Iterable[str | bytes], count: int, min_frequency: int) -> list[tuple[bytes, bytes]]:
    """The byte-pair merges of some texts that make the first `count` pieces.

    Args:
        texts: read once.
        count: number of pieces that the merges make.
        min_frequency: how often a pair must be seen to be joined.

    Returns:
        The two byte strings of each merge, in order.

    Raises:
        ImportError: the `tokenizers` library is not installed.
        ValueError: no text, or too little for so many merges.
    """
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ImportError as error:
        raise ImportError(
            "BPETokenizer.train needs the `tokenizers` library: pip install 'metagpt_tf[bpe]'. A trained tokenizer "
            "loads, encodes and decodes without it."
        ) from error
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=BYTES + count, min_frequency=min_frequency, initial_alphabet=ALPHABET, show_progress=False
    )
    learner.train_from_iterator(_shifted(texts), trainer)
    merges = _merges_of(learner)
    learned = len({left + right for left, right in merges})
    if learned < count:
        raise ValueError(
            f"The texts give {learned} pieces that are seen min_frequency={min_frequency} times, and {count} are asked "
            f"for. Give more text, or lower vocabulary_size by {count - learned}."
        )
    return merges


def _shifted(texts: Iterable[str | bytes]) -> Iterator[str]:
    """Each text as words of shifted characters, parted by blanks."""
    for text in texts:
        words = (word.decode("latin-1").translate(TO_TEXT) for word in split_words(as_bytes(text)))
        yield " ".join(words)


def _merges_of(learner: Any) -> list[tuple[bytes, bytes]]:
    """Every merge of a trained tokenizer, in order."""
    merges = json.loads(learner.to_str())["model"]["merges"]
    return [(_bytes(left), _bytes(right)) for left, right in merges]


def _bytes(piece: str) -> bytes:
    return bytes(ord(character) - SHIFT for character in piece)
