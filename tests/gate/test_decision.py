import json
import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from recsys.errors import ArtifactMissing
from recsys.evaluation.provenance import TrainedOn
from recsys.evaluation.report import (
    Comparison,
    ExampleUser,
    Finding,
    JudgedSeed,
    ListedItem,
    ModelScores,
    MovedItem,
    Report,
    SeedScores,
    SliceReport,
)
from recsys.gate.decision import Decision, decide
from recsys.gate.page import render
from recsys.gate.params import GateParams
from recsys.gate.rules import CHALLENGER_RULES, RULES, SEED_RULES
from recsys.ranking.intervals import Interval

PARAMS = GateParams(
    floor_metric="ndcg@20",
    min_margin_over_floor=0.0,
    min_margin_over_champion=0.0,
    max_loss_cold=0.015,
    max_loss_warm=0.02,
    max_loss_head=0.03,
    max_loss_tail=0.04,
    max_loss_mixed=0.05,
    max_loss_coverage=0.05,
    max_rise_gini=0.06,
    max_loss_worst_decile=0.01,
    max_rise_regret=0.02,
    max_loss_group=0.02,
    max_rise_gap=0.02,
    max_loss_robustness=0.02,
    max_rise_stuffing=0.25,
    min_test_users=20,
    min_coverage=0.5,
    needs_approval=False,
)
METRICS = ("recall@20", "ndcg@20", "hit_rate@20", "mrr@20")
LEAK = Finding(
    kind="text-newer-than-cut", n=3, words="items are judged by a late text", examples=("<b>x</b>",)
)


def scores(value, coverage=0.8):
    spread = {"coverage@20": coverage, "gini@20": None, "worst_decile_recall@20": 0.01}
    return ModelScores(metrics=dict.fromkeys(METRICS, value) | spread, recall_by_k={1: value / 4, 20: value})


def report(*, low=0.01, n_users=100, coverage=0.8, leaks=(), cold=True):
    margin = Interval(mean=low + 0.02, low=low, high=low + 0.04)
    by_metric = dict.fromkeys(METRICS, margin)
    part = SliceReport(
        name="cold", n_users=n_users, n_candidates=50, n_positives=300,
        models={"champion": scores(0.3, coverage), "random": scores(0.1), "tfidf_centroid": scores(0.2)},
        margins={"random": by_metric, "tfidf_centroid": by_metric},
    )  # fmt: skip
    empty = SliceReport(name="warm", n_users=0, n_candidates=9, n_positives=0, models={}, margins={})
    return Report(
        model_hash="ab" * 32, ridge_lambda=10.0, k=20, split_by="time", cut=datetime(2026, 3, 1, tzinfo=UTC),
        n_train_pairs=1000, left_out={"text is nearly that of a warm item": 2},
        slices=(part, empty) if cold else (empty,), leaks=leaks,
    )  # fmt: skip


def around(low, width=0.02):
    return Interval(mean=low + width / 2, low=low, high=low + width)


BETTER = {
    "cold": dict.fromkeys(METRICS, around(0.001))
    | {"coverage@20": around(-0.05), "gini@20": around(0.04), "worst_decile_recall@20": around(-0.01)},
    "warm": dict.fromkeys(METRICS, around(-0.02)),
    "head": dict.fromkeys(METRICS, around(-0.03)),
    "tail": dict.fromkeys(METRICS, around(-0.04)),
    "mixed": dict.fromkeys(METRICS, around(-0.05)) | {"regret@20": around(0.0)},
}
"""Challenger minus champion, everywhere just as good as the gate demands."""


def challenged(*, over_floor=0.01, coverage=0.8, contaminated=(), without=(), **changed):
    """A report with a challenger; changed: slice -> metric -> interval."""
    floors = {
        "random": dict.fromkeys(METRICS, around(over_floor)),
        "tfidf_centroid": dict.fromkeys(METRICS, around(over_floor)),
    }
    slices = []
    for name, over_champion in BETTER.items():
        models = {
            "champion": scores(0.3, 0.1),
            "challenger": scores(0.32, coverage),
            "random": scores(0.1),
            "tfidf_centroid": scores(0.2),
        }
        margins = {"champion": over_champion | changed.get(name, {}), **floors}
        if name in without:
            slices.append(
                SliceReport(name=name, n_users=0, n_candidates=9, n_positives=0, models={}, margins={})
            )
            continue
        slices.append(
            SliceReport(
                name=name, n_users=100, n_candidates=50, n_positives=300, models=models,
                margins={floor: dict.fromkeys(METRICS, around(-0.5)) for floor in floors}, challenger_margins=margins,
            )
        )  # fmt: skip
    listed = (
        ListedItem(item_id="i1", text="<i>Castle</i> of sand", is_hit=True),
        ListedItem(item_id="i2", text="Orbit", is_hit=False),
    )
    user = ExampleUser(
        user="0123456789", change=0.4, history=("River",), champion=listed[::-1], challenger=listed
    )
    moved = MovedItem(item_id="i1", text="<i>Castle</i> of sand", n_relevant=9, n_champion=2, n_challenger=7)
    return Report(
        model_hash="ab" * 32, challenger_hash="cd" * 32, ridge_lambda=10.0, k=20, split_by="time",
        cut=datetime(2026, 3, 1, tzinfo=UTC), n_train_pairs=1000, holdout=TrainedOn(trained_on="e" * 64),
        trained={"champion": TrainedOn(), "challenger": TrainedOn(trained_on="e" * 64)},
        contaminated=dict(contaminated), left_out={},
        slices=tuple(slices), leaks=(), comparison=Comparison(examples=(user,), won=(moved,), lost=()),
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
        ({"low": -0.001}, "does not clearly beat random .* and tfidf_centroid"),
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
    places = [page.index(words) for words in ("The gate is closed", "Rules", "Cold items", "Leak report")]
    assert places == sorted(places)
    assert page.count("<svg") == 3 and "nearly that of a warm item" in page
    assert "No test user interacted with such an item" in page  # the warm slice


def test_page_is_one_well_formed_document_and_escapes_item_ids():
    made = report(leaks=(LEAK,))
    page = render(made, decide(made, PARAMS), PARAMS)
    assert "&lt;b&gt;x" in page and "<b>x" not in page
    for start in (i for i in range(len(page)) if page.startswith("<svg", i)):
        ElementTree.fromstring(page[start : page.index("</svg>", start) + 6])
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_page_leaves_a_place_empty_where_a_margin_is_not_known():
    # Regret: a floor whose lists hold no item of which an opinion is known.
    made = report()
    cold = made.slices[0]
    margins = {floor: dict(by_metric) for floor, by_metric in cold.margins.items()}
    margins["tfidf_centroid"].pop("mrr@20")
    unknown = made.model_copy(
        update={"slices": (cold.model_copy(update={"margins": margins}), *made.slices[1:])}
    )
    known, page = (render(one, decide(one, PARAMS), PARAMS) for one in (made, unknown))
    assert page.count("<td>–</td>") == known.count("<td>–</td>") + 1


def test_the_same_report_gives_the_same_page():
    made = report()
    assert render(made, decide(made, PARAMS), PARAMS) == render(made, decide(made, PARAMS), PARAMS)


def test_a_challenger_that_is_just_good_enough_everywhere_passes_every_rule():
    decision = decide(challenged(), PARAMS)
    assert decision.open and decision.reasons == ()
    assert [check.rule for check in decision.checks] == [rule.__name__ for rule in RULES + CHALLENGER_RULES]
    assert (decision.role, decision.model_hash, decision.champion_hash) == (
        "challenger",
        "cd" * 32,
        "ab" * 32,
    )
    assert decision.holdout == "e" * 64


def test_without_a_challenger_the_champion_is_judged_and_named():
    decision = decide(report(), PARAMS)
    assert (decision.role, decision.model_hash, decision.champion_hash) == ("champion", *["ab" * 32] * 2)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"cold": {"ndcg@20": around(0.0)}},
            r"not clearly better than the champion's: on cold items \(\+0.0100 \[\+0.0000.* mixed lists \(-0.0400",
        ),
        (
            {"warm": {"ndcg@20": around(-0.021)}},
            r"ndcg@20 on warm items may fall too far .* must reach -0.02",
        ),
        ({"head": {"ndcg@20": around(-0.031)}}, "on head items may fall too far"),
        ({"tail": {"ndcg@20": around(-0.041)}}, "on tail items may fall too far"),
        ({"mixed": {"ndcg@20": around(-0.051)}}, "on mixed lists may fall too far"),
        (
            {"mixed": {"regret@20": around(0.001)}},
            r"regret@20 on mixed lists may rise .* must not exceed \+0.02",
        ),
        ({"cold": {"coverage@20": around(-0.051)}}, "coverage@20 on cold items may fall too far"),
        ({"cold": {"gini@20": around(0.041)}}, r"gini@20 .* may rise .* must not exceed \+0.06"),
        (
            {"cold": {"worst_decile_recall@20": around(-0.011)}},
            "worst_decile_recall@20 on cold items may fall too far",
        ),
        ({"over_floor": -0.001}, "does not clearly beat random .* and tfidf_centroid"),
        ({"coverage": 0.4}, "only 40.0% of the cold items"),
        (
            {"contaminated": {"champion": "it was trained on X"}.items()},
            "the champion may have been trained on test data: it was",
        ),
        ({"without": ("tail",)}, "no test user for tail items"),
    ],
)
def test_each_rule_for_a_challenger_refuses_with_its_own_reason_alone(changed, reason):
    decision = decide(challenged(**changed), PARAMS)
    assert not decision.open and len(decision.reasons) == 1
    assert re.search(reason, decision.reasons[0])


AS_GOOD_ON_COLD = {"cold": {"ndcg@20": around(-0.015)}, "mixed": {"ndcg@20": around(0.001)}}


def test_as_good_on_cold_items_and_surely_better_on_mixed_lists_opens_the_gate_and_the_page_says_where_it_won():
    made = challenged(**AS_GOOD_ON_COLD)
    decision = decide(made, PARAMS)
    assert decision.open
    assert "clearly better than the champion on mixed lists" in render(made, decision, PARAMS)
    made = challenged()
    assert "clearly better than the champion on cold items" in render(made, decide(made, PARAMS), PARAMS)


@pytest.mark.parametrize(
    "changed",
    [
        AS_GOOD_ON_COLD | {"cold": {"ndcg@20": around(-0.0151)}},
        AS_GOOD_ON_COLD | {"mixed": {"ndcg@20": around(0.0)}},
    ],
)
def test_mixed_lists_open_no_gate_where_cold_items_lose_too_much_or_the_gain_is_not_sure(changed):
    (reason,) = decide(challenged(**changed), PARAMS).reasons
    assert "reach -0.015 on cold items" in reason


def test_without_mixed_lists_only_cold_items_open_the_gate():
    decision = decide(challenged(cold={"ndcg@20": around(0.0)}, without=("mixed",)), PARAMS)
    assert any("there is no test user for mixed lists" in reason for reason in decision.reasons)
    assert any("not clearly better" in reason for reason in decision.reasons)


@pytest.mark.parametrize(("over", "is_open"), [(0.001, True), (0.0, False)])
def test_the_mean_of_all_seeds_must_be_better_on_mixed_lists_too_where_they_decide(over, is_open):
    made = with_seeds(over=-0.015)
    slices = {part.name: part for part in made.slices}
    for name, lower in (("cold", -0.015), ("mixed", 0.001)):
        margins = slices[name].challenger_margins
        kept = margins | {"champion": margins["champion"] | {"ndcg@20": around(lower)}}
        slices[name] = slices[name].model_copy(update={"challenger_margins": kept})
    over_seeds = dict.fromkeys(METRICS, around(over, 0.04))
    slices["mixed"] = slices["mixed"].model_copy(update={"over_seeds": over_seeds})
    decision = decide(made.model_copy(update={"slices": tuple(slices.values())}), PARAMS)
    assert decision.open is is_open


@pytest.mark.parametrize(("mixed_alone", "is_open"), [(-0.04, False), (0.001, True)])
def test_seeds_that_win_on_mixed_lists_confirm_no_challenger_that_won_on_cold_items_alone(
    mixed_alone, is_open
):
    made = with_seeds(over=0.0)
    assert not decide(made, PARAMS).open
    slices = {part.name: part for part in made.slices}
    margins = slices["mixed"].challenger_margins
    own = margins | {"champion": margins["champion"] | {"ndcg@20": around(mixed_alone)}}
    over_seeds = dict.fromkeys(METRICS, around(0.001, 0.04))
    slices["mixed"] = slices["mixed"].model_copy(update={"challenger_margins": own, "over_seeds": over_seeds})
    made = made.model_copy(update={"slices": tuple(slices.values())})
    decision = decide(made, PARAMS)
    assert decision.open is is_open
    if is_open:  # the page names the slice that all seeds confirm
        assert "clearly better than the champion on mixed lists" in render(made, decision, PARAMS)
    else:
        (reason,) = decision.reasons
        assert "on mixed lists alone, but the challenger's own on cold items alone" in reason


def test_better_in_the_mean_is_not_enough_when_the_interval_reaches_zero():
    decision = decide(challenged(cold={"ndcg@20": Interval(mean=0.2, low=-0.0001, high=0.4)}), PARAMS)
    assert not decision.open


def test_an_older_report_without_the_newer_fields_is_read_as_one_without_a_challenger(tmp_path):
    newer = {
        name: True
        for name in ("challenger_hash", "holdout", "trained", "contaminated", "comparison", "seeds")
    }
    later = {"challenger_margins", "rival_margins", "seeds", "over_seeds"}
    old = report().model_dump_json(exclude=newer | {"slices": {"__all__": later}})
    (tmp_path / "report.json").write_text(old)
    assert decide(Report.load(tmp_path / "report.json"), PARAMS) == decide(report(), PARAMS)


OLD_NAMES = {
    "model_hash": "encoder_hash", "requirement": "asks", "contaminated": "seen", "n_relevant": "n_wanted"
}  # fmt: skip


def in_format_1(saved):
    """What `save` wrote, with the names that files of format 1 have."""
    if isinstance(saved, list):
        return [in_format_1(value) for value in saved]
    if isinstance(saved, dict):
        return {OLD_NAMES.get(key, key): in_format_1(value) for key, value in saved.items()}
    return saved


def test_reports_and_decisions_of_format_1_are_read_under_their_old_names(tmp_path):
    seeds = [JudgedSeed(seed=n, model_hash=f"{n}" * 64, ridge_lambda=10.0) for n in (1, 2)]
    report = challenged(contaminated={"challenger": "it was trained on X"}.items()).model_copy(
        update={"seeds": tuple(seeds)}
    )
    for made in (report, decide(report, PARAMS)):
        path = tmp_path / "saved.json"
        made.save(path)
        text = path.read_text()
        assert made.format == 2 and not any(f'"{old}"' in text for old in OLD_NAMES.values())
        old = json.dumps(in_format_1(json.loads(text)) | {"format": 1})
        assert '"encoder_hash"' in old and '"model_hash"' not in old
        path.write_text(old)
        assert type(made).load(path) == made.model_copy(update={"format": 1})


def test_the_page_of_a_challenger_shows_intervals_lists_and_items_and_escapes_texts():
    made = challenged()
    page = render(made, decide(made, PARAMS), PARAMS)
    places = [
        page.index(words)
        for words in (
            "The gate is open",
            "Rules",
            "Challenger beside champion",
            "Cold items that won",
            "Users who gained",
            "Cold items <span",
            "Tail items",
            "Leak report",
        )
    ]
    assert places == sorted(places)
    assert (
        page.count("<svg") == 2 + 3 * 3
    )  # beside the champion, and three figures for cold, warm and mixed lists
    assert "&lt;i&gt;Castle" in page and "<i>Castle" not in page
    assert '<li class="hit">' in page and "0123456789…" in page
    assert "+0.0110 [+0.0010, +0.0210]" in page
    assert render(made, decide(made, PARAMS), PARAMS) == page


def test_the_page_of_a_refused_challenger_gives_the_reasons_first():
    made = challenged(
        warm={"ndcg@20": around(-0.5)}, contaminated={"challenger": "it saw everything"}.items()
    )
    page = render(made, decide(made, PARAMS), PARAMS)
    assert "The gate is closed" in page
    assert page.index("it saw everything") < page.index("Rules")


def test_the_page_renders_when_only_cold_items_have_interactions():
    made = challenged(without=("warm", "head", "tail"))
    page = render(made, decide(made, PARAMS), PARAMS)
    assert page.count("No test user interacted with such an item") == 3 and "cold items</td>" in page


def with_seeds(*, over=0.001, means=(0.011, 0.05, -0.02)):
    """The same challenger trained with three seeds; over: lower end of the interval of their mean on cold items."""
    made = challenged()
    hashes = ["cd" * 32, "12" * 32, "34" * 32]
    cold = made.slice("cold").model_copy(
        update={
            "seeds": tuple(
                SeedScores(
                    metrics=dict.fromkeys(METRICS, 0.3 + mean),
                    over_champion=dict.fromkeys(METRICS, around(mean - 0.01)),
                )
                for mean in means
            ),
            "over_seeds": dict.fromkeys(METRICS, around(over, 0.04)),
        }
    )
    seeds = [JudgedSeed(seed=5 + n, model_hash=one, ridge_lambda=10.0) for n, one in enumerate(hashes)]
    return made.model_copy(update={"seeds": tuple(seeds), "slices": (cold, *made.slices[1:])})


def test_trained_with_several_seeds_one_more_rule_applies():
    decision = decide(with_seeds(), PARAMS)
    assert decision.open
    checked = [check.rule for check in decision.checks]
    assert checked == [rule.__name__ for rule in RULES + CHALLENGER_RULES + SEED_RULES]


def test_a_mean_over_seeds_that_is_not_surely_better_closes_the_gate_and_names_lowest_and_highest():
    decision = decide(with_seeds(over=0.0), PARAMS)
    (reason,) = decision.reasons
    assert (
        "in the mean of 3 seeds (on cold items lowest -0.0200 with seed 7, highest +0.0500 with seed 6)"
        in reason
    )
    assert "on cold items (+0.0200 [+0.0000, +0.0400]) the lower end must exceed +0" in reason


def test_good_siblings_do_not_open_the_gate_for_a_challenger_that_is_not_surely_better_itself():
    made = with_seeds(over=0.3)
    unlucky = made.slices[0].challenger_margins["champion"] | {"ndcg@20": around(-0.001)}
    cold = made.slices[0].model_copy(
        update={"challenger_margins": made.slices[0].challenger_margins | {"champion": unlucky}}
    )
    decision = decide(made.model_copy(update={"slices": (cold, *made.slices[1:])}), PARAMS)
    assert (
        len(decision.reasons) == 1
        and "is not clearly better than the champion's: on cold" in decision.reasons[0]
    )


def test_seeds_that_could_not_be_compared_are_refused_not_passed_over():
    made = with_seeds()
    bare = made.slices[0].model_copy(update={"seeds": (), "over_seeds": {}})
    decision = decide(made.model_copy(update={"slices": (bare, *made.slices[1:])}), PARAMS)
    assert len(decision.reasons) == 1 and "the seeds could not be compared" in decision.reasons[0]


def test_the_page_shows_every_seed_in_a_figure_and_a_table_and_nothing_of_it_with_one():
    made = with_seeds(over=-0.01)
    page = render(made, decide(made, PARAMS), PARAMS)
    places = [
        page.index(words)
        for words in (
            "in the mean of 3 seeds",
            "Challenger beside champion",
            "Trained with 3 seeds",
            "Leak report",
        )
    ]
    assert places == sorted(places)
    assert page.count("<svg") == 2 + 3 * 3 + 1
    for words in ("seed 5 (challenger)</td>", "seed 7</td>", "<code>3434343434</code>", "0.3137</td>"):
        assert words in page
    assert "in the mean of its 3 seeds too" in render(with_seeds(), decide(with_seeds(), PARAMS), PARAMS)
    once = challenged()
    assert "seeds" not in render(once, decide(once, PARAMS), PARAMS)


def test_a_report_with_seeds_comes_back_as_saved_and_its_metrics_are_flat(tmp_path):
    with_seeds().save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == with_seeds()
    flat = with_seeds().flat_metrics()
    assert flat["seeds/6/cold/ndcg@20"] == pytest.approx(0.35) and "seeds/6/warm/ndcg@20" not in flat
    assert not any(name.startswith("seeds/") for name in challenged().flat_metrics())


def test_the_page_says_which_views_a_model_joins_and_how_much_they_count():
    without = render(challenged(), decide(challenged(), PARAMS), PARAMS)
    joined = challenged().model_copy(update={"view_weights": {"challenger": {"image": 0.5, "<b>": 2.0}}})
    page = render(joined, decide(joined, PARAMS), PARAMS)
    assert "views of the challenger" in page and "image 0.5, &lt;b&gt; 2" in page
    assert "views of" not in without


def test_a_report_without_views_is_written_as_before_there_were_views(tmp_path):
    challenged().save(tmp_path / "report.json")
    assert "view_weights" not in json.loads((tmp_path / "report.json").read_text())
    joined = challenged().model_copy(update={"view_weights": {"challenger": {"image": 0.5}}})
    joined.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == joined
