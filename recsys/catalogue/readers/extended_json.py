"""Values that name their type, as the plain values that they stand for: of MongoDB, Firestore and SPARQL.

Sources: https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/ (version 2, canonical and relaxed),
https://firebase.google.com/docs/firestore/reference/rest/v1/Value, https://www.w3.org/TR/sparql11-results-json/.
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
        return found["value"] if "type" in found and _is_term(found) else found
    ((name, value),) = found.items()
    if name not in _TYPES:
        return found
    try:
        return _TYPES[name](value)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRow("wrong_type", f"a {name} holds no such value") from error


def _is_term(found: Mapping[str, Any]) -> bool:
    """Whether an object is an RDF term in an answer of SPARQL."""
    return {"type", "value"} <= set(found) <= _OF_TERMS and found["type"] in _TERMS


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
        "stringValue": _text,
        "integerValue": _whole,
        "doubleValue": float,
        "booleanValue": lambda value: value,
        "timestampValue": _text,
        "referenceValue": _text,
        "nullValue": lambda _: None,
        "mapValue": lambda value: value.get("fields", {}) if isinstance(value, dict) else _text(None),
        "arrayValue": lambda value: value.get("values", []) if isinstance(value, dict) else _text(None),
    }
)
"""Name of a type, of MongoDB with a $ and of Firestore without -> how its value is read. Others (`$binary`, `$regex`,
`bytesValue`, …) stay objects."""
_TERMS = frozenset({"uri", "literal", "typed-literal", "bnode"})
"""Types of an RDF term in an answer of SPARQL."""
_OF_TERMS = frozenset({"type", "value", "xml:lang", "datatype"})
