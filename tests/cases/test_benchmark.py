"""`recsys benchmark cold-start` reads somebody's files as the landing zone does, and says what it used and left out."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from recsys.cli import main
from tests.conftest import ROOT

TOPICS = {"kitchen": ("whisk", "oven dish"), "sport": ("ball", "shoe"), "garden": ("spade", "rake")}
N_ITEMS, N_COLD, N_USERS = 60, 9, 30
NAMES = list(TOPICS)


def topic(item):
    return NAMES[int(item.removeprefix("i")) % 3]


def words(n):
    first, second = TOPICS[topic(f"i{n}")]
    return [topic(f"i{n}"), *((first, second) if n % 2 else (second,))]


LIKES = [(f"u{u}", f"i{n}") for u in range(N_USERS) for n in range(u % 3, N_ITEMS, 3) if (n + u) % 5]


def log(pairs):
    return pa.table({"user_id": [user for user, _ in pairs], "item_id": [item for _, item in pairs]})


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny_encoder):
    """A workspace for the benchmark alone, with an encoder as small as one can be, and files of three topics."""
    folder = tmp_path_factory.mktemp("benchmark")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["encoder"]["source"] = str(tiny_encoder)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for column in ("tags", "genres"):
        table = {"item_id": [f"i{n}" for n in range(N_ITEMS)], "title": ["Item"] * N_ITEMS}
        pq.write_table(
            pa.table(table | {column: [words(n) for n in range(N_ITEMS)]}), folder / f"{column}.parquet"
        )
    pq.write_table(
        pa.table({"user_id": [u for u, _ in LIKES], "item_id": [i for _, i in LIKES]}), folder / "log.parquet"
    )
    (folder / "cold.txt").write_text("".join(f"i{n}\n" for n in range(N_ITEMS - N_COLD, N_ITEMS)))
    return folder


def run(
    home, *more, code=0, items="tags.parquet", interactions="log.parquet", cold="cold.txt", out="run.parquet"
):
    files = {"items": items, "interactions": interactions, "cold": cold, "out": out}
    options = [word for name, file in files.items() for word in (f"--{name}", str(home / file))]
    environment = {"RECSYS_WORKSPACE": str(home), "COLUMNS": "200"}
    done = CliRunner(env=environment).invoke(main, ["benchmark", "cold-start", *options, "--json", *more])
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    assert "Traceback" not in done.output
    return done


def ranked(home, out="run.parquet"):
    return pq.read_table(home / out).to_pylist()


def n_right_first(rows):
    first = [row for row in rows if row["rank"] == 1]
    return sum(NAMES[int(row["user_id"].removeprefix("u")) % 3] == topic(row["item_id"]) for row in first)


@pytest.fixture(scope="module")
def plain(home):
    return run(home), ranked(home)


def test_tags_are_as_good_as_the_same_words_in_any_other_column(home, plain):
    output, rows = plain
    assert n_right_first(rows) == N_USERS
    assert (
        json.loads(output.stdout)["fields"] == ["title", "tags"] and "text from title, tags" in output.stderr
    )
    run(home, items="genres.parquet", out="genres-run.parquet")
    assert ranked(home, "genres-run.parquet") == rows


def test_types_and_forms_change_nothing(home, plain):
    ids = [f"i{n}" for n in range(N_ITEMS)]
    table = pa.table(
        {
            "item_id": pa.array(ids, pa.large_string()),
            "title": pa.array(["Item"] * N_ITEMS).dictionary_encode(),
            "tags": pa.array([words(n) for n in range(N_ITEMS)], pa.large_list(pa.large_string())),
            "embedding": [[0.5] * 64] * N_ITEMS,
            "price": [1.5] * N_ITEMS,
            "image_path": [f"images/{item}.jpg" for item in ids],
            "released": ["22 Nov 1995"] * N_ITEMS,
        }
    )
    pq.write_table(table, home / "large.parquet")
    with (home / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerows([("User ID", "item_id", "position"), *((u, f" {i}\u00a0", 7) for u, i in LIKES)])
    done = run(home, items="large.parquet", interactions="log.csv", out="large-run.parquet")
    assert ranked(home, "large-run.parquet") == plain[1]
    output = json.loads(done.stdout)
    assert output["left_out"] == {"image_path": "paths or addresses", "price": "numbers", "released": "dates"}
    for words_ in ("image_path (paths or addresses)", "released (dates)", "embedding", "position"):
        assert words_ in done.stderr


def test_unknown_items_are_counted_and_reported(home, plain):
    more = [("u0", "nobody-knows-it"), ("u1", "nobody-knows-it"), ("stranger", "i-77")]
    pq.write_table(log([*LIKES, *more]), home / "more.parquet")
    done = run(home, interactions="more.parquet", out="more-run.parquet")
    output = json.loads(done.stdout)
    assert output["unknown_items"] == ["i-77", "nobody-knows-it"] and output["unknown_pairs"] == 3
    assert (
        "3 pairs left out: --items lacks 2 of their items, such as 'i-77', 'nobody-knows-it'" in done.stderr
    )
    known = [row for row in ranked(home, "more-run.parquet") if row["user_id"] != "stranger"]
    assert known == plain[1]


def test_dislikes_teach_nothing_and_are_reported(home, plain):
    wrong = [
        (f"u{u}", f"i{n}", "dislike") for u in range(N_USERS) for n in range((u + 1) % 3, N_ITEMS - N_COLD, 3)
    ]
    rows = [*((u, i, "view") for u, i in LIKES), *wrong]
    table = {name: [row[place] for row in rows] for place, name in enumerate(("user_id", "item_id", "event"))}
    pq.write_table(pa.table(table), home / "mixed.parquet")
    done = run(home, interactions="mixed.parquet", out="mixed-run.parquet")
    assert f"{len(wrong):,} pairs are dislikes or were taken back" in done.stderr
    assert ranked(home, "mixed-run.parquet") == plain[1]


@pytest.mark.parametrize(
    ("weight", "problem"),
    [
        ("", "weight is empty"),
        ("much", "weight 'much' should be a number"),
        ("1,500", "weight '1,500' has a comma"),
    ],
)
def test_a_weight_that_is_no_number_stops_the_run_by_file_row_column_and_value(home, weight, problem):
    with (home / "weights.csv").open("w", newline="") as file:
        rows = [(u, i, weight if n == 8 else 1) for n, (u, i) in enumerate(LIKES)]
        csv.writer(file).writerows([("user_id", "item_id", "weight"), *rows])
    output = run(home, interactions="weights.csv", code=1).stderr
    assert "weights.csv, line 10: " + problem in output and "remedy: correct these rows" in output


def test_a_person_may_name_the_columns_that_become_text(home):
    table = pq.read_table(home / "tags.parquet")
    pq.write_table(table.append_column("maker_id", pa.array(["acme"] * N_ITEMS)), home / "made.parquet")
    done = run(home, "--text", "maker_id, tags", items="made.parquet", out="made-run.parquet")
    output = json.loads(done.stdout)
    assert output["fields"] == ["maker_id", "tags"] and output["left_out"] == {"title": "not named"}
    assert n_right_first(ranked(home, "made-run.parquet")) == N_USERS
    output = run(home, "--text", "makers", items="made.parquet", code=1).stderr
    assert "no column 'makers'" in output and "name some of" in output


def test_ids_that_are_floats_in_one_file_are_the_integers_of_the_others(home):
    ids = list(range(N_ITEMS))
    pq.write_table(
        pa.table({"item_id": ids, "title": ["Item"] * N_ITEMS, "tags": [words(n) for n in ids]}),
        home / "ints.parquet",
    )
    numbers = [float(item[1:]) for _, item in LIKES]
    pq.write_table(pa.table({"user_id": [u for u, _ in LIKES], "item_id": numbers}), home / "floats.parquet")
    (home / "numbers.txt").write_text((home / "cold.txt").read_text().replace("i", ""))
    done = run(
        home, items="ints.parquet", interactions="floats.parquet", cold="numbers.txt", out="ints-run.parquet"
    )
    assert json.loads(done.stdout)["unknown_items"] == []
    assert (
        n_right_first([{**row, "item_id": f"i{row['item_id']}"} for row in ranked(home, "ints-run.parquet")])
        == N_USERS
    )
