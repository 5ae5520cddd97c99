"""`recsys off-policy`: tables with known truth, and logs as the service writes them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from recsys.cli import main
from recsys.ranking.exploring import choice_probabilities


def run(*words, folder):
    return CliRunner(env={"RECSYS_WORKSPACE": str(folder)}).invoke(main, ["off-policy", *map(str, words)])


@pytest.fixture
def clicks():
    """Three actions with click rates .1, .3 and .5; the log prefers the first."""
    rng = np.random.default_rng(3)
    chance_A, rate_A = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.3, 0.5])
    action_N = rng.choice(3, 5000, p=chance_A)
    reward_N = (rng.random(5000) < rate_A[action_N]).astype(int)
    columns = {"user": rng.integers(500, size=5000), "click": reward_N, "chance": chance_A[action_N]}
    model = {"q": rate_A[action_N], "q_mean": np.full(5000, 0.3), "mine": np.full(5000, 1 / 3)}
    return pa.table(columns | model)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_table_gives_the_value_of_the_uniform_policy(tmp_path, clicks, ending):
    path = tmp_path / f"log.{ending}"
    if ending == "parquet":
        pq.write_table(clicks, path)
    elif ending == "csv":
        pyarrow.csv.write_csv(clicks, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in clicks.to_pylist()))
    names = ["--reward", "click", "--propensity", "chance", "--user", "user"]
    uniform = json.loads(run("table", path, *names, "--uniform", 3, "--json", folder=tmp_path).stdout)
    assert uniform["snips"]["low"] < 0.3 < uniform["snips"]["high"]
    assert uniform["logged"]["mean"] == pytest.approx(0.2, abs=0.02) and uniform["n_groups"] == 500
    assert uniform["dr"] is None and uniform["warnings"] == []
    model = ["--predicted", "q", "--expected", "q_mean", "--target", "mine", "--json"]
    robust = json.loads(run("table", path, *names, *model, folder=tmp_path).stdout)
    assert robust["snips"]["mean"] == pytest.approx(uniform["snips"]["mean"])
    assert robust["dr"]["low"] < 0.3 < robust["dr"]["high"]
    shown = run("table", path, *names, *model[:-1], folder=tmp_path)
    assert "doubly robust" in shown.output and "effective sample size" in shown.output


def test_a_file_is_split_into_logs_at_will(tmp_path, clicks):
    pq.write_table(clicks, tmp_path / "all.parquet")
    halves = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    pq.write_table(clicks.slice(0, 2000), halves[0])
    pq.write_table(clicks.slice(2000), halves[1])
    names = ["--reward", "click", "--propensity", "chance", "--user", "user", "--uniform", "3", "--json"]
    whole, parts = (
        run("table", *files, *names, folder=tmp_path).stdout for files in ([tmp_path / "all.parquet"], halves)
    )
    assert whole == parts and json.loads(whole)["n"] == 5000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop_columns("chance"), ["no column 'chance'", "it has user, click"]),
        (lambda t: swapped(t, "chance", [0.0] + [0.5] * 4999), ["log.parquet", "row 1 has 0.0", "above 0"]),
        (lambda t: swapped(t, "chance", [0.5, None] + [0.5] * 4998), ["row 2", "chance is empty"]),
        (lambda t: swapped(t, "click", ["no"] * 5000), ["click holds no numbers"]),
        (lambda t: t.slice(0, 5), ["an estimate needs 10"]),
        (lambda t: t.slice(0, 0), ["the log is empty"]),
    ],
)
def test_bad_logs_are_refused_by_file_row_and_column(tmp_path, clicks, change, words):
    pq.write_table(change(clicks), tmp_path / "log.parquet")
    names = ["--reward", "click", "--propensity", "chance", "--uniform", 3]
    done = run("table", tmp_path / "log.parquet", *names, folder=tmp_path)
    assert done.exit_code == 1 and "remedy" in done.output
    for word in words:
        assert word in done.output.replace("\n", " ")


def swapped(table, name, values):
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def served_lines(n=4000, seed=0):
    """Lines of a service that drew two of four new items a list, and likes whose chance is known by item."""
    rng = np.random.default_rng(seed)
    rate = {"a": 0.6, "b": 0.4, "c": 0.2, "d": 0.1}
    for number in range(n):
        mean_C, deviation_C = rng.normal(size=4).round(3), rng.uniform(0.5, 1.5, 4).round(3)
        left, draws = [0, 1, 2, 3], []
        for place in (2, 5):
            chance_C = choice_probabilities("thompson", mean_C[left], deviation_C[left], 0.2)
            chosen = int(rng.choice(len(left), p=chance_C))
            draws.append({"place": place, "item_id": "abcd"[left[chosen]], "probability": chance_C[chosen]})
            del left[chosen]
        candidates = {"item_ids": list("abcd"), "means": mean_C.tolist(), "deviations": deviation_C.tolist()}
        line = {"message": "explored", "list_id": f"l{number}", "draws": draws, "candidates": candidates}
        yield line
        for draw in draws:
            if rng.random() < rate[draw["item_id"]]:
                event = {"event": "click", "value": None}
                yield {
                    "message": "feedback on a list",
                    "list_id": line["list_id"],
                    "item_id": draw["item_id"],
                    **event,
                }


def test_logs_of_the_service_give_the_value_of_another_policy(tmp_path):
    lines = list(served_lines())
    log = tmp_path / "serve.log"
    noise = ['{"message": "answered"}', "no JSON", "[1]"]
    repeated = [
        json.dumps(line) for line in [*lines, *lines[:50]]
    ]  # a retry logs the same list and event again
    log.write_text("\n".join([*noise, *repeated, '{"message": "explo']))
    found = json.loads(run("served", log, "--policy", "uniform", "--json", folder=tmp_path).stdout)
    assert found["n"] == 8000 and found["n_groups"] == 4000
    # uniform over four, then over the three that are left: every item has the same chance in both places together
    for name in ("ips", "snips", "dr"):
        assert found[name]["low"] < truth_of_uniform(lines) < found[name]["high"], (name, found)
    assert found["warnings"] == []


def truth_of_uniform(lines):
    """First places: all four alike. Second places: the three that the logged draw left."""
    rate = {"a": 0.6, "b": 0.4, "c": 0.2, "d": 0.1}
    lists = [line for line in lines if line["message"] == "explored"]
    first = sum(rate.values()) / 4
    second = [(sum(rate.values()) - rate[line["draws"][0]["item_id"]]) / 3 for line in lists]
    return (first + np.mean(second)) / 2


def test_dislikes_are_no_rewards_and_unknown_lists_are_counted(tmp_path):
    lines = list(served_lines(200))
    for line in lines:
        if line["message"] != "explored":
            line["event"] = "dislike"
    lines.append(
        {"message": "feedback on a list", "list_id": "x", "item_id": "a", "event": "click", "event_id": "old"}
    )
    log = tmp_path / "serve.log"
    log.write_text("\n".join(map(json.dumps, lines)))
    done = run("served", log, "--policy", "uniform", "--json", folder=tmp_path)
    assert json.loads(done.stdout)["snips"]["mean"] == 0
    assert "1 events name lists" in done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"candidates": None}, ["candidates"]),
        ({"draws": [{"item_id": "z", "probability": 0.5}]}, ["no candidates"]),
        ({"draws": [{"item_id": "a", "probability": 0}]}, ["draws.0.probability"]),
        ({"draws": [{"item_id": "a", "probability": "0.5"}]}, ["draws.0.probability"]),
        ({"draws": [7]}, ["draws.0"]),
        ({"draws": []}, ["draws"]),
        ({"list_id": ["l"]}, ["list_id"]),
        ({"candidates": [1]}, ["candidates"]),
        ({"candidates": {"item_ids": ["a", "b"], "means": [0, "x"], "deviations": [1, 1]}}, ["means.1"]),
        ({"candidates": {"item_ids": ["a", "b"], "means": [0, np.nan], "deviations": [1, 1]}}, ["means.1"]),
        ({"candidates": {"item_ids": ["a", "a"], "means": [0, 0], "deviations": [1, 1]}}, ["twice"]),
        ({"message": "feedback on a list", "item_id": "a", "event": 7}, ["event"]),
        ({"message": "feedback on a list", "item_id": "a", "event": "click", "value": "x"}, ["value"]),
    ],
)
def test_damaged_lines_are_refused_by_number(tmp_path, change, words):
    sound = next(served_lines(1))
    log = tmp_path / "serve.log"
    log.write_text(f"{json.dumps(sound)}\n{json.dumps(sound | change)}")
    done = run("served", log, "--policy", "uniform", folder=tmp_path)
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)  # no traceback
    for word in ["line 2", "remove the line", *words]:
        assert word in " ".join(done.output.split())


def test_a_log_without_lists_that_explored_says_how_to_get_them(tmp_path):
    log = tmp_path / "serve.log"
    log.write_text('{"message": "answered"}')
    done = run("served", log, "--policy", "uniform", folder=tmp_path)
    assert done.exit_code == 1 and "serve.explore_policy" in done.output


def test_lists_of_one_user_are_resampled_together(tmp_path):
    """Users who like every new item or none: 40 users tell less than 400 lists seem to."""
    found = {}
    for name in ("alone", "by user"):
        lines = []
        for number, line in enumerate(one for one in served_lines(400) if one["message"] == "explored"):
            user = number % 40
            lines.append(line | ({"user_group": user} if name == "by user" else {}))
            likes = line["draws"] if user % 2 else []
            rewards = [{"list_id": line["list_id"], "item_id": draw["item_id"]} for draw in likes]
            lines += [{"message": "feedback on a list", "event": "click", **one} for one in rewards]
        log = tmp_path / f"{name}.log"
        log.write_text("\n".join(map(json.dumps, lines)))
        done = run("served", log, "--policy", "uniform", "--json", folder=tmp_path)
        found[name] = json.loads(done.stdout)
        assert ("tell nothing of their users" in done.stderr) == (name == "alone")
    assert (found["alone"]["n_groups"], found["by user"]["n_groups"]) == (400, 40)
    assert found["alone"]["snips"]["mean"] == pytest.approx(found["by user"]["snips"]["mean"])
    wide, narrow = (
        found[name]["snips"]["high"] - found[name]["snips"]["low"] for name in ("by user", "alone")
    )
    assert wide > 2 * narrow
