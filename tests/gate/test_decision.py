import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from recsys.errors import ArtifactMissing
from recsys.evaluation.intervals import Interval
from recsys.evaluation.report import Finding, ModelScores, Report, SliceReport
from recsys.gate.decision import RULES, Decision, decide
from recsys.gate.page import render
from recsys.gate.params import GateParams

PARAMS = GateParams(floor_metric="ndcg@20", min_margin_over_floor=0.0, min_test_users=20, min_coverage=0.5)
LEAK = Finding(
    kind="text-newer-than-cut", n=3, words="items are judged by a late text", examples=("<b>x</b>",)
)


def scores(value, coverage=0.8):
    names = ("recall@20", "ndcg@20", "hit_rate@20", "mrr@20")
    spread = {"coverage@20": coverage, "gini@20": None, "worst_decile_recall@20": 0.01}
    return ModelScores(metrics=dict.fromkeys(names, value) | spread, recall_by_k={1: value / 4, 20: value})


def report(*, low=0.01, n_users=100, coverage=0.8, leaks=(), cold=True):
    margin = Interval(mean=low + 0.02, low=low, high=low + 0.04)
    by_metric = dict.fromkeys(("recall@20", "ndcg@20", "hit_rate@20", "mrr@20"), margin)
    part = SliceReport(
        name="cold", n_users=n_users, n_candidates=50, n_positives=300,
        models={"champion": scores(0.3, coverage), "random": scores(0.1), "tfidf_centroid": scores(0.2)},
        margins={"random": by_metric, "tfidf_centroid": by_metric},
    )  # fmt: skip
    empty = SliceReport(name="warm", n_users=0, n_candidates=9, n_positives=0, models={}, margins={})
    return Report(
        encoder_hash="ab" * 32, ridge_lambda=10.0, k=20, split_by="time", cut=datetime(2026, 3, 1, tzinfo=UTC),
        n_train_pairs=1000, left_out={"text is nearly that of a warm item": 2},
        slices=(part, empty) if cold else (empty,), leaks=leaks,
    )  # fmt: skip


def test_gate_opens_where_every_floor_is_surely_beaten_and_nothing_leaks():
    decision = decide(report(), PARAMS)
    assert decision.open and decision.reasons == ()
    assert [check.rule for check in decision.checks] == [rule.__name__ for rule in RULES]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"leaks": (LEAK,)}, r"leaks: text-newer-than-cut \(3\)"),
        ({"n_users": 19}, "only 19 test users"),
        ({"low": -0.001}, "does not surely beat random .* and tfidf_centroid"),
        ({"coverage": 0.49}, "only 49.0% of the cold items"),
    ],
)
def test_each_rule_refuses_with_its_own_reason_alone(changed, reason):
    decision = decide(report(**changed), PARAMS)
    assert not decision.open and len(decision.reasons) == 1
    assert re.search(reason, decision.reasons[0])


def test_a_margin_exactly_at_the_threshold_is_enough():
    assert decide(report(low=0.0), PARAMS).open


def test_a_report_without_cold_items_is_refused_not_passed_over():
    decision = decide(report(cold=False), PARAMS)
    assert not decision.open and len(decision.reasons) == 3


def test_an_unknown_metric_is_named_with_those_that_are_known():
    decision = decide(report(), PARAMS.model_copy(update={"floor_metric": "ndgc@20"}))
    assert "'ndgc@20' is not in the report, which has recall@20, ndcg@20" in decision.reasons[0]


def test_decision_comes_back_as_saved_and_its_absence_names_the_stage(tmp_path):
    decision = decide(report(leaks=(LEAK,)), PARAMS)
    decision.save(tmp_path / "decision.json")
    assert Decision.load(tmp_path / "decision.json") == decision
    with pytest.raises(ArtifactMissing, match="dvc repro gate"):
        Decision.load(tmp_path / "missing.json")


def test_report_comes_back_as_saved(tmp_path):
    report(leaks=(LEAK,)).save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == report(leaks=(LEAK,))


def test_page_shows_the_verdict_first_then_rules_slices_and_leaks():
    made = report(leaks=(LEAK,))
    page = render(made, decide(made, PARAMS), PARAMS)
    places = [
        page.index(words) for words in ("The gate is closed", "What was asked", "Cold items", "Leak report")
    ]
    assert places == sorted(places)
    assert page.count("<svg") == 3 and "nearly that of a warm item" in page
    assert "No test user met such an item" in page  # the warm slice


def test_page_is_one_well_formed_document_and_escapes_item_ids():
    made = report(leaks=(LEAK,))
    page = render(made, decide(made, PARAMS), PARAMS)
    assert "&lt;b&gt;x" in page and "<b>x" not in page
    for start in (i for i in range(len(page)) if page.startswith("<svg", i)):
        ElementTree.fromstring(page[start : page.index("</svg>", start) + 6])
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_the_same_report_gives_the_same_page():
    made = report()
    assert render(made, decide(made, PARAMS), PARAMS) == render(made, decide(made, PARAMS), PARAMS)
