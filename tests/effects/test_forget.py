"""`recsys forget`: a person is planted everywhere, and afterwards nothing holds the raw id or the pseudonym."""

import bz2
import gzip
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.killing import KILLED, ended, forked
from recsys import Release
from recsys.catalogue.kinds import INTERACTIONS
from recsys.catalogue.parts import list_parts
from recsys.catalogue.person import Person
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.effects.collect import collect
from recsys.publishing.forgotten import FORGOTTEN, forgotten
from recsys.publishing.params import CollectParams
from recsys.serving.feedback import FeedbackStore
from recsys.serving.feedback_events import Event
from recsys.serving.feedback_outbox import ship
from recsys.storage.atomic import write_whole
from recsys.storage.opening import open_storage
from tests.cases.conftest import KEY, empty_intake, in_workspace, prepared
from tests.cases.test_feedback import event

pytestmark = pytest.mark.whole

__all__ = ["empty_intake", "prepared"]
RAW = "jane.doe-4711"
JANE = Pseudonyms(KEY).of(RAW)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
ROWS = [event("u1", "s1"), event(RAW, "s2"), event("u2", "s3", value=2.5), event(RAW, "nowhere")]


def as_csv(rows):
    return "User ID;item_id;event;timestamp\n" + "".join(
        f"{row['user_id']};{row['item_id']};{row['event']};{row['timestamp']}\n" for row in rows
    )


def as_json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_parquet(rows, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([{"note": b"\x00\xff"} | row for row in rows]), path)


def traces(root, words):
    """Files below `root` that hold one of the words: in their bytes, decompressed, or in a column of a table."""
    found = []
    for path in sorted(
        path for path in root.rglob("*") if path.is_file() and path.name != Path(__file__).name
    ):
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        if content[:3] == b"BZh":
            content = bz2.decompress(content)
        if content[:4] == b"PAR1":
            content += str(pq.read_table(pa.BufferReader(content)).to_pylist()).encode()
        if any(word.encode() in content for word in words):
            found.append(str(path.relative_to(root)))
    return found


def plant(film_workspace):
    """The person in everything that one workspace has: accepted, quarantined, pending, waiting, refused, feedback."""
    film_workspace.land("interactions/a.csv", as_csv(ROWS))
    film_workspace.land(
        "interactions/b.jsonl.gz", gzip.compress(as_json_lines([*ROWS, event(RAW, "")]).encode())
    )
    as_parquet(ROWS, film_workspace.at.root / "landing/interactions/c.parquet")
    film_workspace.land("interactions/mine.jsonl", [event(RAW, "s5"), event(RAW, "s6")])
    store = FeedbackStore.open(f"sqlite:///{film_workspace.at.root / 'feedback.sqlite'}")
    for user, number in (("u3", 1), (RAW, 2), (RAW, 3)):
        store.add([Event(f"e{number}", Pseudonyms(KEY).of(user), "s7", "like", None, JUNE)])
        if number < 3:
            ship(store, open_storage(str(film_workspace.at.root / "landing")), Pseudonyms(KEY))
    store.close()
    film_workspace.ingest()
    for stage in ("users", "index", "validate", "split"):
        film_workspace.run("run", stage)
    film_workspace.run("publish")
    film_workspace.land("interactions/waits.txt.bz2", bz2.compress(as_csv(ROWS).encode()))
    film_workspace.land("interactions/refused.jsonl", [event(RAW, ""), event("u1", "")])
    Release.open(film_workspace.at.root / "store", cache=film_workspace.at.cache / "releases").recommend(
        pseudonym=JANE
    )


@pytest.fixture(scope="module")
def once_planted(prepared, tmp_path_factory):
    """A workspace in which the person is planted; each test works on a copy."""
    root = shutil.copytree(prepared, tmp_path_factory.mktemp("planted") / "workspace")
    with pytest.MonkeyPatch.context() as patch:
        intake = in_workspace(root, patch)
        patch.setenv("RECSYS_CACHE", str(intake.at.var / "cache"))
        plant(intake)
    return intake


@pytest.fixture
def planted(once_planted, tmp_path, monkeypatch):
    root = shutil.copytree(once_planted.at.root, tmp_path / "workspace")
    intake = in_workspace(root, monkeypatch)
    monkeypatch.setenv("RECSYS_CACHE", str(intake.at.var / "cache"))
    intake.clock = once_planted.clock
    return intake


def outside_store(film_workspace):
    return [name for name in traces(film_workspace.at.root, (RAW, JANE)) if not name.startswith("store/")]


def others(film_workspace):
    """What everybody else did, by accepted rows."""
    rows = [
        row for part in list_parts(film_workspace.at.data, INTERACTIONS) for row in part.rows().to_pylist()
    ]
    return sorted(
        (row["user"], row["item_id"], row["event"], str(row["timestamp"]))
        for row in rows
        if row["user"] != JANE
    )


def test_nothing_outside_old_releases_holds_the_person_and_everybody_else_stays(planted):
    before, held = others(planted), {name.split("/")[0] for name in outside_store(planted)}
    assert held >= {"landing", "data", "artifacts", "feedback.sqlite"}
    for only_saves_time in (planted.at.users_recall, planted.at.histories_by_user):
        write_whole(only_saves_time / "kept.state", b"likes")
    done = json.loads(planted.run("forget", RAW, "--json").stdout)
    assert outside_store(planted) == []
    assert not list(planted.at.users_recall.rglob("kept.state"))
    assert not list(planted.at.histories_by_user.rglob("kept.state"))
    assert others(planted) == before
    assert done["n_feedback"] == 2 and done["n_rows"] > 10 and done["old_releases"]
    for stage in ("users", "index"):
        planted.run("run", stage)
    planted.run("publish")
    release = Release.open(planted.at.root / "store", cache=planted.at.root / "reader")
    assert JANE not in release.users and release.id not in done["old_releases"]
    again = json.loads(planted.run("forget", "--pseudonym", JANE, "--json").stdout)
    assert (again["n_rows"], again["n_feedback"], again["made"], again["release"]) == (0, 0, [], None)
    assert again["old_releases"] == done["old_releases"]
    planted.ingest()  # what still waited is taken in without the person
    assert outside_store(planted) == [] and len(others(planted)) == len(before) + 2


@pytest.mark.parametrize("die_at", [3, 9, 17, 26, 36, 48, 61])
def test_killed_anywhere_the_next_run_ends_the_same(planted, tmp_path, die_at):
    before, log = others(planted), tmp_path / "log"
    code = ended(forked(lambda: planted.run("forget", RAW), log, die_at))
    assert code == KILLED, log.read_text()[-2000:]
    planted.run("forget", RAW)
    assert outside_store(planted) == [] and others(planted) == before
    planted.run("run", "users")
    planted.run("run", "index")
    planted.run("publish")
    assert JANE not in Release.open(planted.at.root / "store", cache=planted.at.root / "reader").users


def test_a_short_id_removes_nobody_else(empty_intake):
    rows = [event("5", "s1", value=5), event("55", "5", value=5), event("6", "s5", "5")]
    empty_intake.land("interactions/a.jsonl", rows)
    empty_intake.ingest()
    empty_intake.land("interactions/b.csv", as_csv(rows))
    empty_intake.run("forget", "5")
    empty_intake.ingest()
    names = Pseudonyms(KEY)
    assert sorted(row["user"] for row in empty_intake.interactions()) == sorted(
        map(names.of, ["55", "55", "6", "6"])
    )


def test_a_parquet_file_keeps_its_other_rows_and_types(empty_intake):
    path = empty_intake.at.root / "landing/interactions/c.parquet"
    as_parquet(ROWS, path)
    whole = pq.read_table(path)
    empty_intake.run("forget", RAW)
    assert pq.read_table(path).equals(whole.take([0, 2]))


def test_a_file_that_cannot_be_read_is_left_and_named(empty_intake):
    empty_intake.land("interactions/broken.parquet", b"PAR1 and then nothing")
    empty_intake.land("interactions/mine.jsonl", [event(RAW, "s5")])
    done = json.loads(empty_intake.run("forget", RAW, "--json").stdout)
    assert ["broken.parquet" in sentence for sentence in done["left"]] == [True]
    assert [path.name for path in (empty_intake.at.root / "landing/interactions").iterdir()] == [
        "broken.parquet"
    ]


def test_data_of_servers_below_var_stay_whole(planted):
    volume = planted.at.var / "platform" / "seaweed" / "1.dat"
    volume.parent.mkdir(parents=True)
    volume.write_text(JANE)
    planted.run("forget", RAW)
    assert volume.read_text() == JANE


def test_under_a_hold_the_release_that_readers_get_is_named(planted):
    first = Release.open(planted.at.root / "store", cache=planted.at.root / "reader").id
    planted.land("interactions/more.jsonl", [event("u1", "s8")])
    planted.ingest()
    for stage in ("users", "index"):
        planted.run("run", stage)
    planted.run("publish")
    planted.run("rollback", first, "--why", "a test")
    done = json.loads(planted.run("forget", RAW, "--json").stdout)
    assert any(f"held at release {first}" in sentence for sentence in done["left"])
    again = json.loads(planted.run("forget", RAW, "--json").stdout)
    assert again["gone_by"] == done["gone_by"]  # the deadline does not move


@pytest.mark.servers
def test_a_landing_zone_in_a_bucket_loses_the_person(empty_intake, bucket, monkeypatch):
    zone = open_storage(f"s3://{bucket}/zone")
    monkeypatch.setenv("RECSYS_LANDING", zone.url)
    zone.write("interactions/a.csv", as_csv(ROWS).encode())
    empty_intake.ingest()
    zone.write("interactions/b.csv", as_csv([*ROWS, event("u9", "s9")]).encode())
    zone.write("interactions/mine.jsonl", as_json_lines([event(RAW, "s5")]).encode())
    assert json.loads(empty_intake.run("forget", RAW, "--json").stdout)["n_rows"] == 2 + 2 + 1 + 2
    keys = [stored.key for stored in zone.list("")]
    assert sorted(key.split("/")[-1] for key in keys) == ["a.csv", "b.csv"]
    assert not [key for key in keys if RAW.encode() in zone.read(key)]
    empty_intake.ingest()
    assert len(empty_intake.interactions()) == 2 + 3


def test_a_person_is_given_in_one_way(empty_intake):
    for arguments in ((), (RAW, "--pseudonym", JANE), ("--pseudonym", "jane")):
        empty_intake.run("forget", *arguments, code=2)


def test_another_key_is_refused_before_anything_is_touched(planted, monkeypatch):
    before = outside_store(planted)
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", "another-key-for-tests-012345")
    assert "is not the key" in planted.run("forget", RAW, code=1).stderr
    assert outside_store(planted) == before


def test_releases_that_hold_the_person_go_by_the_deadline_and_others_stay(planted):
    store = open_storage(str(planted.at.root / "store"))
    done = json.loads(planted.run("forget", RAW, "--json").stdout)
    for stage in ("users", "index"):
        planted.run("run", stage)
    planted.run("publish")
    old = (datetime.now(UTC) - timedelta(days=3)).timestamp()
    for path in Path(store.url).rglob("*"):
        os.utime(path, (old, old))
    assert collect(store, CollectParams(keep_releases=9, grace_s=7200, forget_days=1)).releases == ()
    assert forgotten(store)
    gone = collect(store, CollectParams(keep_releases=9, grace_s=7200, forget_days=0)).releases
    assert set(gone) == set(done["old_releases"]) and forgotten(store) == {}
    assert traces(planted.at.root, (RAW, JANE)) == []
    assert FORGOTTEN in store.top()
    assert Release.open(store.url, cache=planted.at.root / "reader").verify() > 3


def test_a_pseudonym_is_found_in_tables_and_bytes_and_not_in_arrays(tmp_path):
    person = Person(JANE)
    pq.write_table(
        pa.table({"n": [1, 2], "row": ["{}", f'{{"user_pseudonym": "{JANE}"}}']}), tmp_path / "a.parquet"
    )
    pq.write_table(pa.table({"n": [1], "row": ["{}"]}), tmp_path / "b.parquet")
    (tmp_path / "c").write_bytes(b"x" * (2**22 - 5) + JANE.encode())  # across two blocks
    (tmp_path / "f.json").write_text(f'{{"user": "{JANE[:10]}"}}')
    (tmp_path / "d").write_bytes(b"\x93NUMPY" + JANE.encode())
    (tmp_path / "e").write_bytes(b"PAR1" + JANE.encode())
    assert [person.is_in(tmp_path / name) for name in ("a.parquet", "b.parquet", "c", "d", "e", "f.json")] == [
        True, False, True, False, True, True,
    ]  # fmt: skip


def test_relations_and_vectors_that_name_the_person_go_too_and_an_item_of_that_name_stays(planted):
    friends = [
        ("s1", "liked_by", RAW),
        ("s2", "liked_by", RAW),
        ("s1", "maker", "Acme"),
        ("s2", "maker", "Acme"),
    ]
    triples = [dict(zip(("head", "relation", "tail"), one, strict=True)) for one in friends]
    planted.land("relations/graph.jsonl", triples)
    planted.land("relations/bad.jsonl", [*triples, {"head": RAW, "relation": "", "tail": "x"}])
    people = [
        {"item_id": item, "view": "taste", "source": "m", "vector": [1, 2]} for item in (RAW, "s1", "s2")
    ]
    planted.land("vectors/people.jsonl", people)
    planted.ingest()
    for stage in ("users", "index"):
        planted.run("run", "features")
        planted.run("run", stage)
    planted.run("publish")
    held = outside_store(planted)
    assert [name for name in held if name.startswith("data/relations/")]
    planted.land("relations/waits.csv", f"subject,head,relation,tail\n1, {RAW} ,liked,s3\n2,s3,maker,Acme\n")
    done = json.loads(planted.run("forget", RAW, "--json").stdout)
    assert outside_store(planted) == []
    assert not [name for name in traces(planted.at.root / "artifacts", (RAW,))]
    assert done["old_releases"]
    planted.ingest()
    graph = [row for part in list_parts(planted.at.data, "relations") for row in part.rows().to_pylist()]
    assert {(row["head"], row["relation"], row["tail"]) for row in graph} == {
        (item, "maker", "Acme") for item in ("s1", "s2", "s3")
    }
    vectors = [row for part in list_parts(planted.at.data, "vectors") for row in part.rows().to_pylist()]
    assert {row["item_id"] for row in vectors} == {"s1", "s2"}
    again = json.loads(planted.run("forget", "s1", "--json").stdout)
    assert (again["n_rows"], again["made"]) == (0, [])


def test_a_pseudonym_is_enough_to_find_waiting_relations_and_heads_that_name_the_person(empty_intake):
    empty_intake.land("catalogue/a.jsonl", [{"item_id": "s1", "title": "a song"}])
    empty_intake.ingest()
    empty_intake.land("relations/waits.csv", f"head,relation,tail\n {RAW} ,likes,s1\ns1,maker,Acme\n")
    empty_intake.land("relations/broken.parquet", b"PAR1 is all of it")
    head = empty_intake.at.cache / "heads" / ("a" * 64) / "head.json"
    head.parent.mkdir(parents=True)
    views = [{"name": "relations", "weight": 0.5, "decay": 0.3, "names": ["Acme", RAW]}]
    head.write_text(json.dumps({"version": 5, "views": views}))
    done = json.loads(empty_intake.run("forget", "--pseudonym", JANE, "--json").stdout)
    assert (done["landed"], done["n_rows"]) == (["relations/waits.csv"], 1)
    assert [one.split(":")[0] for one in done["left"]] == [
        "relations/broken.parquet cannot be read",
        "head aaaaaaaaaa names the person",
    ]
    head.unlink()
    again = json.loads(empty_intake.run("forget", "--pseudonym", JANE, "--json").stdout)
    assert again["n_rows"] == 0
