"""What a text says, without how it was written: markup, compatibility forms, and characters that nobody sees."""

import re
import unicodedata

from recsys.catalogue.markup import without_markup

MAX_LAYERS = 8
"""Markup within escaped markup is looked for so often."""

# Marks of direction, soft hyphens, joiners of words, trade marks: nothing that a word is made of.
_GONE = re.compile(
    "[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\u00ad\u061c\u180e\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\u2120\u2122]"
)
_JOINERS = re.compile("[\u200c\u200d]+")
_AMPERSANDS = re.compile("&(?:amp;|#38;|#x26;)+", re.IGNORECASE)
_ZERO_WIDTH_SPACE = "\u200b"
_FIRST_JOINED = "\u0590"
"""From here on scripts (and emoji) join letters; Latin, Greek and Cyrillic do not."""


def plain_text(text: str) -> str:
    """The words of a text: no markup, Unicode NFKC, nothing unseen, every run of white space one blank.

    Args:
        text: as somebody wrote it, perhaps as HTML, perhaps escaped several times.

    Returns:
        The words; the same text where there is nothing to do.
    """
    for _ in range(MAX_LAYERS):
        found = _once(text)
        if found == text:
            break
        text = found
    return text


def _once(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _GONE.sub("", text.replace(_ZERO_WIDTH_SPACE, " ")))
        text = _JOINERS.sub(_joiner, text)
    else:
        text = _GONE.sub("", text)
    if "&" in text or "<" in text:
        text = without_markup(_AMPERSANDS.sub("&", text) if "&" in text else text)
    return " ".join(text.split())


def _joiner(match: re.Match[str]) -> str:
    """Joiners stay between two characters that can be joined."""
    text, (start, end) = match.string, match.span()
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    return match.group() if before >= _FIRST_JOINED and after >= _FIRST_JOINED else ""
