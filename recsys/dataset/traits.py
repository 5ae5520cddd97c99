"""Traits of items besides texts, which learned rankers may read: tags, attributes, relations, numbers such as a price.

Training, evaluation and releases make tags and attributes with the same code from the same columns: a release carries
those of `publish.attributes`. Relations come from the view `relations` in training and evaluation, which a release does
not carry; there they come from its facts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import list_parts
from recsys.catalogue.schemas import CATALOGUE_SCHEMA
from recsys.dataset.trait_names import RELATIONS, TAGS, TraitNames
from recsys.dataset.versions import rows_at, taken
from recsys.features.details import LIST, attribute_array
from recsys.features.evidence import RELATIONS_VIEW
from recsys.features.views import SparseView, Views
from recsys.storage.strings import UNKNOWN, Strings, unified
from recsys.storage.tables import in_blocks

# Shape suffixes: I items, V distinct values of a trait, P values of all items.


@dataclass(frozen=True)
class Traits:
    """Traits of I items."""

    sets: Mapping[str, csr_array] = field(default_factory=dict)
    """Name -> 1 where an item has a value, [I, V]."""
    numbers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Name -> value of each item, [I]; NaN where it has none."""


def traits_of(columns: Mapping[str, pa.Array], names: TraitNames) -> Traits:
    """Read traits from columns.

    Args:
        columns: name -> values of I items, in a type of `features/details.py`. What is not there all items lack.
        names: which to read; those that no column has are left out, such as the age, which interactions tell.

    Returns:
        The traits.
    """
    return Traits(
        {name: set_trait(columns[name]) for name in names.sets if name in columns},
        {name: _numbers(columns[name]) for name in names.numbers if name in columns},
    )


def traits_at(data: Path, places: pa.Table, views: Views, names: TraitNames) -> Traits:
    """Traits of items in some of their versions, from the accepted parts, and from views.

    Args:
        data: the folder of the parts; not read where no trait is of the catalogue.
        places: part and line of each item's version, as columns.
        views: of the same items.
        names: of the traits.

    Returns:
        The traits, without those that interactions tell.
    """
    of_catalogue, traits = names.of_catalogue, Traits()
    if of_catalogue:
        columns = ["part", "line", TAGS, "attributes"]
        rows = [part.rows(columns) for part in list_parts(data, CATALOGUE)]
        whole = pa.concat_tables([CATALOGUE_SCHEMA.empty_table().select(columns), *rows])
        traits = traits_of(catalogue_columns(whole, places, of_catalogue), of_catalogue)
    view = views.get(RELATIONS_VIEW)
    if RELATIONS in names.sets and isinstance(view, SparseView):
        traits = replace(traits, sets={**traits.sets, RELATIONS: relations_trait(view)})
    return traits


def relations_trait(view: SparseView) -> csr_array:
    """What items are linked to, from the view `relations`: its names, without those two links away, which weigh less.

    Args:
        view: of I items.

    Returns:
        float64 [I, V], as by `set_trait`.
    """
    return csr_array(view.rows_NE == 1, dtype=np.float64)


def linked_set(row_P: NDArray[np.int64], things: pa.ChunkedArray, item_ids: pa.Array) -> csr_array:
    """What items are linked to, from the facts of a release: the same as `relations_trait` of the same items.

    An item that is linked to another one has its own id as a value besides, so that the two share both ids. Facts lack
    hubs (`relations.max_degree`). So an item that is linked to no other items than hubs lacks its own id here.

    Args:
        row_P: item row of each link.
        things: what it leads to, [P].
        item_ids: I items.

    Returns:
        float64 [I, V], as by `set_trait`.
    """
    coded = unified(things)  # strings are compared once, not once for each link
    item_V = Strings(item_ids).rows_in(coded.dictionary)
    thing_P = np.asarray(coded.indices, np.int64)
    is_other_P = item_V[thing_P] != row_P
    row_P, thing_P = row_P[is_other_P], thing_P[is_other_P]
    at_P = item_V[thing_P]
    to_item_P = at_P != UNKNOWN
    own = np.unique(np.concatenate([row_P[to_item_P], at_P[to_item_P]]))
    column_I = np.full(len(item_ids), UNKNOWN, np.int64)
    column_I[item_V[item_V != UNKNOWN]] = np.flatnonzero(item_V != UNKNOWN)
    is_new = column_I[own] == UNKNOWN
    column_I[own[is_new]] = len(item_V) + np.arange(np.count_nonzero(is_new))
    shape = (len(item_ids), len(item_V) + int(np.count_nonzero(is_new)))
    return _ones(np.concatenate([row_P, own]), np.concatenate([thing_P, column_I[own]]), shape)


def catalogue_columns(rows: pa.Table, places: pa.Table, names: TraitNames) -> dict[str, pa.Array]:
    """The columns of items in some of their versions.

    Args:
        rows: of the catalogue: part, line, tags and attributes.
        places: part and line of each item's version, as columns.
        names: of the traits that are wanted.

    Returns:
        Name -> values, as a release carries them.
    """
    found = rows_at(places, rows)
    values: dict[str, list[Any]] = {name: [] for name in (*names.sets, *names.numbers)}
    there: set[str] = set()
    for block in in_blocks(pa.table({"attributes": taken(rows["attributes"], found)})):
        further = [json.loads(one) if one else {} for one in block["attributes"].to_pylist()]
        there |= {name for one in further for name in one}
        for name, of_name in values.items():
            of_name += [one.get(name) for one in further]
    made = {name: attribute_array(of_name) for name, of_name in values.items() if name in there}
    return {**made, TAGS: rows[TAGS].combine_chunks().take(found).cast(LIST)}


def set_trait(column: pa.Array) -> csr_array:
    """Values of items as a matrix.

    Args:
        column: one value per item, or a list of them; null or empty where it has none. Repeats count once.

    Returns:
        float64 [I, V], 1 where an item has a value; the order of columns means nothing.
    """
    is_list = pa.types.is_list(column.type)
    n_values_I = _lengths(column) if is_list else np.ones(len(column), np.int64)
    row_P = np.repeat(np.arange(len(column)), n_values_I)
    coded = (column.flatten() if is_list else column).dictionary_encode()
    is_known_P = np.asarray(coded.indices.is_valid())
    value_P = coded.indices.drop_null().to_numpy()
    return _ones(row_P[is_known_P], value_P, (len(column), len(coded.dictionary)))


def _ones(row_P: NDArray[np.integer], value_P: NDArray[np.integer], shape: tuple[int, int]) -> csr_array:
    """1 where an item has a value, [I, V]; repeats count once."""
    found_IV = csr_array((np.ones(len(value_P)), (row_P, value_P)), shape)  # adds repeats up
    found_IV.data[:] = 1
    return found_IV


def _lengths(column: pa.ListArray) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)


def _numbers(column: pa.Array) -> NDArray[np.float64]:
    """The first value of each item as a number, NaN where it is none."""
    if pa.types.is_floating(column.type):
        return np.asarray(column.fill_null(np.nan), np.float64)
    if pa.types.is_list(column.type):
        n_values_I = _lengths(column)
        start_I = np.cumsum(n_values_I) - n_values_I
        column = column.flatten().take(pa.array(start_I, mask=n_values_I == 0))
    coded = column.dictionary_encode()
    known = [_number(text) for text in coded.dictionary.to_pylist()]
    values_I: NDArray[np.float64] = np.array([*known, np.nan])[coded.indices.fill_null(len(known)).to_numpy()]
    return values_I


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return np.nan
    return found if np.isfinite(found) else np.nan
