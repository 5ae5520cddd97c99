"""Values inside objects, named by a path such as `item.id`: taken out as columns, or proposed where a column lacks."""

from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

from recsys.catalogue.folding import SEPARATOR, folded
from recsys.catalogue.readers.rows import RawRow

_TRIED = 100
"""So many rows at the beginning show what is inside."""
_MOST_PATHS = 1000
"""About so many paths are proposed at most: an object of counts by user has millions of names."""


def with_inner(rows: Iterator[RawRow], paths: Mapping[str, str], columns: set[str]) -> Iterator[RawRow]:
    """Rows with the values at some paths as further columns, named by their paths.

    A path leads through objects. Through a list of objects it leads into each of them and gives a list. Case and
    separators inside its names do not matter. A column that has a path's name is that column. Where a path leads into
    the column that it stands for, as `title.en` for the title, its value takes the place of the object.

    Args:
        rows: as landed; an object loses what is taken out of it.
        paths: such as `item.id`, each with the name of the column that it stands for.
        columns: takes the paths that are found.

    Yields:
        One row per row.
    """
    steps = {path: [folded(name) for name in path.split(SEPARATOR)] for path in paths}
    own = {path for path, ours in paths.items() if steps[path][0] == folded(ours)}
    for row in rows:
        for path, names in steps.items():
            if path in own:
                _put_in_place(row.values, names)
            elif path not in row.values and (found := _taken(row.values, names)) is not None:
                row.values[path] = found
                columns.add(path)
        yield row


def _put_in_place(values: dict[str, Any], names: Sequence[str]) -> None:
    """Let the value inside an object take its place, and in a list that of each object."""
    key = next((key for key in values if _folded(key) == names[0]), None)
    if key is None:
        return
    inner = values[key]
    if isinstance(inner, dict):
        values[key] = _taken(inner, names[1:])
    elif isinstance(inner, list):
        each = [_taken(one, names[1:]) if isinstance(one, dict) else one for one in inner]
        values[key] = [one for one in each if one is not None]


def _taken(values: MutableMapping[str, Any], names: Sequence[str]) -> Any:  # noqa: ANN401  any JSON
    """What the names lead to, or None; it is taken out, unless it lies in a list."""
    key = next((key for key in values if _folded(key) == names[0]), None)
    if key is None:
        return None
    inner = values[key]
    if len(names) == 1:
        return values.pop(key)
    if isinstance(inner, list):
        each = [_taken(dict(one), names[1:]) for one in inner if isinstance(one, dict)]
        return [one for one in each if one is not None] or None
    if not isinstance(inner, dict):
        return None
    found = _taken(inner, names[1:])
    if not inner:
        del values[key]
    return found


@lru_cache(4096)
def _folded(name: str) -> str:
    return folded(name)


@dataclass
class Inside:
    """What the first rows of a file hold inside their columns."""

    holders: set[str] = field(default_factory=set)
    """Columns that hold objects or lists of objects."""
    of_lists: dict[str, set[str]] = field(default_factory=dict)
    """Column that holds a list of objects -> names in them."""
    _n_paths: Counter[str] = field(default_factory=Counter)
    _n_lists: Counter[str] = field(default_factory=Counter)
    """Rows that have a path, or a list of objects."""
    _n_seen: int = 0

    def observe(self, values: Mapping[str, Any]) -> None:
        """Look at one row, if it is among the first ones."""
        if self._n_seen == _TRIED:
            return
        self._n_seen += 1
        for name, value in values.items():
            if isinstance(value, dict):
                self.holders.add(name)
                if len(self._n_paths) < _MOST_PATHS:
                    self._n_paths.update(
                        f"{name}{SEPARATOR}{inner}"
                        for inner, one in islice(value.items(), _MOST_PATHS)
                        if not isinstance(one, dict | list)
                    )
            elif isinstance(value, list) and value and isinstance(value[0], dict):
                self.holders.add(name)
                self._n_lists[name] += 1
                self.of_lists.setdefault(name, set()).update(value[0])

    @property
    def paths(self) -> set[str]:
        """Paths of the single values in objects that most rows have. A name that few have may be a person's id."""
        return {path for path, n in self._n_paths.items() if 2 * n > self._n_seen}

    @property
    def usual_lists(self) -> dict[str, set[str]]:
        """Those of `of_lists` that most rows have."""
        return {
            name: inner for name, inner in self.of_lists.items() if 2 * self._n_lists[name] > self._n_seen
        }
