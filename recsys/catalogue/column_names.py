"""What the columns of one landed file mean, by their names: ours, those that params give, and what may be meant."""

from collections.abc import Iterable, Mapping
from typing import Any

from recsys.catalogue.folding import folded
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.likely_columns import as_our_own, likely_names
from recsys.catalogue.readers.inner_values import Inside
from recsys.catalogue.readers.separators import names_key
from recsys.errors import BatchRefused


class ColumnNames:
    """The names of one file's columns. Case and separators do not matter.

    Args:
        kind: of the table, see `KINDS`.
        also: further names of our columns, such as weight for value.
        given: names that params give to our columns; they count where the file lacks our own.
    """

    def __init__(self, kind: str, also: Mapping[str, str], given: Mapping[str, str]) -> None:
        self._kind, ours = kind, KINDS[kind]
        self._ours = {folded(name): name for name in ours.columns}
        self._ours |= {folded(theirs): meant for theirs, meant in also.items()}
        self._given = {folded(theirs): meant for theirs, meant in given.items()}
        self._optional = [name for name in ours.columns if name not in ours.ids]
        self._names: dict[str, str] = {}
        self._inside = Inside()

    def observe(self, values: Mapping[str, Any]) -> None:
        """Look at a row for what is inside its values."""
        self._inside.observe(values)

    def learn(self, columns: set[str], key: str) -> None:
        """Find out what columns mean; again whenever further ones are found.

        Args:
            columns: of the file.
            key: the file's name, for messages.

        Raises:
            BatchRefused: two columns have one meaning.
        """
        meant: dict[str, str] = {}
        for names in (self._ours, self._given):
            settled = set(meant)
            for name in sorted(columns):
                ours = names.get(folded(name))
                if ours is None or ours in settled:
                    continue
                if ours in meant:
                    raise BatchRefused(
                        f"{key}: columns {meant[ours]!r} and {name!r} both mean {ours}",
                        remedy=f"keep one of them, as {ours}, and rename the other",
                    )
                meant[ours] = name
        self._names = {name: ours for ours, name in meant.items() if name != ours}

    def ours(self, name: str) -> str:
        """Our name of a column, or its own."""
        return self._names.get(name, name)

    def theirs(self, ours: str) -> str:
        """The file's name of one of our columns, or ours."""
        return next((name for name, meant in self._names.items() if meant == ours), ours)

    def renamed(self, values: dict[str, Any]) -> dict[str, Any]:
        """A row under our names of the columns."""
        return (
            {self._names.get(name, name): value for name, value in values.items()} if self._names else values
        )

    def notes(self) -> list[str]:
        """Notes for people: columns under other names."""
        return [f"column {name!r} read as {ours}" for name, ours in sorted(self._names.items())]

    def hints(self, columns: Iterable[str]) -> list[str]:
        """Columns that may be meant as a missing optional one; for required ones see the expectations."""
        others = self.candidates(columns)
        lacking = [name for name in self._optional if name not in {self.ours(one) for one in columns}]
        likely: dict[str, str] = {}
        for name in lacking:
            for theirs in likely_names(others, name)[:1]:
                likely.setdefault(theirs, name)
        if not likely:
            return []
        are, line = "is it" if len(likely) == 1 else "are they", as_our_own(self._kind, likely)
        return [
            f"no column {' and '.join(likely.values())}: {are} {' and '.join(map(repr, likely))}? then {line}"
        ]

    def candidates(self, columns: Iterable[str]) -> frozenset[str]:
        """What may be meant as a missing column: columns of single values, and paths into columns of objects."""
        single = {name for name in columns if name not in self._names and folded(name) not in self._ours}
        tags = {name for name, inner in self._inside.of_lists.items() if "name" in inner}
        return frozenset(single - (self._inside.holders - tags) | self._inside.paths)

    @property
    def list_of_items(self) -> str:
        """A column with a list of objects that name items, such as the lines of an order; empty if there is none."""
        for name, inner in sorted(self._inside.usual_lists.items()):
            likely = set(likely_names(inner, "item_id")) - {"id"}  # pictures have an id, too
            if likely or names_key(inner):
                return name
        return ""
