"""The best items by words, against scoring every item."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.retrieval import query_words
from recsys.retrieval.best_words import best_and
from recsys.retrieval.fusing import best_rows
from tests.retrieval.test_lexical import indexed, text


def by_scoring_all(index, query, also, n, is_left_I):
    """As `best_and`, from the share of every item."""
    rows, shares = index.shares(query)
    everything = np.zeros(len(is_left_I), np.float32)
    everything[rows] = shares
    best = best_rows(rows[is_left_I[rows]], shares[is_left_I[rows]], n)
    wanted = np.union1d(also, best)
    return wanted, everything[wanted]


def assert_alike(index, query, also, n, is_left_I):
    found = best_and(also, index.words_of(query), n, len(is_left_I), lambda rows: is_left_I[rows])
    for one, other in zip(found, by_scoring_all(index, query, also, n, is_left_I), strict=True):
        np.testing.assert_array_equal(one, other)  # to the last bit


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_the_best_items_are_those_of_scoring_all(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("terms")
    segments = data.draw(st.lists(st.lists(text, min_size=1, max_size=8), min_size=1, max_size=3))
    places = [(n, row) for n, texts in enumerate(segments) for row in range(len(texts))]
    live = data.draw(st.lists(st.sampled_from(places), min_size=1, unique=True).map(sorted))
    items = st.sets(st.integers(0, len(live) - 1))
    also = np.array(sorted(data.draw(items)), np.int64)
    is_left_I = ~np.isin(np.arange(len(live)), list(data.draw(items)))
    query = data.draw(st.one_of(text, st.just("nothing of it"), st.just("")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_words, "COMMON", data.draw(st.sampled_from([0, 2, 1024])))
        assert_alike(indexed(folder, segments, live), query, also, data.draw(st.integers(1, 5)), is_left_I)


@pytest.mark.parametrize("n", [1, 10, 200])
def test_common_words_are_looked_up_for_few_items_only(tmp_path, n, monkeypatch):
    draw = np.random.default_rng(5)
    words = np.array([f"w{number}" for number in range(300)])
    often = 1 / np.arange(1, 301)
    texts = [" ".join(draw.choice(words, 8, p=often / often.sum())) for _ in range(20_000)]
    index = indexed(tmp_path, [texts], [(0, row) for row in range(len(texts))])
    queries = [
        " ".join(
            draw.choice(
                words,
                4,
                replace=False,
                p=[*often[:8] * 0.4, *np.full(292, 0.001)] / (often[:8].sum() * 0.4 + 0.292),
            )
        )
        for _ in range(40)
    ]
    is_left_I = draw.random(len(texts)) < 0.9
    also = np.sort(draw.choice(len(texts), 50, replace=False))
    for query in queries:
        assert_alike(index, query, also, n, is_left_I)
    read = []
    postings = query_words.LiveSegment.postings
    for query in queries:
        index.words_of(query)  # counts common words, which reads them once
    monkeypatch.setattr(
        query_words.LiveSegment,
        "postings",
        lambda self, place: read.append(self.n_postings(place)) or postings(self, place),
    )
    for query in queries:
        best_and(also, index.words_of(query), n, len(texts), lambda rows: is_left_I[rows])
    everything = sum(word.n_postings for query in queries for word in index.words_of(query))
    assert sum(read) < everything / 2
