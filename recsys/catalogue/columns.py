"""The columns of one landed file: what each means, and how its values are written."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

from recsys.catalogue.column_names import ColumnNames
from recsys.catalogue.fields import BadRow, flag, is_missing, shown, text
from recsys.catalogue.forms import IdForm, NumberForm
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.params import IngestParams
from recsys.catalogue.readers.rows import RawRow
from recsys.catalogue.schemas import RETRY_OF, SIGNATURE
from recsys.catalogue.tags import TagForm
from recsys.catalogue.times import ISO_EXAMPLE, NotFinite, TimeForm

Form = IdForm | TimeForm | TagForm | NumberForm
Value = TypeVar("Value")


class Columns:
    """Reads the values of one file, each the way its column is written. Call `survey` first.

    Args:
        kind: of the table, see `KINDS`.
        missing: texts that mean a missing value.
        also: further names of our columns, such as weight for value.
        shows_values: whether messages hold values, though never ids of users; None: as the kind says.
        given: names that params give to our columns; they count where the file lacks our own.
    """

    def __init__(
        self,
        kind: str,
        missing: Iterable[str] = (),
        also: Mapping[str, str] = MappingProxyType({}),
        shows_values: bool | None = None,
        given: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.missing = frozenset(missing)
        ours = KINDS[kind]
        self._shows_values = ours.shows_values if shows_values is None else shows_values
        self._ids = {name: IdForm(name) for name in ours.ids}
        self._times = {ours.time: TimeForm(ours.time)}
        self._tags = {name: TagForm(name, self.missing) for name in ours.tags}
        self._numbers = {name: NumberForm(name) for name in ours.numbers}
        self._forms: dict[str, Form] = {**self._ids, **self._times, **self._tags, **self._numbers}
        self.names = ColumnNames(kind, also, given)
        """What they mean."""

    def survey(self, rows: Iterator[RawRow], columns: set[str], key: str) -> None:
        """Look at every row once, to learn how each column is written.

        Args:
            rows: of the whole file.
            columns: those found so far; grows while rows are read.
            key: the file's name, for messages.

        Raises:
            BatchRefused: two columns have one meaning.
        """
        n_known, watched, missing = -1, [], self.missing
        settled: set[str] = set()
        for row in rows:
            if len(columns) != n_known:
                n_known = len(columns)
                self.names.learn(columns, key)
                watched = [
                    (name, form.observe, form.observes) for name, form in self._watched(columns - settled)
                ]
            values = row.values
            self.names.observe(values)
            for name, observe, kinds in watched:
                value = values.get(name)
                if isinstance(value, kinds) and not is_missing(value, missing) and observe(value):
                    settled.add(name)
                    watched = [entry for entry in watched if entry[0] not in settled]
        self.names.learn(columns, key)
        if columns & {RETRY_OF, SIGNATURE}:  # written by us: an id that ends in .0 is meant so
            for form in self._ids.values():
                form.is_whole = False

    def _watched(self, columns: set[str]) -> Iterator[tuple[str, Form]]:
        for name in columns:
            ours = self.names.ours(name)
            if ours in self._forms:
                yield name, self._forms[ours]

    def notes(self) -> list[str]:
        """Notes for people about how the file was read; complete after the last row."""
        return self.names.notes() + [note for form in self._forms.values() for note in form.notes()]

    @property
    def ids(self) -> tuple[str, ...]:
        """Our columns that hold ids or names."""
        return tuple(self._ids)

    def is_missing(self, value: object) -> bool:
        """Whether a value stands for nothing."""
        return is_missing(value, self.missing)

    def identifier(self, values: Mapping[str, Any], name: str) -> str:
        """An id; "" where it is missing.

        Args:
            values: column -> value as landed.
            name: the column.

        Returns:
            The id.

        Raises:
            BadRow: wrong_type, bad_id, nul_byte or not_utf8.
        """
        return self._read(values, name, lambda value: self._ids[name].read(value), "")

    def text(self, values: Mapping[str, Any], name: str) -> str:
        """A text, stripped; "" where it is missing.

        Args:
            values: column -> value as landed.
            name: the column.

        Returns:
            The text.

        Raises:
            BadRow: wrong_type, nul_byte or not_utf8.
        """
        value = values.get(name)
        return "" if is_missing(value, self.missing) else text(value, name).strip()

    def address(self, values: Mapping[str, Any], name: str) -> str:
        """An address; "" where it is missing. Shops write it as an object with `src` or `url`, or several in a list.

        Args:
            values: column -> value as landed.
            name: the column.

        Returns:
            The address, the first of several.

        Raises:
            BadRow: wrong_type, nul_byte or not_utf8.
        """
        value = values.get(name)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = value[0]
        if isinstance(value, dict):
            value = next((value[key] for key in ("src", "url") if key in value), value or None)
        return self.text({name: value}, name)

    def labels(self, values: Mapping[str, Any], name: str) -> list[str]:
        """Tags, stripped, without repeats, in order.

        Args:
            values: column -> value as landed.
            name: the column.

        Returns:
            Tags, none of them empty.

        Raises:
            BadRow: wrong_type, nul_byte or not_utf8.
        """
        value = values.get(name)
        return [] if is_missing(value, self.missing) else self._tags[name].read(value)

    def flag(self, values: Mapping[str, Any], name: str) -> bool:
        """A truth value; False where it is missing.

        Args:
            values: column -> value as landed.
            name: the column.

        Returns:
            True or False.

        Raises:
            BadRow: wrong_type.
        """
        return self._read(values, name, lambda value: flag(value, name), False)

    def number(self, values: Mapping[str, Any], name: str) -> float | None:
        """A finite number, or None where it is missing.

        Args:
            values: column -> value as landed.
            name: the column.

        Returns:
            The number, or None.

        Raises:
            BadRow: wrong_type or not_finite.
        """
        return self._read(values, name, lambda value: self._numbers[name].read(value), None)

    def moment(self, values: Mapping[str, Any], name: str) -> datetime | None:
        """A time in UTC, or None where it is missing.

        Args:
            values: column -> value as landed.
            name: the column.

        Returns:
            An aware time in UTC, or None.

        Raises:
            BadRow: bad_timestamp or not_finite.
        """

        def read(value: object) -> datetime:
            try:
                return self._times[name].read(value)
            except NotFinite as error:
                raise BadRow("not_finite", f"{name} should be a finite time") from error
            except ValueError as error:
                raise BadRow("bad_timestamp", f"{name} {error}; {ISO_EXAMPLE}") from error

        return self._read(values, name, read, None)

    def _read(
        self, values: Mapping[str, Any], name: str, read: Callable[[Any], Value], missing: Value
    ) -> Value:
        """Read a value; `missing` where it stands for nothing. A fault names the file's own column."""
        value = values.get(name)
        if is_missing(value, self.missing):
            return missing
        try:
            return read(value)
        except BadRow as fault:
            raise self._with_column(fault, name, value) from fault

    def _with_column(self, fault: BadRow, name: str, value: object) -> BadRow:
        """The fault with the file's own column name, and with the value where it may be shown."""
        subject = self.names.theirs(name)
        if self._shows_values and name != "user_id":
            subject += f" {shown(value)}"
        return BadRow(fault.reason, f"{subject} {fault.detail.removeprefix(name).lstrip()}")


def columns_of(
    kind: str,
    params: IngestParams,
    also: Mapping[str, str] = MappingProxyType({}),
    shows_values: bool | None = None,
) -> Columns:
    """A fresh reader of values, for one file: it knows the names that `ingest.column_names` gives the columns.

    Args:
        kind: of the table.
        params: section `ingest`.
        also: see `Columns`.
        shows_values: see `Columns`.

    Returns:
        The reader, before its survey.
    """
    return Columns(kind, params.missing_values, also, shows_values, params.column_names.get(kind, {}))
