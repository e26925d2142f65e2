"""Texts to ids and back, from what model.tflite says of its tokenizer."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

WORD = re.compile(rb" ?[A-Za-z\x80-\xff]+| ?[0-9]+| ?[^\sA-Za-z0-9\x80-\xff]+|\s+(?!\S)|\s+")
LONGEST_WORD = 48


class Texts:
    """Bytes are ids 3 to 258, merges of two ids come after; 1 begins a text, 2 ends it, 0 fills what is left."""

    def __init__(self, merges: Sequence[Sequence[int]]) -> None:
        self.pieces = [b""] * 3 + [bytes([value]) for value in range(256)]
        known = {piece: index for index, piece in enumerate(self.pieces) if piece}
        self._merges: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, (left, right) in enumerate(merges):
            piece = self.pieces[left] + self.pieces[right]
            if piece not in known:
                known[piece] = len(self.pieces)
                self.pieces.append(piece)
            self._merges[left, right] = rank, known[piece]

    def pack(self, texts: Sequence[str], length: int) -> np.ndarray:
        """Ids `(N, length)`; a text that is too long is cut."""
        rows = np.zeros((len(texts), length), "int32")
        for row, text in zip(rows, texts, strict=True):
            words = WORD.findall(text.encode())
            cut = [word[at : at + LONGEST_WORD] for word in words for at in range(0, len(word), LONGEST_WORD)]
            ids = [i for word in cut for i in self._word(word)][: length - 1]
            row[: len(ids) + 1] = [*ids, 2]
        return rows

    def _word(self, word: bytes) -> list[int]:
        ids = [value + 3 for value in word]
        while found := [(*self._merges[pair], at) for at, pair in enumerate(pairwise(ids)) if pair in self._merges]:
            _, joined, place = min(found, key=lambda one: (one[0], one[2]))
            ids[place : place + 2] = [joined]
        return ids

    def text(self, ids: Any) -> str:
        """The text of ids up to the first end."""
        kept = [*map(int, ids), 2]
        return b"".join(self.pieces[i] for i in kept[: kept.index(2)]).decode("utf-8", "replace")
