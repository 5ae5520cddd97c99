import csv
import json

import pytest

from recsys.catalogue.split import Split
from recsys.errors import ArtifactMissing
from recsys.evaluation.report import Report
from recsys.stages import evaluate, split
from tests.stages.judged_world import make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = make_world(tmp_path_factory.mktemp("world"))
    split.run(made.settings, made.at)
    evaluate.run(made.settings, made.at)
    return made


def test_champion_finds_tastes_that_chance_does_not(world):
    report = Report.load(world.at.report)
    assert [part.name for part in report.slices] == ["cold", "warm"]
    cold = report.slice("cold")
    assert 30 <= cold.n_candidates <= 33 and cold.n_users == 60
    metrics = {name: scores.metrics for name, scores in cold.models.items()}
    assert metrics["champion"]["ndcg@20"] > metrics["random"]["ndcg@20"] + 0.2
    assert cold.margins["random"]["ndcg@20"].low > 0.1
    assert set(metrics) == {"champion", "random", "same_category", "tfidf_centroid", "encoder_centroid"}


def test_a_clean_split_has_no_leaks(world):
    assert Report.load(world.at.report).leaks == ()


def test_metrics_are_flat_with_the_champion_on_top(world):
    metrics = json.loads(world.at.metrics.read_text())
    assert (
        metrics["cold/recall@20"]
        == Report.load(world.at.report).slice("cold").models["champion"].metrics["recall@20"]
    )
    assert "floors/tfidf_centroid/cold/ndcg@20" in metrics and "warm/mrr@20" in metrics


def test_plots_are_tables_that_dvc_can_draw(world):
    with (world.at.plots / "cold_recall_by_k.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["k"]) for row in rows] == [1, 2, 5, 10, 20]  # about 30 candidates: no cutoff beyond
    recalls = [float(row["champion"]) for row in rows]
    assert recalls == sorted(recalls)
    with (world.at.plots / "warm_models.csv").open() as file:
        assert {row["model"] for row in csv.DictReader(file)} >= {"champion", "popular"}


def test_a_second_run_gives_the_same_bytes(world):
    files = [world.at.report, world.at.metrics, *sorted(world.at.plots.iterdir())]
    before = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
    evaluate.run(world.settings, world.at)
    assert [file.read_bytes() for file in files] == before


def test_a_split_of_other_data_is_refused_by_item_part_and_line(tmp_path):
    world = make_world(tmp_path)
    split.run(world.settings, world.at)
    next(iter(sorted(world.at.profiles("champion").glob("*.rows.parquet")))).unlink()
    with pytest.raises(ArtifactMissing, match="has no row from part 000001-"):
        evaluate.run(world.settings, world.at)


def test_holdout_reads_the_version_that_the_split_chose(world):
    made = Split.load(world.at.split)
    holdout = evaluate.load_holdout(made, world.settings, world.at)
    assert sorted(holdout.item_ids) == made.items["item_id"].to_pylist()
    assert list(holdout.item_ids) != sorted(holdout.item_ids)  # hashed order: ties fall to no kind of item
    assert holdout.known.vectors_ID.shape == (150, 16)
