from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from recsys.evaluation.cold_start import make_task
from recsys.features.params import FeaturesParams
from recsys.validation.folds import cold_folds, dates_in_attributes, dates_of, newest, times_of

IDS = tuple(f"i{row:02d}" for row in range(60))
WARM = np.arange(0, 60, 2)
"""Of them the newest fifth are rows 48 to 58 by AGES."""
AGES = np.arange(60.0)


def test_the_newest_fifth_of_the_warm_items_is_held_out_once_for_each_kind_of_time():
    folds = cold_folds(IDS, WARM, 1, {"first interaction": AGES, "released": -AGES})
    assert list(folds)[:2] == ["first interaction", "released"]
    assert folds["first interaction"].tolist() == [48, 50, 52, 54, 56, 58]
    assert folds["released"].tolist() == [0, 2, 4, 6, 8, 10]


def test_without_times_a_fifth_is_held_out_by_hash_three_times_where_few_are_warm():
    folds = cold_folds(IDS, WARM, 1)
    assert list(folds) == ["random 1", "random 2", "random 3"]
    assert len({tuple(held.tolist()) for held in folds.values()}) == 3
    for held in folds.values():
        assert 0 < len(held) < len(WARM) / 2 and set(held) < set(WARM)
    again, other = cold_folds(IDS, WARM, 1), cold_folds(IDS, WARM, 2)
    assert [held.tolist() for held in folds.values()] == [held.tolist() for held in again.values()]
    assert [held.tolist() for held in folds.values()] != [held.tolist() for held in other.values()]


def test_one_random_fold_is_enough_where_many_are_warm():
    ids = tuple(f"i{row}" for row in range(5000))
    assert list(cold_folds(ids, np.arange(5000), 1)) == ["random 1"]


def test_where_few_items_are_warm_random_folds_stand_beside_the_newest():
    folds, random = cold_folds(IDS, WARM, 1, {"released": AGES}), cold_folds(IDS, WARM, 1)
    assert list(folds) == ["released", *random]
    assert all(folds[name].tolist() == held.tolist() for name, held in random.items())


def test_where_many_items_are_warm_the_newest_are_enough():
    ids = tuple(f"i{row}" for row in range(5000))
    times = {"first interaction": np.arange(5000.0), "released": -np.arange(5000.0)}
    assert list(cold_folds(ids, np.arange(5000), 1, times)) == list(times)
    assert len(cold_folds(ids[1:], np.arange(4999), 1, {"released": np.arange(4999.0)})) == 4


@pytest.mark.parametrize(
    "times",
    [np.zeros(60), np.where(AGES < 40, 7.0, AGES), np.where(AGES < 40, np.nan, AGES), np.full(60, np.nan)],
    ids=["one time", "most at one time", "most unknown", "none known"],
)
def test_times_that_do_not_tell_new_from_old_are_passed_over(times):
    assert newest(IDS, WARM, 1, times) is None
    assert list(cold_folds(IDS, WARM, 1, {"some": times}))[0] == "random 1"


def test_unknown_times_count_as_old_and_equal_ones_fall_to_the_hash():
    times = np.where(AGES < 20, np.nan, np.where(AGES >= 46, 9.0, AGES / 100))
    held, other = (newest(IDS, WARM, seed, times) for seed in (1, 2))
    assert set(held) <= set(range(46, 60, 2)) and len(held) == 6
    assert held.tolist() != other.tolist()


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["01-Jan-1995", "1996-02-03", "3 March 1997"]),
        pa.array(["1995", "1996", "1997"]),
        pa.array([1995, 1996, 1997]),
        pa.array([date(1995, 1, 1), date(1996, 1, 1), date(1997, 1, 1)]),
        pa.array(
            [
                datetime(1995, 1, 1, tzinfo=UTC),
                datetime(1996, 1, 1, tzinfo=UTC),
                datetime(1997, 1, 1, tzinfo=UTC),
            ]
        ),
        pa.array([874724710.0, 874724711.0, 884724710.0]),
        pa.array(["1995-01-01T00:00:00Z", "1996-01-01", "1996-01-01T00:00:01+00:00"], pa.large_string()),
    ],
)
def test_times_are_read_from_dates_years_and_seconds_in_order(column):
    found = times_of(pa.chunked_array([column]))
    assert (np.diff(found) > 0).all()


def test_what_is_no_time_is_unknown():
    found = times_of(pa.chunked_array([pa.array(["01-Jan-1995", "", None, "soon", "02-Jan-1995"])]))
    assert np.isfinite(found).tolist() == [True, False, False, False, True]
    assert np.isnan(times_of(pa.chunked_array([pa.array([["a"], []])]))).all()


def test_columns_are_known_by_their_name_and_most_of_their_values():
    columns = {
        "release_date": pa.chunked_array([pa.array(["01-Jan-1995", "01-Feb-1996"])]),
        "publishedYear": pa.chunked_array([pa.array([1995, 1996])]),
        "runtime": pa.chunked_array([pa.array([90, 120])]),
        "update": pa.chunked_array([pa.array(["none", "none"])]),
        "date_note": pa.chunked_array([pa.array(["when it rains", "later"])]),
    }
    assert list(dates_of(columns)) == ["release_date", "publishedYear"]


@pytest.mark.parametrize(
    ("name", "tells"),
    [
        ("Release date", True),
        ("year", True),
        ("created_at", True),
        ("date_added", True),
        ("year_of_release", True),
    ]
    + [("yearly_sales", False), ("added_to_cart_count", False), ("runtime", False), ("candidate", False)],
)
def test_names_of_dates_are_known_and_those_of_counts_are_not(name, tells):
    assert bool(dates_of({name: pa.chunked_array([[1990, 1995, 2001]])})) == tells


def test_a_task_knows_when_its_items_were_new():
    items = pa.table(
        {"item_id": ["a", "b", "c"], "title": ["red chair", "blue lamp", "old table"], "year": [1, 2, 3]}
    )
    log = pa.table({"user_id": ["u", "u", "v"], "item_id": ["a", "b", "c"], "timestamp": [30, 20, 10]})
    task = make_task(items, log, ["c"], FeaturesParams(fields=("title",), max_chars=100))
    assert task.times["year"].tolist() == [1, 2, 3]
    assert task.times["first interaction"][:2].tolist() == [30, 20]
    assert np.isnan(task.times["first interaction"][2])  # a cold item's interactions tell nothing


def test_dates_are_found_in_attributes_whichever_items_have_them(monkeypatch):
    """In blocks of two: the second has the first date of one name, and none of the other."""
    monkeypatch.setattr("recsys.storage.tables.ROWS_AT_ONCE", 2)
    attributes = [
        '{"released": "1995-01-02", "colour": "1999"}',
        '{"released": "1995-01-01"}',
        None,
        '{"Release Year": 1999, "year": 1999}',
        '{"released": "1996-01-01", "Release Year": 1998}',
        '{"released": null, "Release Year": "2001", "year": ""}',
        '{"released": "1994-01-01", "Release Year": 2000}',
    ]
    found = dates_in_attributes(pa.chunked_array([attributes[:3], attributes[3:]]))
    assert list(found) == ["Release Year", "released"]  # too few have a year
    assert np.argsort(found["Release Year"])[:4].tolist() == [4, 3, 6, 5]
    assert np.isnan(found["Release Year"][:3]).all()
    assert np.argsort(found["released"])[:4].tolist() == [6, 1, 0, 4]
    assert dates_in_attributes(pa.chunked_array([], pa.string())) == {}
