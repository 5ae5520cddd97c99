"""Arrow columns -> plain Python values: text, numbers, bools, dates, times in UTC, lists and objects of these."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from recsys.catalogue.fields import BadRow


def plain_values(column: pa.Array) -> list[Any]:
    """A column as Python values. Values that a dictionary repeats are one object, not copies.

    Args:
        column: of any type.

    Returns:
        One value per row, None where it is missing, a BadRow where Python cannot hold it. Instants are UTC, whatever
        time zone the column names; whole decimals are int, others float.

    Raises:
        ArrowException: the type cannot be read.
    """
    kind = column.type
    if isinstance(column, pa.ExtensionArray) and kind.extension_name != "arrow.uuid":
        return plain_values(column.storage)
    if pa.types.is_dictionary(kind):  # that of a whole file may stand behind a few rows
        used = column.indices.dictionary_encode()
        known = plain_values(column.dictionary.take(used.dictionary))
        return [None if place is None else known[place] for place in used.indices.to_pylist()]
    if pa.types.is_struct(kind):
        return _objects(column)
    if pa.types.is_map(kind):
        pairs = zip(plain_values(column.keys), plain_values(column.items), strict=True)
        return [_as_object(entries) for entries in _slices(column, list(pairs))]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_sound(entries) for entries in _slices(column, plain_values(column.values))]
    if pa.types.is_nested(kind):  # fixed-size lists and views
        return plain_values(column.cast(pa.list_(kind.value_type)))
    return _scalars(column.cast(_readable(kind), safe=False))


def _readable(kind: pa.DataType) -> pa.DataType:
    """A type of the same values that Python can hold: instants in UTC, nothing finer than a microsecond."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if pa.types.is_duration(kind):
        return pa.duration("us")
    if pa.types.is_time(kind):
        return pa.time64("us")
    if pa.types.is_date64(kind):
        return pa.date32()
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    return kind


def _scalars(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type) and (times := _times(column)) is not None:
        return times
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        values = [_value(scalar) for scalar in column]
    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_time(kind) or pa.types.is_duration(kind):
        return [_plain(value) for value in values]
    if isinstance(column, pa.ExtensionArray):
        return [str(value) if isinstance(value, UUID) else value for value in values]
    return values


def _times(column: pa.Array) -> list[Any] | None:
    """Timestamps in microseconds by way of numpy, ten times as fast; None where one is outside the years 1 to 9999."""
    local = column.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    times: list[Any] = local.tolist()
    if not set(map(type, times)) <= {datetime, type(None)}:
        return None
    return times if column.type.tz is None else [one and one.replace(tzinfo=UTC) for one in times]


def _value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return BadRow("not_utf8", "a text is not UTF-8")
    except (ValueError, OverflowError):
        return BadRow("bad_timestamp", "a time lies outside the years 1 to 9999")


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, time):
        return value.isoformat()
    return str(value) if isinstance(value, timedelta) else value


def _slices(column: pa.Array, values: list[Any]) -> Iterator[list[Any] | None]:
    """Entries of each list of a column, out of the values of all."""
    offsets = column.offsets.to_pylist()
    for valid, begin, end in zip(column.is_valid().to_pylist(), offsets[:-1], offsets[1:], strict=True):
        yield values[begin:end] if valid else None


def _objects(column: pa.Array) -> list[Any]:
    names = [column.type.field(n).name for n in range(column.type.num_fields)]
    children = [plain_values(child) for child in column.flatten()]
    rows = zip(*children, strict=True) if children else iter([()] * len(column))
    return [
        _sound(list(row), names) if valid else None
        for valid, row in zip(column.is_valid().to_pylist(), rows, strict=True)
    ]


def _as_object(entries: list[tuple[Any, Any]] | None) -> object:
    if entries is None:
        return None
    if all(isinstance(key, str) for key, _ in entries):
        return _sound([value for _, value in entries], [key for key, _ in entries])
    return [list(pair) for pair in entries]


def _sound(entries: list[Any] | None, names: list[str] | None = None) -> object:
    """A list, or an object if names are given; the fault of an entry if one has a fault."""
    if entries is None:
        return None
    fault = next((entry for entry in entries if isinstance(entry, BadRow)), None)
    if fault:
        return fault
    return dict(zip(names, entries, strict=True)) if names is not None else entries
