"""Arguments of a release's methods: ids of any usual type, lists of ids, lengths of lists."""

import operator
from collections.abc import Iterable
from typing import SupportsIndex

import numpy as np

from recsys.catalogue.fields import BadRow, identifier
from recsys.profiles.item_ids import ItemIds, NamedRows
from recsys.storage.strings import UNKNOWN


def id_text(value: object, name: str) -> str:
    """An id as intake writes it: text, or a whole number in digits, whatever type it comes in.

    Args:
        value: a text, an int, a float that is a whole number, or one of numpy's or pyarrow's.
        name: item_id or user_id, for the message.

    Returns:
        The id. A text that intake would refuse as an id comes back unchanged; no item or user has it.

    Raises:
        TypeError: it is neither text nor a whole number.
    """
    plain = value.item() if isinstance(value, np.generic) else value
    plain = plain.as_py() if hasattr(plain, "as_py") else plain
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if isinstance(plain, bool) or not isinstance(plain, str | int):
        raise TypeError(f"{value!r} is not a valid {name}: give a text or a whole number")
    try:
        return identifier(plain, name)
    except BadRow:
        return str(plain)


def known_rows(history: object, ids: ItemIds) -> tuple[list[int], list[str]]:
    """The items of a history that are known, each once, in order; and the others.

    Args:
        history: a list, tuple, set, array or column of item ids, see `id_text`; a text that is known just so is not
            changed.
        ids: known ones.

    Returns:
        Rows of the known items, and the ids of the unknown ones.

    Raises:
        TypeError: it is a single id, whose letters or digits are no ids, or holds something that is not an id.
    """
    if isinstance(history, str | bytes) or not isinstance(history, Iterable):
        raise TypeError(f"history should be a list of item ids; for one item give history=[{history!r}]")
    if isinstance(history, NamedRows) and history.ids is ids:
        return list(history.rows), []
    given = list(history)
    if not given:
        return [], []
    names = [one if isinstance(one, str) else id_text(one, "item_id") for one in given]
    rows = ids.rows_of(names)
    for place in np.flatnonzero(rows == UNKNOWN).tolist():
        names[place] = id_text(given[place], "item_id")
        rows[place] = ids.rows_of([names[place]])[0]
    unknown = (name for name, row in zip(names, rows.tolist(), strict=True) if row == UNKNOWN)
    return list(dict.fromkeys(rows[rows != UNKNOWN].tolist())), list(dict.fromkeys(unknown))


def list_length(k: SupportsIndex, n_items: int) -> int:
    """How many items a list may have.

    Args:
        k: asked for.
        n_items: in the release.

    Returns:
        k, or n_items where that is less.

    Raises:
        TypeError: k is not a whole number.
        ValueError: k is less than 1.
    """
    wanted = operator.index(k)
    if wanted < 1:
        raise ValueError(f"k must be at least 1, got {wanted}")
    return min(wanted, max(n_items, 1))


def require_one(*given: object) -> None:
    """Require one of user, pseudonym and history."""
    if sum(one is not None for one in given) != 1:
        raise ValueError("give one of user, pseudonym and history")
