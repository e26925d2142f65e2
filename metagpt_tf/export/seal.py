"""What a LiteRT file says of itself, and the checksum by which it is known to be whole.

A `.tflite` file has no checksum of its own, and the runtime trusts what it reads: a changed byte is another weight, or
the end of the process. So the file's metadata, JSON in the buffer called `metagpt_tf`, holds the SHA-256 of the whole
file, taken with zeros in the digest's own place. It is found by its name, without reading the file as a LiteRT file.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

NAME = "metagpt_tf"
DIGEST = re.compile(rb'\{"metagpt_tf": (\d+), "sha256": "([0-9a-f]{64})"')
FORMAT = 1
EMPTY = "0" * 64


def described(about: dict[str, Any]) -> bytes:
    """The metadata's bytes, with an empty digest."""
    return json.dumps({NAME: FORMAT, "sha256": EMPTY, **about}, ensure_ascii=True).encode()


def sealed(content: bytes) -> bytes:
    """A file with its digest written into its metadata; one without metadata stays as it is.

    Example:

    >>> content = sealed(b"start " + described({"name": "a"}) + b" end")
    >>> about_of(content)["name"]
    'a'
    >>> about_of(content.replace(b"start", b"stort"))
    Traceback (most recent call last):
    ...
    ValueError: The file is damaged: its SHA-256 is not the one that is written in it. Copy it again.
    """
    found = DIGEST.search(content)
    if found is None:
        return content
    start, end = found.span(2)
    empty = content[:start] + EMPTY.encode() + content[end:]
    return empty[:start] + hashlib.sha256(empty).hexdigest().encode() + empty[end:]


def about_of(content: bytes) -> dict[str, Any]:
    """What a whole file says of itself; needs nothing but Python.

    Args:
        content: of the file.

    Returns:
        Of `export_litert`'s files: `name`, `model` (SHA-256 of the weights), `scope`, `state_size`, `tokenizer`,
        `signatures`, `licence`, `limits`, and more.

    Raises:
        ValueError: a file that is damaged, or has no such metadata.
    """
    found = DIGEST.search(content)
    if found is None:
        raise ValueError("The file has no metadata of metagpt_tf: it is damaged, or export_litert did not write it.")
    if sealed(content) != content:
        raise ValueError("The file is damaged: its SHA-256 is not the one that is written in it. Copy it again.")
    if int(found[1]) != FORMAT:
        raise ValueError(f"The file's metadata is of format {int(found[1])}, and this reads {FORMAT}. Export it again.")
    return json.JSONDecoder().raw_decode(content[found.start() :].split(b"\0", 1)[0].decode("ascii", "replace"))[0]


def read_about(path: str | os.PathLike) -> dict[str, Any]:
    """What the `.tflite` file at a path says of itself, see `about_of`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: see `about_of`; names the path.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no LiteRT file at {path}. export_litert(learner, path) writes one.")
    try:
        return about_of(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not a readable LiteRT file: {error}") from error
