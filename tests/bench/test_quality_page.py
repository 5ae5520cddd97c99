from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import quality, quality_page, quality_rows, view_files
from bench.protocols import PROTOCOLS
from bench.quality import firstlight_word, minutes_left, timed
from bench.quality_rows import METHODS, OURS, Key, Row, all_keys, keep_row, read_rows, views_of

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
    figures = quality_page.figures({row.key: row for row in [ROW, *ours]})
    assert figures["citeulike_H_ndcg@20"] == 0.35 and figures["citeulike_H_runs"] == 2
    assert figures["citeulike_H_heater_ndcg@20"] == 0.2
    assert "citeulike_D_recall@100" not in figures


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.01, 0.03, "Firstlight is ahead"),
        (-0.03, -0.01, "Heater **wins over Firstlight**"),
        (-0.01, 0.02, "are not clearly apart"),
    ],
)
def test_the_page_says_who_wins(low, high, word):
    assert word in quality_page.compared("ndcg@20", "heater", (low + high) / 2, low, high)


def test_a_page_with_gaps_says_so_and_shows_what_there_is():
    page = quality_page.page({ROW.key: ROW}, quality_page.Kept("", {}, quality_page.KEPT))
    assert f"{len(all_keys()) - 1} of {len(all_keys())} rows are missing" in page
    assert "| Heater | 0.2000 [0.1000, 0.3000] |" in page and "alpha 1e-05, steps 300" in page
    assert "not run yet" in page


def test_a_protocol_that_was_not_run_here_stays_as_it_was_published():
    kept = quality_page.Kept(
        "## CiteULike D\n\n| old | table |\n\n## CiteULike G\n",
        {"citeulike_D_recall@100": 0.7},
        quality_page.KEPT,
    )
    ours = replace(ROW, method=OURS)
    page = quality_page.page({ours.key: ours}, kept)
    assert page.count("Kept as it was published") == 1
    section = page[page.index("## CiteULike D\n") : page.index("## CiteULike G\n")]
    assert "Kept as it was published" in section and "| old | table |" in section
    assert "| CiteULike D | recall@100 |" in page and "| 0.7000 |" in page
    again = quality_page.page({ROW.key: ROW}, quality_page.Kept(page, kept.figures, quality_page.KEPT))
    assert again[again.index("## CiteULike D\n") :].split("\n## ")[0].strip() == section.strip()


def test_a_section_stays_where_a_row_is_known_but_its_lists_are_on_another_machine():
    kept = quality_page.Kept("## CiteULike H\n\n| old | table |\n", {}, quality_page.KEPT)
    ours = replace(ROW, method=OURS)
    page = quality_page.page({ours.key: ours}, kept)
    assert f"## CiteULike H\n\n{quality_page.KEPT}\n| old | table |" in page
    assert "alpha 1e-05, steps 300" in page  # its settings are those of the row


def test_a_method_that_was_not_run_again_keeps_its_published_rows_and_no_mean_mixes_both():
    ridge, others = replace(ROW, method="ridge", seed=0), [replace(ROW, seed=seed) for seed in (0, 2)]
    published = {row.key: row for row in [ridge, *others]}
    again = replace(ROW, commit="def")
    assert quality_page.with_published({again.key: again}, published) == {ridge.key: ridge, again.key: again}


def test_a_published_row_without_its_lists_is_not_compared_user_by_user(monkeypatch, tmp_path):
    monkeypatch.setattr(quality_rows, "HOME", tmp_path)
    ours = replace(ROW, method=OURS)
    ours.key.run.parent.mkdir(parents=True)
    ours.key.run.touch()
    page = quality_page.page(
        {row.key: row for row in (ROW, ours)}, quality_page.Kept("", {}, quality_page.KEPT)
    )
    assert "- ndcg@20: not compared with Heater, whose lists are on another machine" in page


def test_each_row_of_a_table_names_its_commits():
    page = quality_page.page(
        {ROW.key: ROW, **{(one := replace(ROW, seed=2, commit="def")).key: one}},
        quality_page.Kept("", {}, quality_page.KEPT),
    )
    assert "| 2 | `abc`, `def` |" in page


def test_a_row_beside_views_stands_in_a_table_of_its_own_with_its_gain_and_weights(monkeypatch):
    alone = replace(ROW, method=OURS, seed=0)
    found = {"view_weights": {}, "view_coverage": {"relations": 0.55}}
    viewed = replace(alone, method=f"{OURS}_relations", settings=found)
    monkeypatch.setattr(quality_page, "paired", lambda protocol, row, others, metric: (0.01, 0.005, 0.015))
    rows = {row.key: row for row in (alone, viewed)}
    page = quality_page.page(rows, quality_page.Kept("", {}, quality_page.KEPT))
    line = next(line for line in page.splitlines() if line.startswith("| with relations |"))
    assert line.endswith("| **+0.0100 [+0.0050, +0.0150]** | relations 0 | 55% | `abc` |")
    assert (
        "Firstlight is ahead" not in page
    )  # there is no other method here; a view is not a rival of the text alone


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
