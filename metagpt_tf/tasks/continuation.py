"""Generation tasks from running text: the beginning of a chunk is read, its end is written."""

from collections.abc import Mapping, Sequence

from metagpt_tf.tasks.arrays import OnSmall

LONGEST_CHARACTER = 4  # bytes of a character in UTF-8

Texts = Mapping[str, Mapping[str, Sequence[str]]]
Pairs = dict[str, dict[str, list[tuple[str, str]]]]


def text_chunks(
    texts: Texts, source_bytes: int = 64, target_bytes: int = 64, join: str | None = "\n", on_small: OnSmall = "error"
) -> Pairs:
    """Cut the running text of each task into pairs: a prefix to read, its continuation to write.

    Use it before `TextTasks.from_pairs` to make generation tasks of `load_authors`, `load_languages` or `load_texts`. A
    task's text is cut from its beginning into chunks one after the other, each of a prefix of at most `source_bytes`
    and a continuation of at most `target_bytes` bytes of UTF-8:

        text = prefix₁ continuation₁ prefix₂ continuation₂ …

    Chunks do not overlap, and they stand in the order of the text. An episode draws them without replacement, so
    support and query are different places of the text; neighbours may be in both, but no character is. Cuts are between
    characters, so a part may be up to three bytes shorter. What does not fill a chunk at the end is left out.

    Args:
        texts: split -> task -> its texts, in order.
        source_bytes: most bytes of a prefix, at least 4. `TextTasks` needs a token more, for EOS.
        target_bytes: most bytes of a continuation, at least 4.
        join: what stands between two texts of a task, which are cut as one; None to cut each text by itself.
        on_small: what happens to a task without a whole chunk: `"error"`, or `"drop"` it.

    Returns:
        Split -> task -> `[(prefix, continuation), …]`.

    Raises:
        ValueError: a size below 4, or a task without a whole chunk.
        TypeError: an example is not a text; pairs need no cutting.

    Example:

    >>> from metagpt_tf.tasks import TextTasks
    >>> chunks = text_chunks({"meta_train": {"count": ["one two three four five"]}}, source_bytes=4, target_bytes=5)
    >>> chunks["meta_train"]["count"]
    [('one ', 'two t'), ('hree', ' four')]
    >>> tasks = TextTasks.from_pairs(chunks, "bytes", source_length=5, target_length=6)
    >>> tasks.episode("count", k_shot=1, n_query=1).query_y.shape
    TensorShape([1, 6])
    """
    for name, value in (("source_bytes", source_bytes), ("target_bytes", target_bytes)):
        if value < LONGEST_CHARACTER:
            raise ValueError(f"{name} must be at least {LONGEST_CHARACTER}, room for one character, received {value}.")
    if on_small not in ("error", "drop"):
        raise ValueError(f"on_small must be 'error' or 'drop', received {on_small!r}.")
    chunks: Pairs = {}
    for split, tasks in texts.items():
        chunks[split] = {}
        for task, examples in tasks.items():
            running = _running(task, examples, join)
            found = [pair for text in running for pair in _cut(text, source_bytes, target_bytes)]
            if not found and on_small == "error":
                raise ValueError(
                    f"Task {task!r} of {split!r} has texts of {[len(text) for text in running][:5]} bytes, and a chunk "
                    f"needs {source_bytes} + {target_bytes}. Lower the sizes, or pass on_small='drop'."
                )
            if found:
                chunks[split][task] = found
    return chunks


def _running(task: str, examples: Sequence[str], join: str | None) -> list[bytes]:
    """The texts of a task as bytes: one, or each by itself."""
    if isinstance(examples, str) or not all(isinstance(text, str) for text in examples):
        raise TypeError(
            f"text_chunks() takes a list of texts for each task; {task!r} is {str(examples)[:60]}… of "
            f"{type(examples).__name__}. Pairs go to TextTasks.from_pairs as they are."
        )
    return [text.encode("utf-8") for text in (examples if join is None else [join.join(examples)])]


def _cut(text: bytes, source_bytes: int, target_bytes: int) -> list[tuple[str, str]]:
    pairs = []
    start = 0
    while len(text) - start >= source_bytes + target_bytes:
        middle = _border(text, start + source_bytes)
        end = _border(text, middle + target_bytes)
        pairs.append((text[start:middle].decode("utf-8"), text[middle:end].decode("utf-8")))
        start = end
    return pairs


def _border(text: bytes, place: int) -> int:
    """The last place up to `place` where a character begins: its other bytes are 0b10xxxxxx."""
    while place < len(text) and text[place] & 0xC0 == 0x80:
        place -= 1
    return place
