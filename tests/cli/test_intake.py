import io
import json
import zipfile

import pyarrow as pa
import pytest
from click.testing import CliRunner

from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import all_parts
from recsys.cli import main
from tests.dvc_folder import begin_dvc

FILMS = [{"item_id": f"f{i}", "title": f"The adventure number {i}"} for i in range(1, 31)]


@pytest.fixture
def recsys(workspace, monkeypatch):
    """Runs commands in a workspace with DVC."""
    begin_dvc(workspace.root)
    monkeypatch.setenv("RECSYS_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("RECSYS_LANDING", str(workspace.root / "landing"))
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", "a-key-for-tests-0123456789")

    def call(*arguments, code=0):
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == code, result.output
        return result

    return call


def land(at, key, rows):
    path = at.root / "landing" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_day_of_intake(recsys, workspace):
    land(workspace, "catalogue/a.jsonl", [*FILMS, {"item_id": "x"}])
    land(workspace, "catalogue/b.docx", FILMS[:1])
    result = recsys("ingest", "--json", "--skip-code")
    report = json.loads(result.stdout)
    assert [outcome["status"] for outcome in report["outcomes"]] == ["accepted", "refused"]
    assert "REFUSED" in result.stderr
    assert "catalogue/b.docx ends in '.docx'" in result.stderr and "remedy: land .jsonl, " in result.stderr
    pointer = workspace.data_dvc.read_text()
    assert "nfiles: 4" in pointer
    part = report["outcomes"][0]["part"]

    # Nothing is new, but it has not been published: go on to publish.
    assert "still refused" in recsys("ingest", "--skip-code").stderr
    workspace.published.write_text(json.dumps({"parts": [part]}))
    recsys("ingest", "--skip-code", code=99)
    recsys("ingest")
    assert workspace.data_dvc.read_text() == pointer

    counts = json.loads(recsys("quarantine", "list", "--json").stdout)
    assert [(count["part"], count["reason"], count["n_rows"]) for count in counts] == [(part, "no_text", 1)]
    (row,) = json.loads(recsys("quarantine", "show", part, "--reason", "no_text", "--json").stdout)
    assert (row["line"], json.loads(row["row"])["item_id"]) == (31, "x")
    assert "no_text" in recsys("quarantine", "show", part).stderr
    assert "1 rows landed as" in recsys("quarantine", "retry", part).stderr
    assert (workspace.root / f"landing/catalogue/retry-{part}.jsonl").is_file()


def nameless():
    raise KeyError("getpwuid(): uid not found: 1000")


@pytest.mark.parametrize(("who", "recorded"), [("the shop's editor", "the shop's editor"), (None, "uid ")])
def test_a_refused_batch_is_let_in_with_name_and_reason(recsys, workspace, monkeypatch, who, recorded):
    monkeypatch.setattr("getpass.getuser", nameless)  # as in a container
    if who:
        monkeypatch.setenv("RECSYS_WHO", who)
    land(workspace, "catalogue/a.jsonl", [*FILMS, *({"item_id": f"bare{i}"} for i in range(30))])
    (refused,) = json.loads(recsys("ingest", "--json").stdout)["outcomes"]
    recsys("ingest", "--accept", refused["batch"], code=2)
    for n, event in enumerate(["Kauf"] * 11 + ["return"]):  # so many small files become one part
        land(workspace, f"interactions/{n}.jsonl", [{"user_id": n, "item_id": "f1", "event": event}])
    accepted = recsys("ingest", "--accept", refused["batch"], "--why", "stubs of next season").stderr
    assert "counts as likes: kauf (11); dislikes: return (1)" in " ".join(accepted.split())
    part = next(one for one in all_parts(workspace.data) if one.kind == CATALOGUE)
    assert part.arrival.accepted_by.why == "stubs of next season"
    assert part.arrival.accepted_by.who.startswith(recorded)
    assert "BatchRefused" in recsys("ingest", "--accept", "0123456789", "--why", "x", code=1).stderr


def test_a_run_killed_before_dvc_tracked_a_part_tracks_it_the_next_time(recsys, workspace, monkeypatch):
    land(workspace, "catalogue/a.jsonl", FILMS)
    monkeypatch.setattr("recsys.dvc.track_data", lambda root: (_ for _ in ()).throw(SystemExit(137)))
    recsys("ingest", code=137)
    monkeypatch.undo()
    assert not workspace.data_dvc.exists()
    monkeypatch.setenv("RECSYS_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("RECSYS_LANDING", str(workspace.root / "landing"))
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", "a-key-for-tests-0123456789")
    recsys("ingest")
    assert "nfiles: 4" in workspace.data_dvc.read_text()


def test_a_missing_key_or_landing_zone_is_named(recsys, workspace, monkeypatch):
    monkeypatch.delenv("RECSYS_PSEUDONYM_KEY")
    assert "RECSYS_PSEUDONYM_KEY is not set" in recsys("ingest", code=1).stderr
    monkeypatch.delenv("RECSYS_LANDING")
    assert "RECSYS_LANDING is not set" in recsys("ingest", code=1).stderr


def test_a_workspace_without_dvc_works_with_a_warning(recsys, workspace):
    import shutil

    shutil.rmtree(workspace.root / ".dvc")
    land(workspace, "catalogue/a.jsonl", FILMS)
    assert "data/ is not tracked" in recsys("ingest").stderr
    assert [part.kind for part in all_parts(workspace.data)] == [CATALOGUE]


def test_an_unknown_part_is_refused_with_a_hint(recsys):
    result = recsys("quarantine", "show", "000001-0000000000", code=1)
    assert "no part '000001-0000000000' has been accepted" in result.stderr
    assert "quarantine list" in result.stderr


def zipped(name, text):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, text)
    return sink.getvalue()


ORDINARY = {
    "zipped.zip": zipped("shop.csv", "item_id,title\nzip1,Red shoe\nzip2,Blue shoe\n"),
    "excel.csv": "\ufeffSpring,Ann,2026\r\nitem_id,title,price\r\nexcel1,Red shoe,10\r\nexcel2,Pan,20\r\n".encode(),
    "spark.csv": b'item_id,title\nspark1,"A 15\\" screen, wide"\nspark2,"Blue shoe"\n',
    "case.csv": b"item_id,title\nCASE-1,Red shoe\ncase-1,Red shoe again\n",
    "commas.jsonl": b'{"item_id": "comma1", "title": "Red shoe",}\n{"item_id": "comma2", "title": "Blue shoe",}\n',
    "api.jsonl": b'{"item_id": "api1", "title": "Heat", "tags": [{"id": 80, "name": "Crime"}]}\n',
    "read_twice.csv": "item_id,title\ngarbled1,CafÃ© crÃ¨me\ngarbled2,Itâ€™s fine\n".encode(),
    "ansi.csv": "item_id,title\nansi1,Café crème\nansi2,Größe\n".encode("cp1252"),
    "python.jsonl": b"{'item_id': 'python1', 'title': 'Red shoe'}\n",
    "wrapped.jsonl": b'{"product": {"item_id": "w1", "title": "A"}}\n{"product": {"item_id": "w2", "title": "B"}}\n',
    "float.csv": b"item_id,title\n1e+05,Red shoe\n2e+05,Blue shoe\n",
    "matrix.csv": b"user_id,zip1,zip2\nann,5,\nbob,,3\n",
}
SAID = {
    "zipped.zip": "decompressed (zip)",
    "excel.csv": "1 row above the header ignored",
    "spark.csv": "quotes are escaped by backslashes",
    "case.csv": "1 id differs from another one in case alone, such as 'CASE-1' and 'case-1'",
    "read_twice.csv": "2 texts such as 'CafÃ© crÃ¨me' look like UTF-8 that was read as Windows-1252",
    "ansi.csv": "iconv -f WINDOWS-1252 -t UTF-8",
    "python.jsonl": "this is a Python dict, not JSON: write json.dumps(row)",
    "wrapped.jsonl": "each row was read out of the object 'product' around it",
    "float.csv": "item_id '1e+05' is in scientific notation, digits are lost; export the column as text",
    "matrix.csv": "if each item has a column of its own, write a row for each user and item",
}
REFUSED = {"ansi.csv", "python.jsonl", "float.csv", "matrix.csv"}


def test_ordinary_files_of_many_programs_are_read_as_meant_or_refused_with_a_remedy(recsys, workspace):
    for name, content in ORDINARY.items():
        folder = workspace.root / "landing" / ("interactions" if name == "matrix.csv" else "catalogue")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    result = recsys("ingest", "--json", "--skip-code")
    outcomes = json.loads(result.stdout)["outcomes"]
    status = {outcome["key"].partition("/")[2]: outcome["status"] for outcome in outcomes}
    assert status == {name: "refused" if name in REFUSED else "accepted" for name in ORDINARY}
    told = {outcome["key"].partition("/")[2]: json.dumps(outcome, ensure_ascii=False) for outcome in outcomes}
    assert {name: words for name, words in SAID.items() if words not in told[name]} == {}
    rows = pa.concat_tables([part.rows(["item_id", "title", "tags"]) for part in all_parts(workspace.data)])
    found = {row["item_id"]: row for row in rows.to_pylist()}
    assert found["spark1"]["title"] == 'A 15" screen, wide' and found["api1"]["tags"] == ["Crime"]
    assert {"zip2", "excel2", "comma2", "CASE-1", "case-1", "garbled1"} <= found.keys()
