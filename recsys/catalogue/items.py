"""A landed catalogue row -> the catalogue's schema."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from recsys.catalogue.fields import BadRow, flag, identifier, labels, moment, sound, text

COLUMNS = ("item_id", "title", "description", "tags", "image", "updated_at", "deleted")
TEXT_FIELDS = ("title", "description", "tags")
"""At least one of these must say something."""

RETRY_OF = "retry_of"
"""Column that `quarantine retry` adds: where the row was quarantined; never kept as an attribute."""


def normal_item(values: Mapping[str, Any], arrived_at: datetime) -> dict[str, Any]:
    """One row in the catalogue's columns, without part and line.

    Args:
        values: column -> value as landed.
        arrived_at: stands in for a missing updated_at.

    Returns:
        Column -> value.

    Raises:
        BadRow: a value has the wrong type or cannot be stored.
    """
    return {
        "item_id": identifier(values, "item_id"),
        "title": text(values, "title").strip(),
        "description": text(values, "description").strip(),
        "tags": labels(values, "tags"),
        "image": text(values, "image").strip(),
        "attributes": attributes(values),
        "updated_at": moment(values, "updated_at") or arrived_at,
        "deleted": flag(values, "deleted"),
    }


def attributes(values: Mapping[str, Any]) -> str:
    """Further columns as JSON text with sorted keys; missing values (None, empty, NaN) are left out.

    Args:
        values: column -> value as landed.

    Returns:
        JSON text of an object.

    Raises:
        BadRow: not_finite, nul_byte, not_utf8 or wrong_type.
    """
    further = {k: v for k, v in values.items() if k not in COLUMNS and k != RETRY_OF and not _is_absent(v)}
    if not further:
        return "{}"
    try:
        written = json.dumps(
            further,
            sort_keys=True,
            ensure_ascii=False,
            allow_nan=False,
            default=_as_text,
            separators=(",", ":"),
        )
    except ValueError as error:
        raise BadRow("not_finite", "a further column holds a number that is not finite") from error
    except (TypeError, RecursionError) as error:
        raise BadRow("wrong_type", "a further column cannot be written as JSON") from error
    if "\\u0000" in written:
        raise BadRow("nul_byte", "a further column holds a NUL character")
    return sound(written, "a further column")


def _is_absent(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _as_text(value: object) -> str:
    if isinstance(value, bytes):
        raise TypeError("bytes are no text")
    return str(value)
