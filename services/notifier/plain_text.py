"""What people wrote is text, on one line, and reorders nothing around it."""

import re
import unicodedata

# Controls, lone surrogates, and the marks that could reorder what stands around them (UAX 9: embeddings, overrides,
# isolates). Line breaks are white space and gone before.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def one_line(text: str) -> str:
    """The text without line breaks and controls."""
    return _UNPRINTABLE.sub("", " ".join(text.split()))


def isolated(line: str) -> str:
    """The line, fit to stand amid words of another direction: isolated where it has right-to-left letters (UAX 9)."""
    if line.isascii() or not any(unicodedata.bidirectional(character) in ("R", "AL") for character in line):
        return line
    return f"{_FIRST_STRONG_ISOLATE}{line}{_POP_ISOLATE}"
