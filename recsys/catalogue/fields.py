"""Single values of a landed row, read strictly: an unclear value makes a bad row, never a guess."""

import math
import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

TRUE = {"true", "t", "1", "1.0", "yes", "y", "on"}
FALSE = {"false", "f", "0", "0.0", "no", "n", "off"}
EVENT_FORM = re.compile(r"[\w.:-]{1,64}")
"""The name of an event. Ids of people (addresses, spaces) do not pass as one."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MAX_SHOWN_CHARS = 60
MAX_WHOLE = 2**53
"""Whole numbers from here on are not exact as floats."""

# Invisible and never meant: zero-width space, word joiner, byte order mark; unusual spaces are spaces.
_UNSEEN = {0x200B: None, 0x2060: None, 0xFEFF: None, 0x00A0: " ", 0x2007: " ", 0x202F: " "}
# At an end also joiners, soft hyphens and marks of direction; inside a word some scripts need them.
_AT_ENDS = "\u00ad\u200c\u200d\u200e\u200f\u180e" + "".join(filter(str.isspace, map(chr, range(0x3001))))
# As spreadsheets and floats write large numbers; 12E5 without the sign is a name like any other.
_SCIENTIFIC = re.compile(r"[+-]?\d(?:[.,]\d+)?[eE]\+\d+", re.ASCII)


AS_UTF8 = (
    "write the file in UTF-8: Excel saves it as 'CSV UTF-8', and of a file in Windows' Western encoding "
    "`iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW` makes one"
)
"""What to do with text in another encoding."""


class BadRow(Exception):  # noqa: N818  a row's verdict, caught where rows are read; never leaves the room
    """Why a row goes to quarantine.

    Args:
        reason: one of the reasons that `expectations` knows.
        detail: for people; never holds a value of an interaction.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def is_missing(value: object, words: frozenset[str]) -> bool:
    """Whether a value means "missing".

    Args:
        value: as landed.
        words: texts that mean a missing value, `ingest.missing_values`.

    Returns:
        True for None, NaN, blank text and the words.
    """
    if isinstance(value, str):
        stripped = value.strip()
        return not stripped or stripped in words
    if value is None:
        return True
    return isinstance(value, float | Decimal) and (
        value.is_nan() if isinstance(value, Decimal) else value != value
    )


def shown(value: object) -> str:
    """A value for a message: quoted, escaped and short."""
    # repr escapes control characters and half surrogates already.
    words = repr(value) if isinstance(value, str | int | float | bool) else _named(value)
    return words if len(words) <= MAX_SHOWN_CHARS else f"{words[:MAX_SHOWN_CHARS]}…"


def plain_id(value: str) -> str:
    """An id as it is compared: Unicode NFC, without invisible characters and surrounding white space."""
    if value.isascii():
        return value.strip()
    return unicodedata.normalize("NFC", value.translate(_UNSEEN)).strip(_AT_ENDS)


def identifier(value: object, name: str) -> str:
    """An id: text, or a whole number.

    Args:
        value: as landed, not missing.
        name: its column, for the message.

    Returns:
        The id as `plain_id` returns it; empty if it has no visible character.

    Raises:
        BadRow: wrong_type, bad_id, nul_byte or not_utf8.
    """
    if isinstance(value, str):
        found = plain_id(sound(value, name))
        if CONTROL.search(found):
            raise BadRow("bad_id", f"{name} holds a control character")
        if _SCIENTIFIC.fullmatch(found):
            problem = "is in scientific notation, digits are lost; export the column as text"
            raise BadRow("bad_id", f"{name} {problem}")
        return found
    if isinstance(value, bool):
        raise BadRow("wrong_type", f"{name} should be text or a whole number, not a bool")
    if isinstance(value, int | UUID):
        return str(value)
    if isinstance(value, float | Decimal):
        return _whole(value, name)
    if isinstance(value, bytes):
        return identifier(text(value, name), name)
    raise BadRow("wrong_type", f"{name} should be text or a whole number, not {_kind(value)}")


def _whole(value: float | Decimal, name: str) -> str:
    if not math.isfinite(value) or value != int(value):
        raise BadRow("wrong_type", f"{name} should be text or a whole number")
    if isinstance(value, float) and abs(value) >= MAX_WHOLE:
        raise BadRow("bad_id", f"{name} is a float too large to be exact; export the column as text")
    return str(int(value))


def text(value: object, name: str) -> str:
    """A text; numbers are their digits, a list of texts is one text with a line each.

    Args:
        value: as landed, not missing.
        name: its column, for the message.

    Returns:
        The text.

    Raises:
        BadRow: wrong_type, nul_byte or not_utf8.
    """
    if isinstance(value, str):
        return sound(value, name)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        is_whole = math.isfinite(value) and value == int(value)
        return str(int(value)) if is_whole else str(value)
    if isinstance(value, bytes):
        try:
            return sound(value.decode(), name)
        except UnicodeDecodeError as error:
            raise BadRow("not_utf8", f"{name} holds bytes that are not UTF-8") from error
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return sound("\n".join(value), name)
    raise BadRow("wrong_type", f"{name} should be text, not {_kind(value)}")


def sound(value: str, name: str) -> str:
    """The text itself, after a check that it can be stored.

    Args:
        value: a text.
        name: its column, for the message.

    Returns:
        The same text.

    Raises:
        BadRow: nul_byte or not_utf8.
    """
    if value.isascii() and "\0" not in value:
        return value
    if "\0" in value:
        raise BadRow("nul_byte", f"{name} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRow("not_utf8", f"{name} holds half a surrogate pair at character {error.start}") from error
    return value


def flag(value: object, name: str) -> bool:
    """A bool, 0 or 1, or one of true, t, yes, y, on and their opposites, in any case.

    Args:
        value: as landed, not missing.
        name: its column, for the message.

    Returns:
        The truth of it.

    Raises:
        BadRow: wrong_type.
    """
    word = str(value).strip().lower() if isinstance(value, str | bool | int | float | Decimal) else "?"
    if word not in TRUE | FALSE:
        raise BadRow("wrong_type", f"{name} should be true or false (or 1 or 0, yes or no, t or f)")
    return word in TRUE


def _kind(value: object) -> str:
    if isinstance(value, Iterable) and not isinstance(value, dict):
        return "a list of other things than texts"
    return _named(value)


def _named(value: object) -> str:
    """What a value is, where it is not shown itself."""
    return {bool: "a bool", dict: "an object"}.get(type(value), f"a {type(value).__name__}")
