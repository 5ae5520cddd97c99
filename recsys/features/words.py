"""Words of a text, for search by words: items and queries are read alike.

Unlike TF-IDF (`encoders/tfidf.py`) nothing is left out: a title may be made of stop words, a code of digits.
"""

import re
import unicodedata
from functools import lru_cache

from recsys.features.scripts import UNSPACED_RANGES

WORDS_VERSION = 1
"""Part of every details key and written into every file of terms; raised when the same text would give other words."""
MAX_CHARS = 64
"""Longer words are cut: nobody types them."""
# Vowel signs and points belong to the letters before them; to Python only letters and digits are letters.
_SIGNS = (
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u0900-\u0963\u0966-\u0dff\u1ab0-\u1aff\u1dc0-\u1dff"
)
_LETTERS = rf"[\w{_SIGNS}{UNSPACED_RANGES}]+"  # one class is far quicker than a choice of two
_JOINERS = "-./&'\u2019\u2010\u2011"
_WORD = re.compile(rf"{_LETTERS}(?:[{_JOINERS}]{_LETTERS})*")
_JOINER = re.compile(f"[{_JOINERS}]")
_RUNS = re.compile(rf"[{UNSPACED_RANGES}]+|[^{UNSPACED_RANGES}]+")
_UNSPACED = re.compile(f"[{UNSPACED_RANGES}]")
_INVISIBLE = dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
_LATIN_ACCENTS = re.compile("(?<=[a-z])[\u0300-\u036f]+")


def words(text: str) -> list[str]:
    """Split a text into words.

    Case, compatibility forms (NFKC) and accents of Latin letters make no difference. What is joined by a hyphen, dot,
    slash, apostrophe or the like gives the whole without its joiners, then its parts: `WH-1000XM4` is found by
    `wh1000xm4`, by `wh-1000xm4` and by `1000xm4`. Numbers keep their joiners (`3.5`). Scripts without blanks give pairs
    of neighbouring characters.

    Args:
        text: of an item, or a query.

    Returns:
        Words in order, repeats included.
    """
    found: list[str] = []
    for written in _WORD.findall(_folded(text).replace("_", "-")):  # to Python a letter, here a joiner
        if written.isascii() and written.isalnum():
            found.append(written[:MAX_CHARS])
        else:
            found.extend(_forms(written))
    return found


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).casefold()
    return unicodedata.normalize("NFC", _LATIN_ACCENTS.sub("", unicodedata.normalize("NFD", text)))


@lru_cache(maxsize=1 << 16)
def _forms(written: str) -> tuple[str, ...]:
    """The words by which one run of letters and joiners is found."""
    if _UNSPACED.search(written):
        runs: list[str] = _RUNS.findall(written)
        return tuple(form for run in runs for form in _forms_of_run(run))
    parts = [part for part in _JOINER.split(written) if part]
    if len(parts) < 2:
        return tuple(part[:MAX_CHARS] for part in parts)
    whole = written if all(part.isdigit() for part in parts) else "".join(parts)
    # A lone letter, such as the s of a genitive, tells nothing.
    return (whole[:MAX_CHARS], *(part[:MAX_CHARS] for part in parts if len(part) > 1 or part.isdigit()))


def _forms_of_run(run: str) -> tuple[str, ...]:
    if not _UNSPACED.match(run):
        return _forms(run)
    return tuple(run[place : place + 2] for place in range(max(1, len(run) - 1)))
