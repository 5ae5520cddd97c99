"""Traits of items: the same from the accepted parts as from what a release carries."""

import json

import numpy as np
import pyarrow as pa
import pytest

from recsys.dataset.trait_names import TraitNames
from recsys.dataset.traits import catalogue_columns, linked_set, relations_trait, set_trait, traits_of
from recsys.features.details import attribute_array
from recsys.features.facts import facts_of
from recsys.features.params import RelationsParams
from recsys.features.relations import relation_graph

ROWS = [
    (["war", "drama"], {"price": 20, "brand": "Acme", "sizes": [36, "S"]}),
    ([], {"price": "9.5", "brand": "Umbrella"}),
    (None, {"brand": 7, "sizes": []}),
    (["war"], None),
]
PLACES = pa.table({"part": ["000001-a"] * 4, "line": range(1, 5)})
NAMES = TraitNames(("tags", "brand", "sizes", "nowhere"), ("price", "age", "brand"))


def rows(written=ROWS):
    return pa.table(
        {
            "part": ["000001-a"] * len(written),
            "line": range(1, len(written) + 1),
            "tags": pa.array([tags for tags, _ in written], pa.list_(pa.string())),
            "attributes": [None if further is None else json.dumps(further) for _, further in written],
        }
    )


def values(matrix_IV):
    """Which items share a value with which, without the order of the columns."""
    return (matrix_IV @ matrix_IV.T).toarray().tolist()


def test_sets_hold_values_and_numbers_hold_what_is_a_number():
    found = traits_of(catalogue_columns(rows(), PLACES, NAMES), NAMES)
    assert set(found.sets) == {"tags", "brand", "sizes"} and set(found.numbers) == {"price", "brand"}
    assert values(found.sets["tags"]) == [[2, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert found.sets["sizes"].sum(axis=1).tolist() == [2, 0, 0, 0]
    np.testing.assert_array_equal(found.numbers["price"], [20, 9.5, np.nan, np.nan])
    np.testing.assert_array_equal(found.numbers["brand"], [np.nan, np.nan, 7, np.nan])


def test_a_column_of_another_type_gives_the_same_traits():
    """A release has one type for all its items; training sees some of them."""
    few = catalogue_columns(rows(ROWS[:2]), PLACES.slice(0, 2), NAMES)
    assert few["price"].type == pa.float64()
    texts = {"price": attribute_array([20, "9.5", "on request"]).slice(0, 2), "tags": few["tags"]}
    assert texts["price"].type == pa.string()
    lists = {"price": pa.array([["20"], ["9.5"]]), "tags": few["tags"]}
    wanted = TraitNames(("price",), ("price",))
    for columns in (texts, lists):
        found, expected = traits_of(columns, wanted), traits_of(few, wanted)
        np.testing.assert_array_equal(found.numbers["price"], expected.numbers["price"])
        assert values(found.sets["price"]) == values(expected.sets["price"])


def test_versions_are_found_by_part_and_line_and_unknown_ones_lack_all():
    places = pa.table({"part": ["000001-a", "000002-b", "000001-a"], "line": [2, 1, 1]})
    found = traits_of(catalogue_columns(rows(), places, NAMES), NAMES)
    np.testing.assert_array_equal(found.numbers["price"], [9.5, np.nan, 20])
    assert found.sets["tags"].sum(axis=1).tolist() == [0, 0, 2]


@pytest.mark.parametrize("text", ["inf", "nan", "1e999", "", "1,5", "twelve"])
def test_what_is_no_finite_number_is_lacked(text):
    found = traits_of({"price": pa.array([text, "3"])}, TraitNames((), ("price",)))
    np.testing.assert_array_equal(found.numbers["price"], [np.nan, 3])


def test_repeats_of_a_value_count_once():
    assert set_trait(pa.array([["a", "a", "b"], None, []])).toarray().tolist() == [[1, 1], [0, 0], [0, 0]]


TRIPLES = [
    ("heat", "director", "Mann"),
    ("ali", "director", "Mann"),
    ("ali", "producer", "Mann"),
    ("heat", "remake_of", "takedown"),
    ("takedown", "year", "1989"),
    ("ali", "subject_of", "ali"),
]


def test_relations_are_the_things_and_items_that_an_item_is_linked_to():
    """Heat and L.A. Takedown are linked to each other, so they share both ids; what is two links away is no value."""
    item_ids = ["takedown", "heat", "ali", "alone"]
    triples = pa.Table.from_pylist([{"head": a, "relation": b, "tail": c} for a, b, c in TRIPLES])
    graph = relation_graph(triples, item_ids, RelationsParams(left_out=(), decay=0.5, max_degree=10))
    found = relations_trait(graph.view(item_ids))
    wanted = [[3, 2, 0, 0], [2, 3, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert values(found) == wanted
    rows, things = [0, 0, 1, 1, 2, 2, 2], ["heat", "1989", "Mann", "takedown", "Mann", "Mann", "ali"]
    halves = pa.chunked_array([things[:3], things[3:]])
    assert values(linked_set(np.array(rows), halves, pa.array(item_ids))) == wanted


def test_items_share_their_own_ids_with_a_hub_that_they_are_linked_to():
    """Facts lack the hub itself, so only its own links tell that it and others are linked."""
    item_ids = ["series", *(f"episode {n}" for n in range(4))]
    triples = pa.table({"head": item_ids[1:], "relation": ["part_of"] * 4, "tail": ["series"] * 4})
    graph = relation_graph(triples, item_ids, RelationsParams(left_out=(), decay=0.0, max_degree=3))
    facts = facts_of(triples, pa.array(item_ids), graph)
    assert facts.table["things"].to_pylist() == [item_ids[1:]]
    found = linked_set(np.zeros(4, np.int64), pa.chunked_array([item_ids[1:]]), pa.array(item_ids))
    assert values(found) == values(relations_trait(graph.view(item_ids)))
    assert values(found)[0] == [5, 1, 1, 1, 1]


def test_relations_and_age_are_not_columns_of_the_catalogue():
    names = TraitNames(("tags", "relations"), ("price", "age"))
    assert names.of_catalogue == TraitNames(("tags",), ("price",))
