"""Values as sources write them, through the real command: read as they were meant, or named with what to do."""

import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.cases.conftest import ITEMS

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())
IDS = [row["item_id"] for row in ITEMS]


def csv(header, *rows):
    return "\n".join([header, *rows, ""])


def parquet(**columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def views(timestamps):
    return [
        {"user_id": f"u{n}", "item_id": IDS[n % len(IDS)], "event": "new", "timestamp": timestamp}
        for n, timestamp in enumerate(timestamps)
    ]


def times_of(intake, event="new"):
    return [row["timestamp"] for row in intake.interactions() if row["event"] == event]


WAYS_OF_NOON = [
    "2026-11-01 12:00:00 UTC",
    "2026-11-01 12:00:00+00",
    "2026-11-01T13:00:00.000000000+0100",
    "2026-11-01 12:00:00 +0000 UTC",
    "2026/11/01 12:00",
    "Sun, 01 Nov 2026 12:00:00 GMT",
    "1-Nov-2026 12:00 PM",
    SECONDS,
    SECONDS * 10**3,
    SECONDS * 10**6,
    SECONDS * 10**9,
    str(SECONDS * 10**3),
    20261101120000,
    46327.5,
    20758.5,
]


def test_a_time_is_read_as_it_is_written(intake):
    for n, written in enumerate(WAYS_OF_NOON):
        intake.land(f"interactions/{n}.jsonl", [row | {"event": f"way{n}"} for row in views([written] * 2)])
    assert {outcome["status"] for outcome in intake.ingest().values()} == {"accepted"}
    for n, _ in enumerate(WAYS_OF_NOON):
        assert times_of(intake, f"way{n}") == [NOON] * 2


def test_days_without_separators_are_days_and_never_seconds_after_1970(intake):
    for form in (int, str):
        rows = views([form(20261001 + n) for n in range(10)])
        intake.land(f"interactions/{form.__name__}.jsonl", [row | {"event": form.__name__} for row in rows])
    assert {outcome["status"] for outcome in intake.ingest().values()} == {"accepted"}
    for form in (int, str):
        assert times_of(intake, form.__name__) == [datetime(2026, 10, 1 + n, tzinfo=UTC) for n in range(10)]


def test_one_day_above_twelve_decides_the_order_of_day_and_month_for_the_column(intake):
    intake.land("interactions/days.csv", csv("user_id,item_id,event,timestamp", *(
        f"u{n},s{n},new,{day}" for n, day in enumerate(["02/11/2026", "13/02/2026", "05/05/2026 10:30"], 1)
    )))  # fmt: skip
    assert intake.ingest()["interactions/days.csv"]["status"] == "accepted"
    assert times_of(intake) == [
        datetime(2026, 11, 2, tzinfo=UTC),
        datetime(2026, 2, 13, tzinfo=UTC),
        datetime(2026, 5, 5, 10, 30, tzinfo=UTC),
    ]


def test_a_date_with_dots_begins_with_its_day(intake):
    intake.land("interactions/days.csv", csv("user_id,item_id,event,timestamp", "u1,s1,new,02.11.2026"))
    assert intake.ingest()["interactions/days.csv"]["status"] == "accepted"
    assert times_of(intake) == [datetime(2026, 11, 2, tzinfo=UTC)]


def test_a_column_in_which_nothing_tells_day_from_month_is_refused(intake):
    intake.land("catalogue/days.jsonl", [row | {"updated_at": "02/11/2026"} for row in ITEMS])
    became = intake.ingest()["catalogue/days.jsonl"]
    assert (became["status"], became["quarantined"]) == ("refused", {"bad_timestamp": len(ITEMS)})


def test_a_number_that_is_no_time_is_named_with_its_column_value_and_remedy(intake):
    rows = [row | {"updated_at": SECONDS + n} for n, row in enumerate(ITEMS)]
    intake.land("catalogue/times.jsonl", [*rows[:-1], rows[-1] | {"updated_at": 0}])
    assert intake.ingest()["catalogue/times.jsonl"]["status"] == "accepted"
    ((_, line, reason, detail),) = intake.quarantined()
    assert (line, reason) == (len(ITEMS), "bad_timestamp")
    assert detail.startswith("updated_at 0 is a number that is no time from 1990")
    assert "ISO 8601" in detail


def test_what_is_wrong_with_an_interaction_never_shows_its_value(intake):
    intake.land("interactions/bad.jsonl", [*views([SECONDS] * 9), *views(["12 somewhere"])])
    intake.ingest()
    ((_, line, reason, detail),) = intake.quarantined()
    assert (line, reason) == (10, "bad_timestamp") and "somewhere" not in detail and "timestamp" in detail


def test_whole_number_floats_are_integers_in_catalogue_and_interactions_alike(empty_intake):
    empty_intake.land(
        "catalogue/items.jsonl", [{"item_id": n, "title": f"Steel kettle {n}"} for n in range(1, 9)]
    )
    empty_intake.land(
        "catalogue/again.csv", csv("item_id,title", *(f"{n}.0,Glass kettle {n}" for n in range(1, 9)))
    )
    empty_intake.land(
        "interactions/events.parquet",
        parquet(user_id=[1.0, 2.0], item_id=[1.0, 2.0], timestamp=[SECONDS] * 2),
    )
    empty_intake.land("interactions/events.csv", csv("user_id,item_id", "1.0,1", "2.0,2", "1.0,3"))
    assert {o["status"] for o in empty_intake.ingest().values()} == {"accepted"}
    assert set(empty_intake.items()) == {str(n) for n in range(1, 9)}
    assert empty_intake.items()["1"]["title"] == "Glass kettle 1"
    interactions = empty_intake.interactions()
    assert [row["item_id"] for row in interactions] == ["1", "2", "1", "2", "3"]
    assert len({row["user"] for row in interactions}) == 2


def test_a_name_that_ends_in_a_point_and_zero_stays_where_the_column_has_other_names(intake):
    intake.land(
        "catalogue/names.csv",
        csv("item_id,title", "2.0,Second edition", "beta,First edition", "007,Spy novel"),
    )
    intake.ingest()
    assert {"2.0", "beta", "007"} <= set(intake.items())


def test_ids_in_scientific_notation_are_quarantined_with_the_remedy(intake):
    rows = [f"40063813339{n:02},Desk lamp {n}" for n in range(18)]
    intake.land("catalogue/excel.csv", csv("item_id,title", *rows, "4.00639E+12,Red shoe", "12E5,Blue shoe"))
    intake.ingest()
    ((_, line, reason, detail),) = intake.quarantined()
    assert (line, reason) == (20, "bad_id") and "4.00639E+12" in detail and "as text" in detail
    assert "12E5" in intake.items()


UNSEEN_AROUND = [" {} ", "\u00a0{}", "{}\u200b", "\ufeff{}", "\u2060{}", "\u200e{}\u200d ", "{}\n"]


def test_what_nobody_sees_is_no_part_of_an_id(intake):
    written = [around.format(f"s{n}") for n, around in enumerate(UNSEEN_AROUND, 1)]
    intake.land(
        "catalogue/seen.jsonl", [{"item_id": item, "title": "Green garden chair"} for item in written]
    )
    intake.land(
        "interactions/seen.jsonl", [{"user_id": "a", "item_id": item, "event": "new"} for item in written]
    )
    assert {o["status"] for o in intake.ingest().values()} == {"accepted"}
    plain = [f"s{n}" for n, _ in enumerate(UNSEEN_AROUND, 1)]
    assert len(intake.items()) == len(ITEMS)
    assert {intake.items()[item]["title"] for item in plain} == {"Green garden chair"}
    assert [row["item_id"] for row in intake.interactions() if row["event"] == "new"] == plain


def test_composed_and_decomposed_letters_are_one_id(empty_intake):
    empty_intake.land("catalogue/a.jsonl", [{"item_id": "cafe\u0301", "title": "Coffee cup"}])
    empty_intake.land("catalogue/b.jsonl", [{"item_id": "caf\u00e9", "title": "Tea cup"}])
    empty_intake.ingest()
    assert [row["title"] for row in empty_intake.items().values()] == ["Tea cup"]


def test_a_word_for_nothing_is_nothing(intake):
    for n, word in enumerate(("nan", "None", "\\N", " N/A ")):
        rows = [f"s{i},Oak table {i},{word},{word},{word},{word},{word}" for i in range(1, 41)]
        bare = [f"{word},Table without id,a,b,,,c", f"t2,{word},{word},{word},,,c"]
        name = f"catalogue/{n}.csv"
        intake.land(name, csv("item_id,title,description,tags,updated_at,deleted,colour", *rows, *bare))
        assert intake.ingest()[name]["quarantined"] == {"missing_id": 1, "no_text": 1}
        item = intake.items()["s1"]
        assert item["title"] == "Oak table 1"
        assert (item["description"], item["tags"], item["attributes"]) == ("", [], "{}")


WAYS_OF_TAGS = [
    ("['sport', 'running shoe']", ["sport", "running shoe"]),
    ('["sport", "running shoe"]', ["sport", "running shoe"]),
    ("['sport' 'running shoe']", ["sport", "running shoe"]),
    ('{sport,"running shoe"}', ["sport", "running shoe"]),
    ("{'sport', 'running shoe'}", ["sport", "running shoe"]),
    ("('sport', 'running shoe')", ["sport", "running shoe"]),
    ("[sport, running shoe]", ["sport", "running shoe"]),
    ("sport|running shoe", ["sport", "running shoe"]),
    ("sport, running shoe", ["sport", "running shoe"]),
    ("sport;running shoe;", ["sport", "running shoe"]),
    ("Salt &amp; pepper;pan", ["Salt &amp; pepper", "pan"]),
    ("[]", []),
    ("{}", []),
    ("(limited edition)", ["(limited edition)"]),
    (["sport", None, 7], ["sport", "7"]),
]


def test_tags_are_several_however_they_are_written(intake):
    for n, (written, _) in enumerate(WAYS_OF_TAGS):
        rows = [{"item_id": f"w{n}-{i}", "title": f"Oak table {i}", "tags": written} for i in range(2)]
        intake.land(f"catalogue/{n}.jsonl", rows)
    assert {outcome["status"] for outcome in intake.ingest().values()} == {"accepted"}
    items = intake.items()
    assert [items[f"w{n}-0"]["tags"] for n, _ in enumerate(WAYS_OF_TAGS)] == [
        tags for _, tags in WAYS_OF_TAGS
    ]


def test_prose_in_tags_is_not_torn_at_its_commas(intake):
    prose = "A sturdy pan that heats evenly, keeps its shape for many years, and cleans well."
    intake.land("catalogue/tags.jsonl", [row | {"tags": prose, "updated_at": SECONDS} for row in ITEMS])
    intake.ingest()
    assert intake.items()["s1"]["tags"] == [prose]


def test_an_object_in_tags_is_a_bad_row_that_says_what_to_do(intake):
    rows = [row | {"updated_at": SECONDS} for row in ITEMS]
    intake.land("catalogue/tags.jsonl", [*rows, {"item_id": "x", "title": "Pan", "tags": {"name": "a"}}])
    intake.ingest()
    ((_, line, reason, detail),) = intake.quarantined()
    assert (line, reason) == (len(ITEMS) + 1, "wrong_type") and "land a list of texts" in detail


def test_a_truth_is_read_in_every_common_form(intake):
    written = ["t", "Y", "Yes", "1", "1.0", "on", "TRUE", True, 1, 1.0]
    rows = [{"item_id": f"s{n}", "deleted": word, "updated_at": SECONDS} for n, word in enumerate(written, 1)]
    words = ["f", "N", "no", "0", "0.0", "off", "False", False, 0, 0.0]
    kept = [row | {"deleted": word} for row, word in zip(ITEMS[10:20], words, strict=True)]
    intake.land("catalogue/gone.jsonl", [*rows, *kept])
    assert intake.ingest()["catalogue/gone.jsonl"]["quarantined"] == {}
    assert set(intake.items()) == {row["item_id"] for row in ITEMS[10:]}


def test_a_truth_that_is_none_is_named_with_its_value(intake):
    rows = [row | {"deleted": "f"} for row in ITEMS]
    intake.land("catalogue/flags.jsonl", [*rows, {"item_id": "x", "title": "Pan", "deleted": "maybe"}])
    intake.ingest()
    ((_, _, reason, detail),) = intake.quarantined()
    assert reason == "wrong_type" and detail.startswith("deleted 'maybe' should be true or false")


def test_a_decimal_comma_is_one_where_the_column_says_so(intake):
    intake.land(
        "interactions/v.csv",
        csv("user_id,item_id,event,value", 'a,s1,new,"4,5"', 'b,s2,new,"3,125"', "c,s3,new,2"),
    )
    intake.ingest()
    assert [row["value"] for row in intake.interactions() if row["event"] == "new"] == [4.5, 3.125, 2.0]


def test_separated_thousands_are_refused_and_never_read_as_a_fraction(intake):
    rows = [f"u{n},s{n},new,{n}.5" for n in range(1, 12)]
    intake.land(
        "interactions/v.csv", csv("user_id,item_id,event,value", *rows, 'c,s3,new,"1,250"', "d,s4,new,1_000")
    )
    assert intake.ingest()["interactions/v.csv"]["quarantined"] == {"wrong_type": 2}
    assert all("1,250" not in detail for _, _, _, detail in intake.quarantined())


UNUSED = {
    "embedding": pa.array([[float(i) for i in range(384)]] * 40),
    "thumb": pa.array([b"\x89PNG"] * 40),
    "ratio": pa.array([float("inf")] * 40),
    "prices": pa.array([[1.0, float("nan")]] * 40),
    "reviews": pa.array(["a" * 30_000] * 40),
    "cost": pa.array([Decimal("1.50")] * 40),
    "nested": pa.array([{"a": [1, None]}] * 40),
}


def test_columns_that_nobody_uses_cost_no_row(intake):
    titles = [f"Better {row['title']}" for row in ITEMS]
    intake.land("catalogue/more.parquet", parquet(item_id=IDS, title=titles, **UNUSED))
    became = intake.ingest()["catalogue/more.parquet"]
    assert (became["status"], became["n_rows"], became["quarantined"]) == ("accepted", 40, {})
    kept = json.loads(intake.items()["s1"]["attributes"])
    assert kept == {"cost": 1.5, "nested": {"a": [1, None]}}


def test_a_column_that_becomes_text_costs_the_rows_in_which_it_cannot_be_kept(intake):
    params = intake.at.params.read_text("utf-8")
    intake.at.params.write_text(params.replace("fields: [title,", "fields: [thumb, title,"), "utf-8")
    thumbs = pa.array([b"\x89PNG"] * 2 + [None] * 38)
    intake.land("catalogue/more.parquet", parquet(item_id=IDS, title=["Oak table"] * 40, thumb=thumbs))
    assert intake.ingest()["catalogue/more.parquet"]["quarantined"] == {"wrong_type": 2}
    assert "features.fields" in intake.quarantined()[0][3]


def test_variant_rows_are_left_out_and_no_bad_rows(empty_intake):
    rows = []
    for n in range(4):
        rows += [f"shoe-{n},Shoe {n},<p>Good &amp; light</p>,S", f"shoe-{n},,,M", f"shoe-{n},,,L"]
    empty_intake.land("catalogue/products.csv", csv("item_id,title,description,Option1 Value", *rows))
    became = empty_intake.ingest()["catalogue/products.csv"]
    assert (became["status"], became["n_rows"], became["quarantined"]) == ("accepted", 4, {})
    assert json.loads(empty_intake.items()["shoe-0"]["attributes"]) == {"Option1 Value": "S"}


def test_columns_are_found_whatever_their_case(intake):
    intake.land("catalogue/caps.csv", csv("Item ID,TITLE,updatedAt", f"s1,Green garden chair,{SECONDS}"))
    assert intake.ingest()["catalogue/caps.csv"]["status"] == "accepted"
    assert (intake.items()["s1"]["title"], intake.items()["s1"]["updated_at"]) == ("Green garden chair", NOON)


def test_two_columns_with_one_meaning_are_refused_by_name(intake):
    intake.land("catalogue/two.csv", csv("item_id,title,Title", "s1,a chair,another chair"))
    became = intake.ingest()["catalogue/two.csv"]
    assert became["status"] == "refused"
    assert "'Title' and 'title' both mean title" in became["problems"][0]["message"]


def test_a_file_without_item_id_is_refused_with_the_column_that_may_be_it(intake):
    intake.land("catalogue/movies.csv", csv("movieId,title,genres", "1,Heat,Crime"))
    became = intake.ingest()["catalogue/movies.csv"]
    assert became["status"] == "refused"
    assert "{movieId: item_id, genres: tags}" in became["problems"][0]["remedy"]
    page = (intake.at.data_docs / f"refused-{became['batch']}.html").read_text()
    assert "Why it was refused" in page and "{movieId: item_id, genres: tags}" in page


def test_a_pandas_frame_with_gaps_is_read_as_it_was_meant(intake):
    frame = pd.DataFrame(
        {
            "item_id": [1, 2, None],
            "title": [1984, 300, "Heat"],
            "deleted": [False, None, None],
            "price": [1.5, None, 2],
        }
    )
    sink = io.BytesIO()
    frame.astype({"title": str}).to_parquet(sink)
    intake.land("catalogue/frame.parquet", sink.getvalue())
    intake.land("catalogue/more.jsonl", [{"item_id": "f", "title": 1984, "description": ["one", "two"]}])
    intake.ingest()
    assert (intake.items()["f"]["title"], intake.items()["f"]["description"]) == ("1984", "one\ntwo")
