import json
import shutil

import pytest

from recsys.catalogue import accepting
from recsys.catalogue.arrival import AcceptedBy
from recsys.catalogue.ingest import ingest
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.outcomes import LetIn
from recsys.catalogue.parts import list_parts
from recsys.catalogue.refusals import refusals
from recsys.catalogue.taking import Intake
from recsys.errors import BatchRefused, ConfigError, StateMoved

BY = AcceptedBy(who="ada", why="a new supplier")
GERMAN = [
    "Der alte Mann ging langsam durch den dunklen Wald und suchte nach seinem verlorenen Hund",
    "Eine junge Frau kehrt nach vielen Jahren in ihr kleines Heimatdorf an der Nordsee zurück",
    "Zwei Brüder streiten sich um das Erbe ihres Vaters und verlieren dabei ihre Freundschaft",
]
ENGLISH = [
    "The old man walked slowly through the dark forest and was looking for the dog that he had lost",
    "A young woman returns after many years to the little village by the sea where she was born",
    "Two brothers quarrel about what their father has left them and lose their friendship over it",
]


def ratings(n, items=30, **changed):
    return [
        {"user_id": f"person-{i}@example.org", "item_id": f"f{1 + i % items}", "event": "rating", "value": 4}
        | {"timestamp": 1_600_000_000 + i}
        | changed
        for i in range(n)
    ]


def described(sentences, n, first=1):
    """n films, each with a text of its own."""
    return [
        {
            "item_id": f"d{i}",
            "title": f"Number {i}",
            "description": f"{sentences[i % 3]} {i * 7919}: {sentences[(i + 1) % 3]}",
        }
        for i in range(first, first + n)
    ]


def statuses(report):
    return [(outcome.key.rpartition("/")[2], outcome.status) for outcome in report.outcomes]


def test_items_come_before_the_interactions_that_name_them(house, films):
    house.land("interactions/a.jsonl", ratings(20))
    house.land("catalogue/z.jsonl", films())
    report = house.ingest()
    assert [(o.kind, o.status, o.n_rows) for o in report.outcomes] == [
        (CATALOGUE, "accepted", 30),
        (INTERACTIONS, "accepted", 20),
    ]
    assert [part[:6] for part in (o.part for o in report.outcomes)] == ["000001", "000002"]
    assert house.landing.list("catalogue/") == house.landing.list("interactions/") == []
    assert [stored.key.rpartition("/")[2] for stored in house.landing.list("processed/")] == [
        "z.jsonl",
        "a.jsonl",
    ]


def test_every_way_to_write_a_row_gives_the_same_row(house):
    house.land(
        "catalogue/a.jsonl",
        [
            {
                "item_id": 7,
                "title": " Jaws ",
                "tags": ["fish", "sea", "fish", ""],
                "updated_at": "2025-06-01T02:00:00+02:00",
                "year": 1975,
            }
        ],
    )
    house.land(
        "catalogue/b.csv",
        "item_id,title,tags,updated_at,deleted,year\n7,Jaws,fish|sea,1748736000,false,1975\n",
    )
    house.ingest()
    one, other = house.rows()
    assert {k: v for k, v in one.items() if k not in {"part", "attributes"}} | {"line": 2} == {
        k: v for k, v in other.items() if k not in {"part", "attributes"}
    }
    assert (one["title"], one["tags"], one["updated_at"].isoformat()) == (
        "Jaws",
        ["fish", "sea"],
        "2025-06-01T00:00:00+00:00",
    )
    assert (one["attributes"], other["attributes"]) == ('{"year":1975}', '{"year":"1975"}')


def test_a_row_without_a_time_is_as_old_as_its_file(house):
    house.land("catalogue/a.jsonl", [{"item_id": "a", "title": "Alien"}])
    house.ingest()
    (row,), (part,) = house.rows(), list_parts(house.at.data, CATALOGUE)
    assert row["updated_at"] == part.arrival.arrived_at
    assert row["updated_at"].timestamp() == house.clock


def test_the_same_content_again_is_only_moved_away(house, films):
    house.land("catalogue/a.jsonl", films())
    house.ingest()
    before = {k: v for k, v in house.bytes_written().items() if k.startswith("data/")}
    house.land("catalogue/b.jsonl", films())
    assert statuses(house.ingest()) == [("b.jsonl", "unchanged")]
    assert {k: v for k, v in house.bytes_written().items() if k.startswith("data/")} == before
    assert house.landing.list("catalogue/") == []


@pytest.mark.parametrize("is_var_lost", [False, True])
def test_a_run_killed_after_acceptance_ends_with_the_same_bytes(house, films, monkeypatch, is_var_lost):
    house.land("catalogue/a.jsonl", films())
    house.land("interactions/b.jsonl", ratings(20))
    shutil.copytree(house.at.root, house.at.root.parent / "undisturbed")

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    monkeypatch.setattr(type(house.landing), "take", killed)
    for _ in range(2):  # first killed after one part, then after the other
        with pytest.raises(Killed):
            house.ingest()
        # The landed file that was accepted is still there: nothing is accepted twice.
    monkeypatch.undo()
    if is_var_lost:  # then the part's own record tells that the file was accepted
        shutil.rmtree(house.at.var)
    report = house.ingest()
    assert [o.status for o in report.outcomes] == ["repeated"] * is_var_lost + ["accepted"]
    assert house.landing.list("catalogue/") == house.landing.list("interactions/") == []
    disturbed = {k: v for k, v in house.bytes_written().items() if k.startswith("data/")}

    from recsys.artifacts import Artifacts

    twin = type(house)(
        Artifacts(house.at.root.parent / "undisturbed"),
        str(house.at.root.parent / "undisturbed/landing"),
        house.params,
    )
    twin.ingest()
    assert {k: v for k, v in twin.bytes_written().items() if k.startswith("data/")} == disturbed


def test_no_raw_user_id_is_left_anywhere(house, films):
    bad = [
        ratings(1, item_id="unknown")[0],
        ratings(1, value="Infinity")[0],
        ratings(1, event="person-0@example.org")[0],
        ratings(1, timestamp="person-0@example.org")[0],
        {"user_id": ["person-0@example.org"], "item_id": "f1"},
    ]
    house.land("catalogue/a.jsonl", films())
    content = (
        "".join(json.dumps(row) + "\n" for row in ratings(40) + bad) + '{"user_id": "person-0@example.org",\n'
    )
    house.land("interactions/b.jsonl", content)
    house.land("interactions/c.csv", "user_id,item_id,event\n" + "person-0@example.org,nowhere,view\n" * 9)
    # A file of interactions in the wrong folder.
    house.land("catalogue/d.jsonl", ratings(20))
    report = house.ingest()
    assert [o.status for o in report.outcomes] == ["accepted", "refused", "accepted", "accepted"]
    assert sorted(reason for source, _, reason in house.bad() if source == "b.jsonl") == [
        "bad_event",
        "bad_timestamp",
        "not_finite",
        "not_json",
        "wrong_type",
    ]
    users = {row["user"] for row in house.rows(INTERACTIONS)}
    assert len(users) == 40
    assert all(len(user) == 32 and int(user, 16) >= 0 for user in users)
    for path, content in house.bytes_written().items():
        assert b"person-" not in content, path
    for part in list_parts(house.at.data, INTERACTIONS):
        assert "person-" not in str(part.rows().to_pylist()) + str(part.quarantined().to_pylist())
    assert "person-" not in str(report)


def test_the_same_user_gets_the_same_pseudonym_in_every_file(house, films):
    house.land("catalogue/a.jsonl", films())
    house.land("interactions/b.jsonl", ratings(25))
    house.land("interactions/c.jsonl", ratings(25, event="view"))
    house.ingest()
    one, other = (part.rows()["user"].to_pylist() for part in list_parts(house.at.data, INTERACTIONS))
    assert one == other


def test_a_short_key_is_refused_before_anything_is_read(house, films):
    house.land("catalogue/a.jsonl", films())
    with pytest.raises(ConfigError, match="RECSYS_PSEUDONYM_KEY has 5 characters, at least 16"):
        ingest(house.landing, house.at, house.params, "short")
    assert house.ids() == []


def test_a_refused_batch_touches_nothing_and_is_let_in_on_the_record(house, films):
    house.land("catalogue/a.jsonl", films())
    house.ingest()
    house.land("catalogue/b.jsonl", films(30, first=100) + [{"item_id": f"bare{i}"} for i in range(20)])
    (refused,) = house.ingest().outcomes
    assert (refused.status, refused.part, refused.can_be_accepted) == ("refused", None, True)
    assert refused.quarantined == {"no_text": 20}
    (problem,) = refused.problems
    assert problem.check == "too_many_bad_rows"
    assert problem.message == "catalogue/b.jsonl: expected at most 20% of the rows are bad; found 40.0%"
    (record,) = refusals(house.at.refused)
    (reason,) = record.reasons
    assert (reason.reason, reason.n_rows, reason.lines) == ("no_text", 20, tuple(range(31, 51)))
    assert refused.reasons == record.reasons
    assert len(house.ids()) == 30
    (path,) = house.at.refused.glob("*.json")
    path.write_text(path.read_text().replace('"message"', '"says"'))  # the name in records of older versions
    assert refusals(house.at.refused) == (record,)
    assert house.ingest().outcomes == ()  # it waits for a person

    (let_in,) = house.ingest(LetIn(refused.batch, BY)).outcomes
    assert (let_in.status, let_in.n_rows) == ("accepted", 30)
    part = list_parts(house.at.data, CATALOGUE)[-1]
    assert part.arrival.accepted_by == BY
    (record,) = refusals(house.at.refused)
    assert (record.accepted_by, record.part) == (BY, part.id)
    assert b"Let in by ada: a new supplier" in part.report_path.read_bytes()


@pytest.mark.parametrize("place", ["write_part", "publish_page", "move"])
def test_letting_in_can_be_killed_anywhere_and_leaves_no_refusal_of_what_was_accepted(
    house, films, monkeypatch, place
):
    house.land("catalogue/a.jsonl", films() + [{"item_id": f"bare{i}"} for i in range(20)])
    (refused,) = house.ingest().outcomes

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    owner, name = {
        "write_part": (accepting, "write_part"),
        "publish_page": (Intake, "_publish_page"),
        "move": (type(house.landing), "take"),
    }[place]
    monkeypatch.setattr(owner, name, killed)
    with pytest.raises(Killed):
        house.ingest(LetIn(refused.batch, BY))
    monkeypatch.undo()
    report = house.ingest()
    (record,) = refusals(house.at.refused)
    if place == "write_part":  # nothing was accepted: it is refused as before, and waits for the word again
        assert [o.status for o in report.outcomes] == ["refused"]
        assert (house.ids(), record.accepted_by, record.part) == ([], None, None)
        report = house.ingest(LetIn(refused.batch, BY))
        assert [o.status for o in report.outcomes] == ["accepted"]
        (record,) = refusals(house.at.refused)
    else:
        assert [o.status for o in report.outcomes] == ([] if place == "move" else ["repeated"])
    (part,) = list_parts(house.at.data, CATALOGUE)
    assert (record.accepted_by, record.part) == (BY, part.id)
    assert part.arrival.accepted_by == BY
    assert house.landing.list("catalogue/") == [] and house.ingest().still_refused == ()


def test_only_matters_of_judgement_can_be_overruled(house, films):
    house.land("catalogue/a.csv", "item_id,price\n1,2\n")
    (refused,) = house.ingest().outcomes
    assert refused.problems[0].check == "missing_columns"
    assert "missing: title, description or tags" in refused.problems[0].message
    with pytest.raises(BatchRefused, match="cannot be let in"):
        house.ingest(LetIn(refused.batch, BY))
    with pytest.raises(BatchRefused, match="no refused batch 'feedface00' waits") as caught:
        house.ingest(LetIn("feedface00", BY))
    assert refused.batch in caught.value.remedy


def test_a_bad_newest_row_of_an_item_takes_no_good_one_with_it(house, films):
    rows = [
        {"item_id": "x", "title": "Oldest", "updated_at": "2025-01-01"},
        {"item_id": "x", "title": "Newest that is good", "updated_at": "2025-03-01"},
        {"item_id": "x", "title": "!!!", "updated_at": "2025-04-01"},
    ]
    house.land("catalogue/a.jsonl", films() + rows)
    house.ingest()
    assert [row["title"] for row in house.rows() if row["item_id"] == "x"] == ["Newest that is good"]
    assert house.bad() == [("a.jsonl", 33, "no_word")]
    (part,) = list_parts(house.at.data, CATALOGUE)
    assert (part.arrival.n_rows, part.arrival.n_superseded) == (31, 1)


def checks(outcome):
    return [problem.check for problem in outcome.problems]


def test_a_batch_in_another_language_is_refused(house):
    house.land("catalogue/a.jsonl", described(ENGLISH, 30))
    house.land("catalogue/b.jsonl", described(GERMAN, 30, first=100))
    house.land("catalogue/c.jsonl", described(ENGLISH, 30, first=200))
    first, second, third = house.ingest().outcomes
    assert (first.status, checks(second), third.status) == ("accepted", ["language_drift"], "accepted")


def test_a_batch_of_one_boilerplate_text_is_refused(house):
    rows = described(ENGLISH, 30)
    for row in rows[:20]:
        row |= {
            "title": "Soon",
            "description": "There is no description of this film yet, please come back later.",
        }
    house.land("catalogue/a.jsonl", rows)
    (outcome,) = house.ingest().outcomes
    assert checks(outcome) == ["boilerplate"]
    assert "found 66.7%" in outcome.problems[0].message


def test_near_duplicate_texts_are_counted_and_warned_about(house):
    rows = described(ENGLISH, 30)
    twin = {"item_id": "twin", "title": rows[0]["title"], "description": rows[0]["description"] + "!"}
    house.land("catalogue/a.jsonl", [*rows, twin | {"description": twin["description"] + " indeed"}])
    (outcome,) = house.ingest(near_duplicate_similarity=0.9).outcomes
    (part,) = list_parts(house.at.data, CATALOGUE)
    assert part.arrival.statistics.near_duplicate_texts == 2
    assert outcome.notes == ("2 long texts nearly repeat another one",)


def test_a_batch_whose_texts_became_much_longer_is_refused(house, films):
    house.land("catalogue/a.jsonl", films())
    house.land(
        "catalogue/b.jsonl",
        [row | {"title": "word " * 60, "item_id": f"l{n}"} for n, row in enumerate(films())],
    )
    _, outcome = house.ingest().outcomes
    assert "length_drift" in checks(outcome)


def test_descriptions_that_appear_for_the_first_time_are_no_drift(house, films):
    house.land("catalogue/a.jsonl", films())
    rows = [row | {"description": f"{ENGLISH[n % 3]} {n} " * 20} for n, row in enumerate(films())]
    house.land("catalogue/b.jsonl", rows)
    assert [o.status for o in house.ingest().outcomes] == ["accepted", "accepted"]


def test_a_batch_of_unusual_size_is_refused(house, films):
    house.land("catalogue/a.jsonl", films(2))
    house.land("catalogue/b.jsonl", films(40, first=50))
    _, outcome = house.ingest(max_volume_ratio=10).outcomes
    assert checks(outcome) == ["volume_drift"]
    assert "found 20" in outcome.problems[0].message


def test_a_delete_is_kept_and_interactions_with_its_item_are_no_fault(house, films):
    house.land("catalogue/a.jsonl", films())
    house.land("catalogue/b.jsonl", [{"item_id": "f1", "deleted": True}])
    house.land("interactions/c.jsonl", ratings(30, items=30))
    house.ingest()
    assert house.rows()[-1]["deleted"] is True
    assert house.bad() == []
    assert len(house.rows(INTERACTIONS)) == 30


def test_the_page_of_a_batch_names_reasons_and_lines_and_holds_no_row(house, films):
    house.land("catalogue/a.jsonl", [*films(), {"item_id": "x"}, {"title": "no id for <b>me</b>"}])
    house.ingest()
    (part,) = list_parts(house.at.data, CATALOGUE)
    page = part.report_path.read_text()
    assert "<td>missing_id</td>" in page
    assert '<td>required columns are there</td><td class="n">missing: none</td>' in page
    assert "<svg" in page
    assert "adventure" not in page
    assert "no id for" not in page
    assert (house.at.data_docs / f"{part.id}.html").read_text() == page


def test_drafts_that_a_killed_run_left_are_cleared_away(house, films):
    left = house.at.staging / "000001-0123456789"
    left.mkdir(parents=True)
    (left / "rows.parquet").write_bytes(b"half")
    house.land("catalogue/a.jsonl", films())
    house.ingest()
    assert [path.name for path in house.at.staging.iterdir() if path.name != "landed"] == []


@pytest.mark.servers
def test_a_bucket_is_taken_in_like_a_folder(house_in_bucket, films):
    house = house_in_bucket
    house.land("catalogue/a.jsonl", films())
    house.land("interactions/b.jsonl", ratings(20))
    assert [o.status for o in house.ingest().outcomes] == ["accepted", "accepted"]
    assert house.ingest().outcomes == ()
    assert len(house.landing.list("processed/")) == 2
    house.land("catalogue/again.jsonl", films())
    assert statuses(house.ingest()) == [("again.jsonl", "unchanged")]


def run_of_a_worker(house, before_moves):
    return ingest(house.landing, house.at, house.params, house.key, before_moves=before_moves)


def test_no_landed_file_leaves_its_place_before_all_that_was_accepted_is_stored(house, films):
    house.land("catalogue/a.jsonl", films(30))
    house.land("interactions/b.jsonl", ratings(20))
    seen = []

    def store():
        seen.append(
            [stored.key for kind in ("catalogue/", "interactions/") for stored in house.landing.list(kind)]
        )
        raise StateMoved("another worker has gone on")

    with pytest.raises(StateMoved):
        run_of_a_worker(house, store)
    assert seen == [["catalogue/a.jsonl", "interactions/b.jsonl"]] and not house.landing.list("processed/")
    report = run_of_a_worker(house, lambda: None)
    assert statuses(report) == [("a.jsonl", "repeated"), ("b.jsonl", "repeated")]
    assert len(house.landing.list("processed/")) == 2 and house.landing.list("catalogue/") == []
    assert not house.at.taking.exists() and len(list_parts(house.at.data, CATALOGUE)) == 1


def test_another_worker_takes_in_what_the_first_could_not_store_and_makes_the_same_part(
    house, films, tmp_path
):
    house.land("catalogue/a.jsonl", films(30))
    with pytest.raises(StateMoved):
        run_of_a_worker(house, _refused)
    (mine,) = list_parts(house.at.data, CATALOGUE)
    shutil.rmtree(house.at.data)  # the other one has never had it
    report = run_of_a_worker(house, lambda: None)
    assert statuses(report) == [("a.jsonl", "accepted")]
    (theirs,) = list_parts(house.at.data, CATALOGUE)
    assert (theirs.id, theirs.arrival.rows_sha256) == (mine.id, mine.arrival.rows_sha256)


def _refused():
    raise StateMoved("another worker has gone on")


def test_columns_under_other_names_are_read_once_params_say_what_they_mean(house, films):
    theirs = [{"sku": row["item_id"], "what": row["title"]} for row in films()]
    house.land("catalogue/shop.jsonl", theirs)
    (refused,) = house.ingest().outcomes
    assert "ingest.column_names: {catalogue: {sku: item_id}}" in refused.problems[0].remedy
    names = {"catalogue": {"sku": "item_id", "what": "title"}}
    (accepted,) = house.ingest(column_names=names).outcomes
    assert (accepted.status, accepted.n_rows) == ("accepted", 30)
    assert refusals(house.at.refused) == ()
    assert [row["title"] for row in house.rows()] == [row["title"] for row in films()]


def test_columns_in_another_language_are_told_that_params_can_name_them(house):
    house.land("catalogue/german.csv", "Artikelnummer;Bezeichnung\n1;Rote Lampe\n")
    (refused,) = house.ingest().outcomes
    assert refused.problems[0].remedy.startswith(
        "ingest.column_names in params.yaml says what your columns mean"
    )


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({"catalog": {"sku": "item_id"}}, "'catalog' is no folder of the landing zone"),
        ({"catalogue": {"sku": "item"}}, "catalogue has no column 'item'"),
        ({"catalogue": {"Title": "description"}}, "'Title' is a column of catalogue already"),
    ],
)
def test_names_of_columns_that_mean_nothing_are_refused(params, names, problem):
    with pytest.raises(ValueError, match=problem):
        type(params)(**params.model_dump() | {"column_names": names})
