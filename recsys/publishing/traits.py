"""Traits of the items of a release, as its second ranker reads them: made as in training."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.dataset.trait_names import AGE, RELATIONS, TAGS, TraitNames
from recsys.dataset.traits import Traits, linked_set, traits_of
from recsys.publishing.released_profiles import Profiles
from recsys.ranking.shortlist import popularity_of
from recsys.ranking.traits import TraitNumbers

# Shape suffix: I live items.


def published_traits(
    names: TraitNames, profiles: Profiles, n_users_I: NDArray[np.integer]
) -> TraitNumbers | None:
    """Read the traits of all live items.

    Args:
        names: that the ranker reads.
        profiles: of the release.
        n_users_I: users who like each item.

    Returns:
        Numbers of pairs; None where the ranker reads no traits.
    """
    if not names:
        return None
    details, of_catalogue = profiles.details, names.of_catalogue
    there = {TAGS, *details.attributes} if details else set()
    wanted = [name for name in (*of_catalogue.sets, *of_catalogue.numbers) if name in there]
    columns = {name: details.column(name) for name in wanted} if details else {}
    traits = traits_of(columns, of_catalogue)
    sets, numbers = dict(traits.sets), dict(traits.numbers)
    if RELATIONS in names.sets and profiles.facts is not None:
        sets[RELATIONS] = linked_set(*profiles.facts.links(), profiles.latest.item_ids.column)
    if AGE in names.numbers:
        numbers[AGE] = _first_times(profiles)
    return TraitNumbers(Traits(sets, numbers), names, popularity_of(n_users_I))


def _first_times(profiles: Profiles) -> NDArray[np.float64]:
    """Time of each item's first like, [I]; NaN where none is known."""
    pairs = profiles.histories.pairs
    first = pairs.group_by("item_id", use_threads=False).aggregate([("timestamp", "min")])
    place_I = pc.index_in(profiles.latest.item_ids.column, value_set=first["item_id"].combine_chunks())
    return np.asarray(
        first["timestamp_min"].take(place_I).cast(pa.int64()).to_numpy(zero_copy_only=False), np.float64
    )
