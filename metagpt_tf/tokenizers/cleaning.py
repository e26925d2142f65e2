"""Text made uniform before it is tokenized: Unicode, control characters, white space, mark-up, stop words."""

import collections
import re
import unicodedata
from collections.abc import Iterable
from html.parser import HTMLParser

from metagpt_tf.registry import closest

HIDDEN_TAGS = ("script", "style", "template", "noscript")
LINE_TAGS = (
    *("p", "br", "div", "li", "ul", "ol", "tr", "table", "blockquote", "pre", "hr", "section", "article"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "title", "header", "footer"),
)
BYTE_ORDER_MARK = "\ufeff"
WORD = re.compile(r"\w+(?:['’]\w+)*")


def clean_text(text: str, lower: bool = False, strip_html: bool = False, keep_lines: bool = True) -> str:
    """One spelling for every text: NFC, no control characters, single blanks.

    Use it for prose from several sources, before a tokenizer. Leave code alone: its indentation means something.
    Padding and the marks of beginning and end are the tokenizer's work (`Tokenizer.pack`).

    In this order: tags (if asked for), lower case (if asked for), removal of control characters, lone surrogates and
    byte order marks, Unicode NFC, white space. Runs of blanks become one, lines lose the blanks at their ends, several
    empty lines become one.

    Args:
        text: str.
        lower: bool, write everything in lower case; default False.
        strip_html: bool, keep only the text of HTML: tags, comments, scripts and styles go, entities become
            characters, a block begins a new line; default False.
        keep_lines: bool, keep line ends (default); otherwise each becomes a blank.

    Returns:
        The text; cleaning it once more (without `strip_html`) changes nothing.

    Raises:
        TypeError: not a `str`.

    Example:

    >>> clean_text("  Cafe\\u0301 \\x00 &amp; <b>bar</b>  ", lower=True, strip_html=True)
    'café & bar'
    """
    if not isinstance(text, str):
        raise TypeError(f"clean_text() takes a str, received {type(text).__name__}. Decode bytes first.")
    if strip_html:
        text = _text_of_html(text)
    if lower:
        text = text.lower()
    # Removed before NFC: a mark behind a control character joins the letter before it.
    text = unicodedata.normalize("NFC", "".join(c for c in text if not _is_noise(c)))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    if not keep_lines:
        return " ".join(line for line in lines if line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _is_noise(character: str) -> bool:
    if character == BYTE_ORDER_MARK:
        return True
    return unicodedata.category(character) in ("Cc", "Cs") and not character.isspace()


class _TextOfHtml(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Hide what is no text; a block begins a line."""
        self.hidden += tag in HIDDEN_TAGS
        if tag in LINE_TAGS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Show again; a block ends a line."""
        self.hidden = max(0, self.hidden - (tag in HIDDEN_TAGS))
        if tag in LINE_TAGS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep the text that is shown."""
        if not self.hidden:
            self.parts.append(data)


def _text_of_html(text: str) -> str:
    parser = _TextOfHtml()
    parser.feed(text)
    parser.close()
    return "".join(parser.parts)


def remove_stop_words(
    text: str, language: str = "english", extra: Iterable[str] = (), stop_words: Iterable[str] | None = None
) -> str:
    """Leave out the words that say little about a text's topic.

    Use it for classification by topic. Not for generation, translation or dialogue: a model must see the words that it
    is to write. This package has no list of its own; it takes yours, or that of the `stop-words` package
    (`pip install metagpt_tf[text]`, 34 languages). `frequent_words` makes one from your own texts.

    Args:
        text: str.
        language: name of the list in the `stop-words` package, such as `"english"` (default), or its code, `"en"`.
        extra: words to leave out as well.
        stop_words: the words to leave out; `None` (default) for the list of `language`.

    Returns:
        The text without these words, whatever their case, and without the blanks before them; if any was left out,
        lines lose the blanks at their beginning too.

    Raises:
        ImportError: no words were given and `stop-words` is not installed.
        TypeError: `extra` or `stop_words` is one string.
        ValueError: a language without a list.

    Example:

    >>> remove_stop_words("The cat sat on the mat.", stop_words=["the", "on"])
    'cat sat mat.'
    """
    for name, words in (("extra", extra), ("stop_words", stop_words)):
        if isinstance(words, str):
            raise TypeError(f"remove_stop_words() takes {name} as several words, received {words!r}. Use [{words!r}].")
    listed = installed_stop_words(language) if stop_words is None else stop_words
    unwanted = {word.casefold() for word in (*listed, *extra)}
    kept = re.sub(rf"[ \t]*({WORD.pattern})", lambda m: "" if m[1].casefold() in unwanted else m[0], text)
    # A removed first word leaves the blank that stood behind it.
    return re.sub(r"^[ \t]+", "", kept, flags=re.MULTILINE) if kept != text else text


def installed_stop_words(language: str) -> list[str]:
    """The list of a language in the `stop-words` package.

    Raises:
        ImportError: the package is not installed.
        ValueError: it has no list of this language.
    """
    try:
        from stop_words import AVAILABLE_LANGUAGES, LANGUAGE_MAPPING, get_stop_words
    except ImportError as error:
        raise ImportError(
            "A list of stop words comes from the `stop-words` package: pip install 'metagpt_tf[text]'. Or give your "
            "own: remove_stop_words(text, stop_words=[…])."
        ) from error
    if language not in AVAILABLE_LANGUAGES and language not in LANGUAGE_MAPPING:
        raise ValueError(f"No stop words for language {language!r}. {closest(language, AVAILABLE_LANGUAGES)}")
    return get_stop_words(language)


def frequent_words(texts: Iterable[str], share: float = 0.5) -> list[str]:
    """Words that stand in a large share of the texts: stop words by what they do, in any language.

    `w` is listed if `texts with w / texts >= share`.

    Args:
        texts: some texts, best those of the training split.
        share: float in (0, 1], the least share of texts; default 0.5.

    Returns:
        The words in lower case, the most frequent first, equally frequent ones in alphabetical order.

    Raises:
        TypeError: `texts` is one string.
        ValueError: no texts, or `share` outside (0, 1].

    Example:

    >>> frequent_words(["the cat", "the dog", "A dog"], share=0.6)
    ['dog', 'the']
    """
    if isinstance(texts, str):
        raise TypeError("frequent_words() takes several texts, received one str. Wrap it: [text].")
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, received {share}.")
    seen = [{word.lower() for word in WORD.findall(text)} for text in texts]
    if not seen:
        raise ValueError("frequent_words() received no texts.")
    counts = collections.Counter(word for words in seen for word in words)
    listed = [word for word, count in counts.items() if count >= share * len(seen)]
    return sorted(listed, key=lambda word: (-counts[word], word))
