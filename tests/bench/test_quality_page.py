from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import quality, quality_page, quality_rows, view_files
from bench.protocols import PROTOCOLS
from bench.quality import firstlight_word, minutes_left, timed
from bench.quality_differences import Pair, Published, best_other, differences
from bench.quality_rows import METHODS, OURS, Key, Row, all_keys, keep_row, read_rows, views_of
from recsys.ranking.intervals import Interval

METRICS = {metric: {"mean": 0.2, "low": 0.1, "high": 0.3} for one in PROTOCOLS for metric in one.figures}
ROW = Row(
    "citeulike_H", "heater", 1, METRICS, {"alpha": 1e-5, "steps": 300}, 8, 0.25, 41.0, 300.0, 512.0, "abc"
)


def test_rows_are_kept_whole_in_the_order_of_a_full_run_and_replaced(tmp_path):
    path = tmp_path / "rows.jsonl"
    for row in (
        ROW,
        replace(ROW, seed=0),
        replace(ROW, seconds=40.0),
        replace(ROW, protocol="citeulike_D", seed=0),
    ):
        keep_row(row, path)
    found = read_rows(path)
    assert [key for key in all_keys() if key in found] == list(found) and len(found) == 3
    assert found[ROW.key] == replace(ROW, seconds=40.0)


def test_every_method_runs_on_every_protocol_with_all_of_its_seeds():
    keys = all_keys()
    n_viewed = sum(len(views_of(one.name)) for one in PROTOCOLS)
    assert len(keys) == len(set(keys)) == len(PROTOCOLS) * sum(map(len, METHODS.values())) + n_viewed
    assert [key.seed for key in keys] == sorted(key.seed for key in keys)


def test_figures_name_ours_by_protocol_and_others_by_method_and_are_means():
    ours = [
        replace(
            ROW,
            method=OURS,
            seed=seed,
            metrics=METRICS | {"ndcg@20": {"mean": mean, "low": 0.0, "high": 1.0}},
        )
        for seed, mean in ((0, 0.3), (1, 0.4))
    ]
    figures = quality_page.figures({row.key: row for row in [ROW, *ours]}, {})
    assert figures["citeulike_H_ndcg@20"] == 0.35 and figures["citeulike_H_runs"] == 2
    assert figures["citeulike_H_heater_ndcg@20"] == 0.2
    assert "citeulike_D_recall@100" not in figures


OUR_ROW = replace(ROW, method=OURS, seed=0)
HEATER = replace(ROW, seed=0)
AGAINST_HEATER = Pair("citeulike_H", OURS, "heater", "ndcg@20")


@pytest.mark.parametrize(
    ("low", "high", "word", "stand"),
    [
        (0.01, 0.03, "Firstlight is ahead", "Clearly better than every other method"),
        (-0.03, -0.01, "Heater **wins over Firstlight**", "Clearly worse"),
        (-0.01, 0.02, "are not clearly apart", "Not clearly apart from the best"),
    ],
)
def test_the_page_says_who_wins(low, high, word, stand):
    interval = Interval(mean=(low + high) / 2, low=low, high=high)
    page = quality_page.page({row.key: row for row in (OUR_ROW, HEATER)}, {AGAINST_HEATER: interval})
    assert word in page and f"- {stand}: CiteULike H" in page


def test_a_page_with_gaps_says_so_and_shows_what_there_is():
    page = quality_page.page({ROW.key: ROW}, {})
    assert f"**Not run**: {len(all_keys()) - 1} of the {len(all_keys())} rows" in page
    assert "- Heater: CiteULike H (seeds 0, 2, 3, 4); CiteULike D (seeds 0, 1, 2, 3, 4);" in page
    assert "| Heater | .2000 [.1000, .3000] |" in page and "alpha 1e-05, steps 300" in page
    assert "not run yet" in page


def test_the_best_other_method_is_none_of_our_own():
    first_light = replace(HEATER, method="first_light", metrics={"ndcg@20": {"mean": 0.9}})
    rows = {row.key: row for row in (OUR_ROW, HEATER, first_light)}
    assert best_other(rows, "citeulike_H", "ndcg@20") == "heater"


def test_a_difference_of_lists_on_another_machine_stays_while_both_rows_are_as_published(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(quality_rows, "HOME", tmp_path)
    rows = {row.key: row for row in (OUR_ROW, HEATER)}
    names = {"": 0.03, "_low": 0.02, "_high": 0.04}
    known = Published(rows, {f"{AGAINST_HEATER}{end}": value for end, value in names.items()})
    expected = Interval(mean=0.03, low=0.02, high=0.04)
    assert differences(rows, known) == {AGAINST_HEATER: expected}
    assert quality_page.figures(rows, differences(rows, known)).items() >= known.figures.items()
    again = rows | {OUR_ROW.key: replace(OUR_ROW, commit="def")}
    assert differences(again, known) == {}
    assert "not compared with Heater, whose lists are on another machine" in quality_page.page(again, {})


def test_a_method_that_was_not_run_again_keeps_its_published_rows_and_no_mean_mixes_both():
    ridge, others = replace(ROW, method="ridge", seed=0), [replace(ROW, seed=seed) for seed in (0, 2)]
    published = {row.key: row for row in [ridge, *others]}
    again = replace(ROW, commit="def")
    assert quality_page.with_published({again.key: again}, published) == {ridge.key: ridge, again.key: again}


def test_each_row_of_a_table_names_its_commits():
    another = replace(ROW, seed=2, commit="def")
    assert "| 2 | `abc`, `def` |" in quality_page.page({row.key: row for row in (ROW, another)}, {})


def test_a_row_beside_views_stands_in_a_table_of_its_own_with_its_gain_and_weights():
    found = {"view_weights": {}, "view_coverage": {"relations": 0.55}}
    viewed = replace(OUR_ROW, method=f"{OURS}_relations", settings=found)
    gain = {Pair("citeulike_H", viewed.method, OURS, "ndcg@20"): Interval(mean=0.01, low=0.005, high=0.015)}
    page = quality_page.page({row.key: row for row in (OUR_ROW, viewed)}, gain)
    line = next(line for line in page.splitlines() if line.startswith("| with relations |"))
    assert line.endswith("| **+.0100 [+.0050, +.0150]** | relations 0 (55%) | `abc` |")
    assert "Firstlight is ahead" not in page  # a view is not a rival of the text alone


def test_a_row_beside_views_whose_gain_is_not_known_is_shown_without_it():
    viewed = replace(
        OUR_ROW,
        method=f"{OURS}_relations",
        settings={"view_weights": {}, "view_coverage": {"relations": 0.55}},
    )
    page = quality_page.page({row.key: row for row in (OUR_ROW, viewed)}, {})
    assert "| with relations | .2000 | .2000 | .2000 |  | relations 0 (55%) | `abc` |" in page
    assert "No gain is shown where one of the two rows" in " ".join(page.split())


def test_firstlight_is_given_the_files_of_its_views(monkeypatch, tmp_path):
    citations = pa.table({"head": ["2"], "relation": ["cites"], "tail": ["1"]})
    monkeypatch.setattr(quality, "HOME", tmp_path)
    monkeypatch.setattr(view_files, "citations", lambda cold: citations)
    ids = pa.array(["1"])
    none = replace(PROTOCOLS[0], files=lambda: (pa.table({"item_id": ids}), pa.table({"item_id": ids}), ids))
    monkeypatch.setattr(quality, "PROTOCOLS", (none,))
    command = quality.firstlight_command(Key("citeulike_H", f"{OURS}_relations", 0))
    given = command[command.index("--relations") + 1]
    assert pq.read_table(given) == citations
    assert "--relations" not in quality.firstlight_command(Key("citeulike_H", OURS, 0))


def test_the_time_left_goes_by_what_each_method_took():
    todo = [Key("citeulike_H", "heater", 2), Key("citeulike_H", "random", 0)]
    assert minutes_left(todo, {"heater": [60.0, 120.0], "ridge": [30.0]}) == pytest.approx((90 + 70) / 60)


def test_memory_and_output_are_those_of_the_process_itself():
    ended = timed(
        ["python", "-c", "x = bytearray(300 << 20); x[::4096] = b'1' * len(x[::4096]); print('done')"]
    )
    assert ended.output == "done\n" and ended.peak_mib > 300 and ended.seconds > 0


def test_a_process_that_fails_ends_the_benchmark_with_its_command():
    with pytest.raises(SystemExit, match="exit 3 of python -c"):
        timed(["python", "-c", "raise SystemExit(3)"])


def test_the_commands_summary_becomes_settings_and_validation():
    word = firstlight_word('{"out": "x", "users": 3, "cold": 2, "fields": ["title"], "ridge_lambda": 3.0, '
                           '"validation_ndcg": {"1": 0.1, "3": 0.2}}')  # fmt: skip
    assert word["settings"] == {"ridge_lambda": 3.0} and word["tried"] == 2 and word["validation_ndcg"] == 0.2
