"""A landed interaction or impression -> the schema of its kind. Here the raw user id becomes a pseudonym."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from recsys.catalogue.columns import Columns
from recsys.catalogue.fields import EVENT_FORM, BadRow
from recsys.catalogue.kinds import IMPRESSIONS, INTERACTIONS
from recsys.catalogue.landed_rows import LandedRows
from recsys.catalogue.pseudonyms import PSEUDONYM_FORM, NamesUsers
from recsys.catalogue.row_reader import OneFile, unknown_columns
from recsys.catalogue.schemas import PSEUDONYM, SIGNATURE, USER

DEFAULT_EVENT = "interaction"
UNREADABLE = "unreadable"
"""In a quarantined row: columns whose value was not kept, since it may be anything."""


class InteractionRows:
    """Reads rows of interactions, or of impressions; further columns are dropped, they may be personal."""

    def __init__(self, file: OneFile, kind: str = INTERACTIONS) -> None:
        self._file, self._kind = file, kind
        self._readers = _readers(file, kind)

    def prepared(self, values: dict[str, Any]) -> dict[str, Any]:
        """The row under our names of the columns."""
        return self._file.columns.names.renamed(values)

    def normal(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """One row in the columns of the kind, without part and line.

        Args:
            values: our column -> value as landed.

        Returns:
            Column -> value, user already a pseudonym.

        Raises:
            BadRow: a value is missing, has the wrong type or cannot be stored. Its detail never holds a value.
        """
        return {name: read(values) for name, read in self._readers.items()}

    def retained(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What quarantine may keep of a bad row: the pseudonym and every readable value."""
        kept: dict[str, Any] = {}
        unreadable = []
        for name, read in self._readers.items():
            name = PSEUDONYM if name == "user" else name
            try:
                kept[name] = read(values)
            except BadRow:
                unreadable.append(name)
        kept = {name: value for name, value in kept.items() if not self._file.columns.is_missing(value)}
        return kept | ({UNREADABLE: unreadable} if unreadable else {})

    def finished(self, rows: LandedRows, columns: Collection[str]) -> tuple[LandedRows, list[str]]:
        """Every row, and notes for people: a rating under another name would count as a like whatever it says."""
        return rows, self._file.columns.names.hints(columns)

    def ignored(self, columns: Collection[str]) -> dict[str, str]:
        """Columns that the kind does not know.

        Empty if no column names the users: without a header the first row would be shown, and in a matrix of users and
        items the column names are users.
        """
        names = self._file.columns.names
        if not {USER, PSEUDONYM} & {names.ours(name) for name in columns}:
            return {}
        return unknown_columns(self._kind, columns, names, (PSEUDONYM, SIGNATURE))


def _readers(file: OneFile, kind: str) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
    """Stored column -> how it is read from a row."""
    columns, most = file.columns, file.params.max_id_chars
    of_kind: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "event": lambda values: _event(values, columns),
        "value": lambda values: columns.number(values, "value"),
    }
    if kind == IMPRESSIONS:
        of_kind = {
            "request": lambda values: columns.identifier(values, "request"),
            "position": lambda values: _position(values, columns),
            "propensity": lambda values: _propensity(values, columns),
        }
    return {
        "user": lambda values: user(values, file.names, most, columns),
        "item_id": lambda values: columns.identifier(values, "item_id"),
        **of_kind,
        "timestamp": lambda values: columns.moment(values, "timestamp"),
    }


def impression_rows(file: OneFile) -> InteractionRows:
    """Reads rows of impressions: who was shown what, where in which list, and how likely that was."""
    return InteractionRows(file, IMPRESSIONS)


def user(values: Mapping[str, Any], pseudonyms: NamesUsers, max_id_chars: int, columns: Columns) -> str:
    """The row's pseudonym: of its user id, or, in a retried row, the signed one it carries.

    Args:
        values: column -> value as landed.
        pseudonyms: makes and checks pseudonyms.
        max_id_chars: longest user id.
        columns: reads each value as its column is written.

    Returns:
        The pseudonym.

    Raises:
        BadRow: missing_user, id_too_long, wrong_type, bad_id or unsigned_pseudonym.
    """
    if columns.is_missing(values.get(USER)) and not columns.is_missing(values.get(PSEUDONYM)):
        carried, signature = columns.text(values, PSEUDONYM), columns.text(values, SIGNATURE)
        if not (PSEUDONYM_FORM.fullmatch(carried) and pseudonyms.is_signed(carried, signature)):
            raise BadRow(
                "unsigned_pseudonym", f"{PSEUDONYM} without a valid {SIGNATURE}; land {USER} instead"
            )
        return carried
    found = columns.identifier(values, USER)
    if not found:
        raise BadRow("missing_user", f"{USER} is missing")
    if len(found) > max_id_chars:
        raise BadRow("id_too_long", f"{USER} has more than {max_id_chars} characters")
    return pseudonyms.of(found)


def _event(values: Mapping[str, Any], columns: Columns) -> str:
    found = columns.text(values, "event")
    if found and not EVENT_FORM.fullmatch(found):
        raise BadRow("bad_event", "event should be one short word such as view, click, purchase or rating")
    return found or DEFAULT_EVENT


def _position(values: Mapping[str, Any], columns: Columns) -> float | None:
    found = columns.number(values, "position")
    if found is not None and found < 1:
        raise BadRow("bad_position", "position counts from 1")
    return found


def _propensity(values: Mapping[str, Any], columns: Columns) -> float | None:
    found = columns.number(values, "propensity")
    if found is not None and not 0 < found <= 1:
        raise BadRow("bad_propensity", "propensity is the probability to be shown: above 0, at most 1")
    return found
