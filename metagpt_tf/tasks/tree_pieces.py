"""The words of linearised trees: names, numbers, literals and codes, written to a text and read back from it."""

import ast
import re
import warnings
from typing import Any

from metagpt_tf.tasks import syntax_codes as codes

NUMBER = re.compile(r"\d+(\.\d*)?(e[+-]?\d+)?j?")
LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
DOTTED = re.compile(r"[\w.*]+")


class Pieces:
    """Collects the pieces of a text; a blank goes only where two words would run together."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._after_word, self._after_number = False, False

    def text(self) -> str:
        """What has been written."""
        return "".join(self._pieces)

    def code(self, code: str) -> None:
        """Write a code."""
        self._separate(code)
        self._pieces.append(code)
        self._after_word = self._after_number = False

    def word(self, word: str, number: bool = False) -> None:
        """Write a name or a number."""
        self._separate(word)
        self._pieces.append(word)
        self._after_word, self._after_number = True, number

    def _separate(self, following: str) -> None:
        # A point after a number would be read as its decimal point.
        joins = codes.is_word(following[0]) or (self._after_number and following[0] == ".")
        if self._after_word and joins:
            self._pieces.append(" ")


class Cursor:
    """Reads the pieces of a text one after the other.

    Args:
        text: a linearised tree.
    """

    def __init__(self, text: str) -> None:
        self.text, self.place = text, 0

    def fail(self, expected: str) -> ValueError:
        """An error that says where the text goes wrong."""
        found = repr(self.text[self.place : self.place + 12]) if self.place < len(self.text) else "the end"
        return ValueError(f"No syntax tree: character {self.place} should be {expected}, found {found}.")

    def at_end(self) -> bool:
        """Whether everything is read."""
        return self.place >= len(self.text)

    def peek(self, code: str) -> bool:
        """Whether `code` comes next."""
        return self.text.startswith(code, self.place)

    def take(self, code: str) -> bool:
        """Step over `code` if it comes next."""
        found = self.peek(code)
        self.place += len(code) if found else 0
        return found

    def _code(self, expected: str) -> str:
        size = 2 if self.peek(codes.ESCAPE) else 1
        code = self.text[self.place : self.place + size]
        if len(code) < size:
            raise self.fail(expected)
        self.place += size
        return code

    def _match(self, pattern: re.Pattern[str], expected: str, word: bool = True) -> str:
        found = pattern.match(self.text, self.place)
        if found is None:
            raise self.fail(expected)
        self.place = found.end()
        if word:
            self.take(" ")
        return found.group()

    def word(self) -> str:
        """A name."""
        end = self.place
        while end < len(self.text) and codes.is_word(self.text[end]):
            end += 1
        name = self.text[self.place : end]
        if not name.isidentifier():
            raise self.fail("a name")
        self.place = end
        self.take(" ")
        return name

    def _literal(self) -> str:
        return str(self._value(LITERAL, "a literal", word=False))

    def _value(self, pattern: re.Pattern[str], expected: str, word: bool = True) -> Any:
        start = self.place
        raw = self._match(pattern, expected, word).strip()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unknown escape is a fault of the text, and stays what it says
            try:
                return ast.literal_eval(raw.replace("\n", "\\n"))
            except (SyntaxError, ValueError):
                self.place = start
                raise self.fail(expected) from None

    def _bytes(self) -> bytes:
        text = self._literal()
        if not text.isascii() and max(text) > "\xff":
            raise self.fail("a literal of bytes")
        return text.encode("latin-1")

    def _singleton(self) -> Any:
        code = self._code("one of the constants " + " ".join(codes.CONSTANTS))
        if code not in codes.CONSTANTS:
            raise self.fail("one of the constants " + " ".join(codes.CONSTANTS))
        return codes.CONSTANTS[code]


def quoted(text: str) -> str:
    """A literal of a text: like `repr`, but a line break stays one character."""
    quote = '"' if "'" in text and '"' not in text else "'"
    escaped = {"\\": "\\\\", quote: f"\\{quote}", "\n": "\n"}
    inside = (escaped.get(one) or (one if one.isprintable() else repr(one)[1:-1]) for one in text)
    return quote + "".join(inside) + quote
