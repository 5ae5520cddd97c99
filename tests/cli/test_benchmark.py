import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from recsys.cli import main
from tests.encoders.models import WORDS, save_model
from tests.encoders.pictures import picture, save_clip

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Items of one word and its neighbour, users who like the first or the second half of the words."""
    folder = tmp_path_factory.mktemp("inputs")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["encoder"] |= {"source": str(save_model(folder / "tiny")), "max_tokens": 32}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    n = len(WORDS)
    titles = [f"{WORDS[i]} {WORDS[(i + 1) % n]}" for i in range(n)]
    pq.write_table(pa.table({"item_id": list(range(n)), "title": titles}), folder / "items.parquet")
    rows = [f"u{u},{i}" for u in range(6) for i in range(n) if i % 2 == u % 2 or i % 5 == 0]
    (folder / "log.csv").write_text("\n".join(["user_id,item_id", *rows]) + "\n")
    (folder / "cold.txt").write_text("\n".join(map(str, range(0, n, 4))) + "\n")
    return folder


def run(inputs, *more, **changed):
    files = {
        "items": "items.parquet",
        "interactions": "log.csv",
        "cold": "cold.txt",
        "out": "run.parquet",
    } | changed
    options = [word for name, file in files.items() for word in (f"--{name}", str(inputs / file))]
    return CliRunner(env={"RECSYS_WORKSPACE": str(inputs)}).invoke(
        main, ["benchmark", "cold-start", *options, *more]
    )


def test_every_user_gets_each_cold_item_once_by_rank(inputs):
    done = run(inputs, "--json")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    cold = set((inputs / "cold.txt").read_text().split())
    assert summary["cold"] == len(cold) and summary["fields"] == ["title"]
    rows = pq.read_table(inputs / "run.parquet").to_pylist()
    for user in range(6):
        mine = [row for row in rows if row["user_id"] == f"u{user}"]
        assert [row["rank"] for row in mine] == list(range(1, len(cold) + 1))
        assert {row["item_id"] for row in mine} == cold


def test_a_second_run_encodes_nothing_and_gives_the_same_bytes(inputs):
    run(inputs)
    before = (inputs / "run.parquet").read_bytes()
    # Names of cache files come from their keys: only the inode tells that one was written again.
    cache = inputs / "var" / "cache" / "vectors"
    vectors = {path: path.stat().st_ino for path in cache.rglob("*.npy")}
    assert vectors
    assert run(inputs, out="again.parquet").exit_code == 0
    assert (inputs / "again.parquet").read_bytes() == before
    assert {path: path.stat().st_ino for path in cache.rglob("*.npy")} == vectors


def test_a_head_is_chosen_on_the_newest_items_by_every_kind_of_time_that_the_files_have(inputs):
    n = len(WORDS)
    items = pq.read_table(inputs / "items.parquet")
    dated = items.append_column(
        "release_date", pa.array([f"{1 + i % 28:02d}-Jan-{1950 + i}" for i in range(n)])
    )
    pq.write_table(dated, inputs / "dated.parquet")
    log = (inputs / "log.csv").read_text().splitlines()
    times = [f"{row},{1_000_000_000 + 86_400 * (n - int(row.split(',')[1]))}" for row in log[1:]]
    (inputs / "timed.csv").write_text("\n".join([f"{log[0]},timestamp", *times]) + "\n")
    done = run(inputs, "--json", items="dated.parquet", interactions="timed.csv")
    assert done.exit_code == 0, done.output
    warm = n - len((inputs / "cold.txt").read_text().split())
    folds = json.loads(done.stdout)["folds"]
    newest = dict.fromkeys(("first interaction", "release_date"), round(0.2 * warm))
    assert {kind: folds[kind] for kind in newest} == newest
    few = ["random 1", "random 2", "random 3"]  # beside the newest where few items are warm
    assert sorted(folds) == sorted([*newest, *few])
    assert f"held out: {round(0.2 * warm)} by first interaction" in " ".join(done.stderr.split())
    untimed = json.loads(run(inputs, "--json").stdout)["folds"]
    assert list(untimed) == few


def test_lists_are_cut_at_the_wanted_length(inputs):
    assert run(inputs, "--top", "3").exit_code == 0
    assert max(pq.read_table(inputs / "run.parquet")["rank"].to_pylist()) == 3


def test_an_unknown_cold_item_is_named_without_a_traceback(inputs):
    (inputs / "strange.txt").write_text("0\nnobody\n")
    done = run(inputs, cold="strange.txt")
    assert done.exit_code == 1 and "'nobody'" in done.stderr and "remedy" in done.stderr
    assert "Traceback" not in done.output


def test_help_says_what_the_files_must_hold():
    words = CliRunner().invoke(main, ["benchmark", "cold-start", "--help"]).output
    assert "item_id, title" in words and "user_id, item_id" in words
    assert "head, relation, tail" in words and "item_id, view, source, vector" in words


def test_relations_and_vectors_join_the_profiles_where_they_help(inputs):
    n = len(WORDS)
    sides = ["even" if one % 2 == 0 else "odd" for one in range(n)]
    triples = [f"{one},on side,{side}" for one, side in enumerate(sides)] + ["1,award_won,prize", "x,of,y"]
    (inputs / "graph.csv").write_text("\n".join(["head,relation,tail", *triples]) + "\n")
    rows = [
        {"item_id": str(one), "view": "audio", "source": "m 1", "vector": [3.0, one % 3]} for one in range(4)
    ]
    (inputs / "audio.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    done = run(inputs, "--json", relations="graph.csv", vectors="audio.jsonl")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["view_coverage"] == {"relations": 1.0, "audio": 4 / n}
    assert f"{n + 2} rows, 2 relations used" in done.stderr and "left out (section relations" in done.stderr
    assert "view audio:" in done.stderr and "by m 1" in done.stderr
    assert set(summary["view_weights"]) <= {"relations", "audio"}
    assert any(name.startswith("relations 1, words") for name in summary["validation_ndcg"])


@pytest.mark.parametrize(
    ("option", "content", "problem"),
    [
        ("relations", "head,relation\n1,of\n", "has no column 'tail'"),
        ("relations", "head,relation,tail\n1,of,\n", "line 2: tail is empty"),
        ("relations", "head,relation,tail\nx,of,y\n", "links none of --items"),
        ("vectors", "item_id,view,vector\n1,audio,0.5 0.5\n", "source is missing"),
        ("vectors", "item_id,view,source,vector\nzzz,audio,m,0.5 0.5\n", "has vectors of none of --items"),
        (
            "vectors",
            "item_id,view,source,vector\n1,audio,m,1 0\n2,audio,m,1 0\n3,audio,m,1\n",
            "line 4: the vector of '3' has 1 numbers",
        ),
    ],
)
def test_a_view_that_cannot_be_read_is_named_without_a_traceback(inputs, option, content, problem):
    (inputs / "bad.csv").write_text(content)
    done = run(inputs, **{option: "bad.csv"})
    assert done.exit_code == 1 and problem in " ".join(done.output.split()), done.output
    assert "Traceback" not in done.output


@pytest.fixture(scope="module")
def pictured(inputs, tmp_path_factory):
    """The same items, most of them with a picture in a folder; params.yaml names a small vision encoder."""
    folder = inputs / "pictures"
    folder.mkdir()
    items = pq.read_table(inputs / "items.parquet")
    names = [None if n % 10 == 1 else f"{n}.png" for n in range(items.num_rows)]
    for n, name in enumerate(names):
        if name and n % 10 != 2:
            picture(n % 7 + 10 * (n % 2), (40, 40)).save(folder / name)
    pq.write_table(items.append_column("image", pa.array(names)), inputs / "pictured.parquet")
    params = yaml.safe_load((inputs / "params.yaml").read_text())
    params["images"]["encoder"] = str(save_clip(tmp_path_factory.mktemp("clip")))
    (inputs / "images.yaml").write_text(yaml.safe_dump(params))
    return folder


def test_pictures_of_a_folder_become_a_view_and_missing_ones_are_told(inputs, pictured):
    options = ("--json", "--params", str(inputs / "images.yaml"), "--images", str(pictured))
    done = run(inputs, *options, items="pictured.parquet", out="pictured-run.parquet")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["view_coverage"] == {"image": 0.8}
    assert "view image: 80% of the items" in done.stderr and "26 not_found" in done.stderr
    assert not list((inputs / "var/staging").iterdir())


def test_pictures_need_the_column_that_says_whose_they_are(inputs, pictured):
    done = run(inputs, "--images", str(pictured))
    assert done.exit_code == 1 and "no column image" in done.stderr
    empty = inputs / "empty"
    empty.mkdir()
    options = ("--params", str(inputs / "images.yaml"), "--images", str(empty))
    done = run(inputs, *options, items="pictured.parquet")
    assert done.exit_code == 1 and "has no picture of --items: 234 not_found" in done.stderr
