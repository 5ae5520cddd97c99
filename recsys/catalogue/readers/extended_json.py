"""Values of MongoDB's extended JSON, such as `{"$oid": "…"}`, as the plain values that they stand for.

Source: https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/ (version 2, canonical and relaxed).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from recsys.catalogue.fields import BadRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain_value(found: dict[str, Any]) -> Any:  # noqa: ANN401  any JSON
    """What an object stands for.

    Args:
        found: an object whose own values are plain already.

    Returns:
        A text, a number, a time (ISO 8601) or None, where the object is a typed value; otherwise the object itself.

    Raises:
        BadRow: wrong_type, where a typed value is not of its type.
    """
    if len(found) != 1:
        return found
    ((name, value),) = found.items()
    if not name.startswith("$") or name not in _TYPES:
        return found
    try:
        return _TYPES[name](value)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRow("wrong_type", f"a {name} of MongoDB holds no such value") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: object) -> int:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return int(value)
    raise TypeError


def _time(value: object) -> str:
    """ISO 8601 as it stands; milliseconds since 1970, as older exports and far times have them, become it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (_EPOCH + timedelta(milliseconds=value)).isoformat()
    return _text(value)


_TYPES: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "$oid": _text,
        "$uuid": _text,
        "$symbol": _text,
        "$numberInt": _whole,
        "$numberLong": _whole,
        "$numberDouble": float,
        "$numberDecimal": float,
        "$date": _time,
        "$undefined": lambda _: None,
    }
)
"""Name of a type -> how its value is read. Others (`$binary`, `$regex`, …) stay objects."""
