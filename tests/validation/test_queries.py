"""Queries by which the weight of words is chosen: judged ones from a file, or made from texts."""

import json
import re

import numpy as np
import pytest

from recsys.errors import ConfigError
from recsys.validation.queries import Query, make_queries, read_queries

TEXTS = tuple(
    f"The {noun} of number {place}. It was made by a {noun} maker in town. Nobody knows {place} well enough."
    for place, noun in enumerate(["kettle", "lamp", "chair", "table", "clock", "spoon"] * 10)
)
EVERY = np.arange(len(TEXTS))


def test_queries_are_clauses_of_texts_and_the_same_for_a_seed() -> None:
    queries, left = make_queries(TEXTS, EVERY, 30, 0.5, 7)
    assert (queries, left) == make_queries(TEXTS, EVERY, 30, 0.5, 7)
    assert queries != make_queries(TEXTS, EVERY, 30, 0.5, 8)[0]
    rows = [row for query in queries for row in query.relevant]
    assert len(queries) == 30 == len(set(rows))
    assert all(query.text in TEXTS[row] for query, row in zip(queries, rows, strict=True))


def test_a_share_of_the_queries_is_taken_out_of_its_text() -> None:
    queries, left = make_queries(TEXTS, EVERY, 60, 0.5, 7)
    assert 15 < len(left) < 45
    for query in queries:
        (row,) = query.relevant
        assert (query.text in left.get(row, TEXTS[row])) is (row not in left)
    assert not make_queries(TEXTS, EVERY, 60, 0.0, 7)[1]
    assert len(make_queries(TEXTS, EVERY, 60, 1.0, 7)[1]) == 60


def test_only_the_given_items_are_looked_for_and_short_texts_give_no_query() -> None:
    queries, _ = make_queries(("two words", *TEXTS), np.array([0, 5, 6]), 10, 0.5, 7)
    assert {row for query in queries for row in query.relevant} == {5, 6}


def test_a_text_of_one_clause_gives_half_of_its_words_and_chinese_splits_as_well() -> None:
    title = "red enamel kettle with a long spout"
    (query,), left = make_queries((title,), np.array([0]), 1, 1.0, 7)
    assert len(query.text.split()) == 3 and left[0].split() == title.replace(query.text, "").split()
    text = "故宫是明清两代的皇宫,位于北京中轴线的中心。现在是一座博物馆。"
    (query,), _ = make_queries((text,), np.array([0]), 1, 0.0, 7)
    assert query.text in re.split("[,。]", text)


def test_judged_queries_are_read_by_item_and_items_held_out_do_not_count(tmp_path) -> None:
    path = tmp_path / "queries.jsonl"
    rows = [
        {"query": "red kettle", "item_id": "a", "grade": 2},
        {"query": "red kettle", "item_id": 7},
        {"query": "red kettle", "item_id": "b", "grade": 0},
        {"query": "lamp", "item_id": "in the test"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    told: list[str] = []
    assert read_queries(path, ["a", "b", "7"], told.append) == (Query("red kettle", {0: 2.0, 2: 1.0}),)
    assert len(told) == 1 and "1 of 2 queries are not used: none of the 3 items" in told[0]
    assert len(read_queries(path, ["a", "in the test"], told.append)) == 2 and len(told) == 1


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("{", "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        ('{"item_id": "a"}', "line 2: query None holds no words"),
        ('{"query": "?!", "item_id": "a"}', "query '[?]!' holds no words"),
        ('{"query": "lamp", "item_id": true}', "item_id True is not an id"),
        ('{"query": "lamp", "item_id": "a", "grade": -1}', "grade -1 is not a number from 0 up"),
        ('{"query": "lamp", "item_id": "a", "grade": NaN}', "grade nan is not a number"),
        ('{"query": "lamp", "item_id": "a", "rank": 1}', "unknown key 'rank'"),
        (r'{"query": "lamp", "item_id": "\ud800"}', "line 2 holds half a surrogate pair"),
        (r'{"query": "lamp \udc00", "item_id": "a"}', "line 2 holds half a surrogate pair"),
    ],
)
def test_a_line_that_is_no_judgement_is_named(tmp_path, line: str, word: str) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"query": "lamp", "item_id": "a"}\n' + line + "\n")
    with pytest.raises(ConfigError, match=word) as found:
        read_queries(path, ["a"])
    assert "search.queries" in str(found.value) and found.value.remedy


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"search\.queries: .*none\.jsonl cannot be read"):
        read_queries(tmp_path / "none.jsonl", [])
