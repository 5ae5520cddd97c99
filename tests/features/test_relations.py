import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.features.params import RelationsParams
from recsys.features.relations import is_left_out, relation_graph

PARAMS = RelationsParams(left_out=("award", "film.prequel"), decay=0.0, max_degree=100)
TRIPLES = [
    ("alien", "directed_by", "scott"),
    ("blade runner", "directed_by", "scott"),
    ("alien", "film.award_won", "oscar"),
    ("aliens", "film.sequel", "alien"),
    ("aliens", "directed_by", "cameron"),
    ("scott", "born_in", "england"),
    ("england", "part_of", "europe"),
]
FILMS = ["alien", "aliens", "blade runner", "heat"]


def table(triples):
    return pa.table(
        {
            name: pa.array(column, pa.string())
            for name, column in zip(("head", "relation", "tail"), zip(*triples, strict=True), strict=True)
        }
    )


def names_of(triples, films=FILMS, catalogue=FILMS, **changes):
    view = relation_graph(table(triples), catalogue, PARAMS.model_copy(update=changes)).view(films)
    rows = view.rows_NE.toarray()
    return [{view.names[column]: float(row[column]) for column in np.flatnonzero(row)} for row in rows]


def test_an_item_names_what_it_is_linked_to_and_itself_only_where_that_is_an_item():
    assert names_of(TRIPLES) == [
        {"scott": 1, "aliens": 1, "alien": 1},
        {"cameron": 1, "alien": 1, "aliens": 1},
        {"scott": 1},
        {},
    ]


def test_things_two_links_away_have_the_weight_decay_and_items_are_not_named_that_way():
    assert names_of(TRIPLES, decay=0.25) == [
        {"scott": 1, "aliens": 1, "alien": 1, "england": 0.25, "cameron": 0.25},
        {"cameron": 1, "alien": 1, "aliens": 1, "scott": 0.25},
        {"scott": 1, "england": 0.25},
        {},
    ]


def test_a_hub_is_not_named_and_no_way_leads_through_it():
    triples = [*TRIPLES, *((f"other {place}", "directed_by", "scott") for place in range(5))]
    assert names_of(triples, ["blade runner"], max_degree=8) == [{"scott": 1}]
    assert names_of(triples, ["blade runner"], max_degree=7, decay=0.25) == [{}]


def test_an_item_that_is_a_hub_keeps_what_it_is_linked_to():
    triples = [("alien", "tag", f"word {place}") for place in range(9)]
    assert len(names_of(triples, ["alien"], max_degree=3)[0]) == 9


@given(st.permutations(TRIPLES), st.lists(st.sampled_from(TRIPLES)))
def test_order_repeats_and_inverse_relations_change_nothing(triples, again):
    back = [(tail, f"inverse {relation}", head) for head, relation, tail in again if "award" not in relation]
    assert names_of(triples + again + back, decay=0.25) == names_of(TRIPLES, decay=0.25)


def test_cycles_and_loops_end():
    triples = [("alien", "like", "aliens"), ("aliens", "like", "alien"), ("alien", "like", "alien")]
    assert names_of(triples, FILMS[:2], decay=0.25) == [{"alien": 1, "aliens": 1}] * 2


def test_a_view_holds_only_the_names_of_its_items_and_the_same_rows_as_the_view_of_all():
    graph = relation_graph(table(TRIPLES), FILMS, PARAMS)
    part = graph.view(["blade runner", "unknown"])
    assert part.names == ("scott",)
    np.testing.assert_array_equal(part.rows_NE.toarray(), [[1], [0]])
    assert graph.view(["unknown"]).names == () and len(graph.view(["unknown"])) == 1


def test_rows_with_a_null_are_left_out():
    triples = pa.table(
        {"head": ["alien", None, "alien"], "relation": ["by", "by", None], "tail": ["scott"] * 3}
    )
    assert relation_graph(triples, FILMS, PARAMS).view(["alien"]).names == ("scott",)
    assert relation_graph(triples.slice(1), FILMS, PARAMS).view(["alien"]).names == ()


@pytest.mark.parametrize(
    ("relation", "left"),
    [
        ("film.film.award_won", True),
        ("Award", True),
        ("awardee", False),
        ("film.prequel", True),
        ("prequel", False),
        ("获得奖项", False),
    ],
)
def test_a_relation_is_left_out_by_its_name_or_a_word_of_it(relation, left):
    assert is_left_out(relation, ("award", "film.prequel")) is left
