"""BM25 over segments, against bm25s and a plain loop over the live items, however they are cut into segments."""

import math

import bm25s
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.features.terms import SCHEMA, item_terms
from recsys.features.words import words
from recsys.profiles.item_ids import ItemIds
from recsys.profiles.items import Latest
from recsys.retrieval import segment_terms
from recsys.retrieval.lexical import LexicalIndex
from recsys.retrieval.segment_terms import open_terms
from recsys.storage.tables import write_arrow
from tests.features.test_details import rows

K1, B = 1.2, 0.75
VOCABULARY = ("fox", "hen", "the", "ab-1", "東京", "who")


def indexed(folder, segments, live, *, k1=K1, b=B):
    """An index over segments of texts; `live`: (segment, row) of each item, in order."""
    opened = []
    for n, texts in enumerate(segments):
        table = rows(
            *({"item_id": f"{n}", "title": text} for text in texts), {"item_id": "x", "deleted": True}
        )
        write_arrow(folder / f"{n}", item_terms([table], ()))
        opened.append(open_terms(folder / f"{n}", len(texts)))
    places = np.array(live, np.int64).reshape(-1, 2)
    latest = Latest(ItemIds([f"i{n}" for n in range(len(live))]), places[:, 0].astype(np.int32), places[:, 1])
    return LexicalIndex(opened, latest, k1=k1, b=b)


def by_loop(texts, query, k1=K1, b=B):
    """BM25 as it is written down; an item without a word of the query is left out."""
    documents = [words(text) for text in texts]
    mean = sum(map(len, documents)) / len(documents)
    scores = {}
    for row, document in enumerate(documents):
        for term in words(query):
            df = sum(term in other for other in documents)
            tf = document.count(term)
            if tf:
                idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
                scores[row] = scores.get(row, 0) + idf * tf / (tf + k1 * (1 - b + b * len(document) / mean))
    return scores


def found(index, query):
    items, scores = index.scores(query)
    assert items.dtype == np.int64 and scores.dtype == np.float32 and (np.diff(items) > 0).all()
    return dict(zip(items.tolist(), scores.tolist(), strict=True))


text = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=6).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_scores_are_those_of_the_live_items_alone_however_they_are_cut(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("terms")
    segments = data.draw(st.lists(st.lists(text, min_size=1, max_size=4), min_size=1, max_size=3))
    places = [(n, row) for n, texts in enumerate(segments) for row in range(len(texts))]
    live = data.draw(st.lists(st.sampled_from(places), min_size=1, unique=True).map(sorted))
    query = data.draw(st.one_of(text, st.just("nothing of it"), st.just("")))
    k1, b = data.draw(st.sampled_from([(1.2, 0.75), (0.0, 0.0), (2.0, 1.0)]))
    texts = [segments[n][row] for n, row in live]
    index = indexed(folder, segments, live, k1=k1, b=b)
    assert found(index, query) == pytest.approx(by_loop(texts, query, k1, b), rel=1e-6)
    whole = indexed(folder, [texts], [(0, row) for row in range(len(texts))], k1=k1, b=b)
    assert found(index, query) == found(whole, query)  # to the last bit


def test_scores_are_those_of_bm25s(tmp_path):
    draw = np.random.default_rng(1)
    vocabulary = [f"w{n}" for n in range(300)]
    weights = 1 / np.arange(1, 301)
    texts = [
        " ".join(draw.choice(vocabulary, draw.integers(3, 60), p=weights / weights.sum())) for _ in range(400)
    ]
    index = indexed(tmp_path, [texts[:150], texts[150:151], texts[151:]], [(0, n) for n in range(150)]
                    + [(1, 0)] + [(2, n) for n in range(249)])  # fmt: skip
    rival = bm25s.BM25(k1=K1, b=B, method="lucene", dtype="float64")
    rival.index([words(text) for text in texts], show_progress=False)
    for query in ("w0", "w7 w80", "w299 w3 w3", "w250 w1 w2 w40 missing"):
        known = [word for word in words(query) if word != "missing"]
        expected = {n: score for n, score in enumerate(rival.get_scores(known)) if score > 0}
        assert found(index, query) == pytest.approx(expected, rel=1e-5) and expected


def test_terms_are_found_alike_by_halving_and_by_hashing(tmp_path, monkeypatch):
    texts = [" ".join(f"w{n}" for n in range(start, 900, 7)) for start in range(40)]
    index = indexed(
        tmp_path, [texts[:30], texts[30:]], [(0, n) for n in range(30)] + [(1, n) for n in range(10)]
    )
    scores = []
    for cost in (0, 10**9):
        monkeypatch.setattr(segment_terms, "HALVING_COST", cost)
        scores.append([found(index, query) for query in ("w3", "w3 w899 zebra a w0", texts[5])])
    assert scores[0] == scores[1] and all(map(len, scores[0]))


def test_words_of_a_superseded_row_find_nothing(tmp_path):
    index = indexed(tmp_path, [["secret fox", "hen"], ["open fox"]], [(0, 1), (1, 0)])
    assert found(index, "secret") == {} and set(found(index, "fox")) == {1}


def test_a_title_of_stop_words_and_a_code_are_found_first(tmp_path):
    texts = ["the who live", "who knows the fox", "sony wh-1000xm4 headphones", "sony wh-1000xm5 headphones"]
    index = indexed(tmp_path, [texts], [(0, n) for n in range(4)])
    assert max(found(index, "The Who"), key=found(index, "The Who").get) == 0
    assert max(found(index, "WH1000XM5"), key=found(index, "WH1000XM5").get) == 3


def test_a_segment_from_before_there_were_terms_is_not_found_and_not_counted(tmp_path):
    write_arrow(tmp_path / "a", item_terms([rows({"item_id": "a", "title": "fox"})], ()))
    terms = open_terms(tmp_path / "a", 1)
    latest = Latest(ItemIds(["old", "a"]), np.array([0, 1], np.int32), np.array([0, 0], np.int64))
    index = LexicalIndex([None, terms], latest, k1=K1, b=B)
    assert found(index, "fox") == pytest.approx({1: by_loop(["fox"], "fox")[0]})


def test_nothing_live_is_nothing_found(tmp_path):
    assert found(indexed(tmp_path, [["fox"]], []), "fox") == {}
    assert found(indexed(tmp_path, [], []), "fox") == {}


def table_of(terms, lists):
    return pa.table({"term": terms, "postings": lists}).cast(SCHEMA).replace_schema_metadata(SCHEMA.metadata)


def posting(row, count=1):
    return {"row": row, "count": count}


EVERY = [posting(0), posting(1)]


@pytest.mark.parametrize(
    ("table", "words_of_it"),
    [
        (table_of(["", "b", "a"], [EVERY, [], []]), "in another order"),
        (table_of(["", "a", "a"], [EVERY, [], []]), "in another order"),
        (table_of(["a"], [EVERY]), "in another order"),
        (table_of([""], [[posting(0)]]), "not of 2 items"),
        (table_of([""], [[posting(1), posting(0)]]), "not of 2 items"),
        (table_of(["", "a"], [EVERY, [posting(2)]]), "none of its 2 items"),
        (table_of(["", "a"], [EVERY, [posting(-1)]]), "none of its 2 items"),
        (table_of(["", "a"], [EVERY, [posting(0, 0)]]), "counts that are none"),
        (table_of(["", "a", "b"], [EVERY, [], EVERY]), "terms without items"),
        (table_of(["", "a"], [EVERY, [posting(1), posting(0)]]), "items in another order"),
        (table_of(["", "a"], [EVERY, [posting(1), posting(1)]]), "items in another order"),
        (table_of([""], [[posting(0), posting(1, -1)]]), "counts that are none"),
        (table_of(["", None], [EVERY, []]), "nulls"),
        (table_of(["", "a"], [EVERY, None]), "nulls"),
        (table_of(["", "a"], [EVERY, [None]]), "null"),
        (table_of(["", "a"], [EVERY, [posting(None)]]), "null"),
        (table_of([], []), "pieces"),
        (table_of(["", "a"], [EVERY, []]).select(["postings", "term"]), "has the columns postings, term"),
        (table_of([""], [EVERY]).replace_schema_metadata({"words_version": "2"}), "words of version '2'"),
        (table_of([""], [EVERY]).replace_schema_metadata(None), "words of version ''"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_index_of_its_segment_is_refused(tmp_path, table, words_of_it):
    write_arrow(tmp_path / "x", table)
    with pytest.raises(ValueError, match=words_of_it):
        open_terms(tmp_path / "x", 2)
