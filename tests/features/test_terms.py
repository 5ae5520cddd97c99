"""The inverted index of a part, against a plain count."""

from collections import Counter

import pyarrow as pa

from recsys.features.details import item_details
from recsys.features.params import FeaturesParams
from recsys.features.terms import SCHEMA, item_terms
from recsys.features.text import item_texts
from recsys.features.words import words
from recsys.storage import tables
from tests.features.test_details import rows

TABLE = rows(
    {
        "item_id": "AB-1",
        "title": "The <b>Fox</b>",
        "tags": ["red", "fox"],
        "description": "a fox &amp; a hen",
    },
    {"item_id": "gone", "deleted": True},
    {
        "item_id": "12345",
        "title": "Hen",
        "attributes": {"brand": "Fox & Co", "size": [4, "XL"], "secret": "no"},
    },
    {"item_id": "1234", "title": "東京"},
)
TEXTS = ("AB-1 The Fox red fox a fox a hen", "12345 Hen Fox Co 4 XL", "東京")


def postings(table: pa.Table) -> dict[str, dict[int, int]]:
    pairs = table.to_pydict()
    return {
        term: {one["row"]: one["count"] for one in found}
        for term, found in zip(pairs["term"], pairs["postings"], strict=True)
    }


def test_every_word_of_every_field_is_counted_and_deletes_are_not_there():
    table = item_terms([TABLE], ("brand", "size"))
    assert table.schema.equals(SCHEMA, check_metadata=True)
    found = postings(table)
    assert found.pop("") == {row: len(words(text)) for row, text in enumerate(TEXTS)}
    expected: dict[str, dict[int, int]] = {}
    for row, text in enumerate(TEXTS):
        for term, n in Counter(words(text)).items():
            expected.setdefault(term, {})[row] = n
    assert found == expected
    assert "secret" not in found and "1234" not in found  # a short number numbers rows


def test_terms_are_ascending_and_so_are_the_rows_of_each():
    pairs = item_terms([TABLE], ()).to_pydict()
    assert pairs["term"] == sorted(pairs["term"], key=str.encode)
    for found in pairs["postings"]:
        assert [one["row"] for one in found] == sorted(one["row"] for one in found)


def test_a_part_of_deletes_has_one_term_without_rows():
    assert item_terms([rows({"item_id": "a", "deleted": True})], ()).to_pydict() == {
        "term": [""],
        "postings": [[]],
    }


def test_texts_details_and_terms_do_not_depend_on_how_many_rows_are_read_together(monkeypatch):
    params = FeaturesParams(fields=("title", "brand"), max_chars=100)

    def made():
        return (
            item_texts(TABLE, params),
            item_details([TABLE], ("brand",), 100),
            item_terms([TABLE], ("brand",)),
        )

    together = made()
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 1)
    assert all(one.equals(other) for one, other in zip(together, made(), strict=True))
