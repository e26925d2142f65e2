"""Generation tasks from running text: the beginning of a chunk is read, its end is written."""

import itertools
from collections.abc import Callable, Mapping, Sequence

from metagpt_tf.tasks.arrays import OnSmall
from metagpt_tf.tokenizers import Tokenizer
from metagpt_tf.tokenizers.words import split_words

LONGEST_CHARACTER = 4  # bytes of a character in UTF-8
TOKENS_BACK = 8  # how far from its limit a part may end to end with a word, at most

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
    _check_sizes(source_bytes=source_bytes, target_bytes=target_bytes)
    sizes = f"{source_bytes} + {target_bytes} bytes"
    return _of_every_task(texts, join, on_small, sizes, lambda text: _cut(text, source_bytes, target_bytes))


def token_chunks(
    texts: Texts,
    tokenizer: Tokenizer,
    source_tokens: int = 64,
    target_tokens: int = 64,
    join: str | None = "\n",
    on_small: OnSmall = "error",
) -> Pairs:
    """Cut the running text of each task into pairs measured in tokens, between words where there is one.

    As `text_chunks`, for tokenizers whose tokens are of several bytes: parts of `source_tokens` and `target_tokens`
    tokens fill a model's lengths whatever the language. A part ends before the last word that begins in its last tokens
    (a quarter of them, at most eight), else on the border of a character. Read by itself it has no more tokens than
    that, and the same ones, but where a cut fell inside of what the tokenizer takes for one word.

    Args:
        texts: split -> task -> its texts, in order.
        tokenizer: that of the model.
        source_tokens: most tokens of a prefix, without EOS; at least 4.
        target_tokens: most tokens of a continuation, without EOS; at least 4.
        join: what stands between two texts of a task, which are cut as one; None to cut each text by itself.
        on_small: what happens to a task without a whole chunk: `"error"`, or `"drop"` it.

    Returns:
        Split -> task -> `[(prefix, continuation), …]`.

    Raises:
        ValueError: a size below 4, or a task without a whole chunk.
        TypeError: an example is not a text; pairs need no cutting.

    Example:

    >>> from metagpt_tf.tokenizers import ByteTokenizer
    >>> texts = {"meta_train": {"count": ["one two three four"]}}
    >>> token_chunks(texts, ByteTokenizer(), source_tokens=8, target_tokens=8)["meta_train"]["count"]
    [('one two', ' three')]
    """
    _check_sizes(source_tokens=source_tokens, target_tokens=target_tokens)
    sizes = f"{source_tokens} + {target_tokens} tokens"
    return _of_every_task(
        texts, join, on_small, sizes, lambda text: _cut_tokens(text, tokenizer, source_tokens, target_tokens)
    )


def _check_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < LONGEST_CHARACTER:
            raise ValueError(f"{name} must be at least {LONGEST_CHARACTER}, room for one character, received {value}.")


def _of_every_task(
    texts: Texts, join: str | None, on_small: OnSmall, sizes: str, cut: Callable[[bytes], Sequence[tuple[str, str]]]
) -> Pairs:
    if on_small not in ("error", "drop"):
        raise ValueError(f"on_small must be 'error' or 'drop', received {on_small!r}.")
    chunks: Pairs = {}
    for split, tasks in texts.items():
        chunks[split] = {}
        for task, examples in tasks.items():
            running = _running(task, examples, join)
            found = [pair for text in running for pair in cut(text)]
            if not found and on_small == "error":
                raise ValueError(
                    f"Task {task!r} of {split!r} has texts of {[len(text) for text in running][:5]} bytes, and a chunk "
                    f"needs {sizes}. Lower the sizes, or pass on_small='drop'."
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


def _cut_tokens(text: bytes, tokenizer: Tokenizer, source_tokens: int, target_tokens: int) -> list[tuple[str, str]]:
    borders = _borders(text, tokenizer)
    parts, start = [], 0
    for size in itertools.cycle((source_tokens, target_tokens)):
        if start + size >= len(borders):
            break
        end = _last_good(borders, start, start + size)
        while len(tokenizer.encode(text[borders[start][0] : borders[end][0]])) > size:  # a word that is split otherwise
            end = _last_good(borders, start, end - 1)
        parts.append(text[borders[start][0] : borders[end][0]].decode("utf-8"))
        start = end
    return list(zip(parts[::2], parts[1::2], strict=False))


def _borders(text: bytes, tokenizer: Tokenizer) -> list[tuple[int, bool, bool]]:
    """Place of each border between tokens, both ends of the text included, and whether a character, a word begins."""
    pieces, words = tokenizer.pieces, set(itertools.accumulate(map(len, split_words(text)), initial=0))
    places = itertools.accumulate((len(pieces[i]) for i in tokenizer.encode(text)), initial=0)
    characters = ((place, _border(text, place) == place) for place in places)
    return [(place, begins, begins and place in words) for place, begins in characters]


def _last_good(borders: Sequence[tuple[int, bool, bool]], start: int, limit: int) -> int:
    """The last border up to `limit` where a word begins, if one is near, or a character."""
    near = range(limit, max(limit - tokens_back(limit - start), start + 1) - 1, -1)
    for place, places in ((2, near), (1, range(limit, start, -1))):
        found = next((index for index in places if borders[index][place]), None)
        if found is not None:
            return found
    raise ValueError(
        f"No character ends within {limit - start} tokens: this tokenizer's tokens are of parts of several. Raise the "
        "sizes, or cut by bytes with text_chunks()."
    )


def tokens_back(size: int) -> int:
    """How far from a limit of `size` tokens a part may end to end with a word."""
    return min(TOKENS_BACK, size // 4)


def _border(text: bytes, place: int) -> int:
    """The last place up to `place` where a character begins: its other bytes are 0b10xxxxxx."""
    while place < len(text) and text[place] & 0xC0 == 0x80:
        place -= 1
    return place
