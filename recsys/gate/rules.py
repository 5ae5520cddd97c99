"""The rules of the gate: functions that return a reason to refuse, or None. They use intervals, not significance tests.

Every comparison holds a paired bootstrap interval against a threshold. On ranking metrics, sign and Wilcoxon tests err
more often than they claim, and more so with more users (Urbano, Lima & Hanjalic 2019, SIGIR).
"""

from collections.abc import Callable

from recsys.evaluation.report import CHALLENGER, CHAMPION, Report
from recsys.gate.margins import (
    JUDGED_SLICE,
    WHERE,
    judged_model,
    mixed_over_seeds,
    over_champion,
    slice_of,
    unknown_metric,
    won_alone,
    won_slices,
)
from recsys.gate.params import GateParams
from recsys.gate.people import keeps_gap, keeps_groups, keeps_regret
from recsys.gate.robustness import keeps_robustness, resists_stuffing
from recsys.ranking.intervals import Interval


def no_leaks(report: Report, params: GateParams) -> str | None:
    """No test data of the holdout leaks into training."""
    if not report.leaks:
        return None
    kinds = ", ".join(f"{one.kind} ({one.n})" for one in report.leaks)
    return f"the holdout leaks: {kinds}; its figures are worthless"


def nobody_saw_the_answers(report: Report, params: GateParams) -> str | None:
    """No model was trained on the holdout's test data."""
    if not report.contaminated:
        return None
    return "; ".join(
        f"the {role} may have been trained on test data: {words}"
        for role, words in report.contaminated.items()
    )


def enough_users(report: Report, params: GateParams) -> str | None:
    """Enough test users interacted with a cold item."""
    n_users = slice_of(report, JUDGED_SLICE).n_users
    if n_users >= params.min_test_users:
        return None
    return (
        f"only {n_users} test users interacted with a cold item, fewer than min_test_users = "
        f"{params.min_test_users}"
    )


def beats_every_floor(report: Report, params: GateParams) -> str | None:
    """On cold items every floor is clearly beaten."""
    cold = slice_of(report, JUDGED_SLICE)
    if judged_model(report) == CHAMPION:
        margins = cold.margins
    else:
        margins = {rival: one for rival, one in cold.challenger_margins.items() if rival != CHAMPION}
    if not margins:
        return "nothing was compared with the floors on cold items"
    lost = []
    for floor, by_metric in margins.items():
        margin = by_metric.get(params.floor_metric)
        if margin is None:
            return unknown_metric(params.floor_metric, by_metric)
        if not margin.low >= params.min_margin_over_floor:
            lost.append(f"{floor} ({margin})")
    if not lost:
        return None
    return (
        f"{params.floor_metric} on cold items does not clearly beat {' and '.join(lost)}: the lower end must reach "
        f"{params.min_margin_over_floor:+g}"
    )


def covers_enough(report: Report, params: GateParams) -> str | None:
    """Enough of the cold candidates are in at least one list."""
    scores = slice_of(report, JUDGED_SLICE).models.get(judged_model(report))
    share = scores.metrics.get(f"coverage@{report.k}") if scores else None
    if share is None:
        return "coverage of the cold items is unknown"
    if share >= params.min_coverage:
        return None
    return f"only {share:.1%} of the cold items appear in a list, less than min_coverage = {params.min_coverage:.1%}"


def beats_champion(report: Report, params: GateParams) -> str | None:
    """Certainly better on cold items; or on mixed lists, while cold items lose no more than tolerated.

    A champion may be as good on cold items as their texts allow. Then a challenger is still worth promoting if it has
    learned to rank warm items better.
    """
    cold = over_champion(report, JUDGED_SLICE, params.floor_metric)
    if isinstance(cold, str):
        return cold
    mixed = over_champion(report, "mixed", params.floor_metric)
    if won_slices(cold, mixed, params):
        return None
    return _not_better(params, cold, mixed, "")


def beats_champion_with_other_seeds(report: Report, params: GateParams) -> str | None:
    """The mean of all seeds is clearly better on the same slice: the challenger was not lucky.

    This rule adds to `beats_champion`, since it is the challenger itself that would be promoted. Users and seeds are
    resampled together (`ranking.intervals.bootstrap_over_seeds`). With users alone, one lucky seed could compensate
    for bad ones.
    """
    cold, metric = slice_of(report, JUDGED_SLICE), params.floor_metric
    if not cold.over_seeds:
        return f"no test user interacted with a {JUDGED_SLICE} item, so the seeds could not be compared there"
    over = cold.over_seeds.get(metric)
    if over is None:
        return unknown_metric(metric, cold.over_seeds)
    mixed = mixed_over_seeds(report, metric)
    means = [(one.over_champion[metric].mean, trained.seed) for trained, one in report.seeds_on(cold)]
    (lowest, worst), (highest, best) = min(means), max(means)
    of_seeds = (
        f" in the mean of {len(means)} seeds (on cold items lowest {lowest:+.4f} with seed {worst}, "
        f"highest {highest:+.4f} with seed {best})"
    )
    wins_alone, wins_over_seeds = won_alone(report, params), won_slices(over, mixed, params)
    if not wins_over_seeds:
        return _not_better(params, over, mixed, of_seeds)
    # `beats_champion` refuses a challenger that won nowhere.
    if not wins_alone or set(wins_alone) & set(wins_over_seeds):
        return None
    return (
        f"{metric} is clearly better than the champion's{of_seeds} on {WHERE[wins_over_seeds[0]]} alone, "
        f"but the challenger's own on {WHERE[wins_alone[0]]} alone: all seeds must confirm where it is better"
    )


def keeps_warm(report: Report, params: GateParams) -> str | None:
    """On warm items the challenger loses no more than tolerated."""
    return _no_worse(report, "warm", params.floor_metric, params.max_loss_warm)


def keeps_head(report: Report, params: GateParams) -> str | None:
    """On the warm items with the most users the challenger loses no more than tolerated."""
    return _no_worse(report, "head", params.floor_metric, params.max_loss_head)


def keeps_tail(report: Report, params: GateParams) -> str | None:
    """On the other warm items the challenger loses no more than tolerated."""
    return _no_worse(report, "tail", params.floor_metric, params.max_loss_tail)


def keeps_mixed(report: Report, params: GateParams) -> str | None:
    """On mixed lists of warm and cold items the challenger loses no more than tolerated."""
    return _no_worse(report, "mixed", params.floor_metric, params.max_loss_mixed)


def keeps_coverage(report: Report, params: GateParams) -> str | None:
    """Coverage of cold items falls no more than tolerated."""
    return _no_worse(report, JUDGED_SLICE, f"coverage@{report.k}", params.max_loss_coverage)


def keeps_exposure(report: Report, params: GateParams) -> str | None:
    """Exposure of cold items (Gini) becomes no more uneven than tolerated."""
    metric = f"gini@{report.k}"
    change = over_champion(report, JUDGED_SLICE, metric)
    if isinstance(change, str):
        return change
    if change.high <= params.max_rise_gini:
        return None
    return (
        f"{metric} of the cold items' exposure may rise ({change}): the upper end must not exceed "
        f"{params.max_rise_gini:+g}"
    )


def keeps_worst_decile(report: Report, params: GateParams) -> str | None:
    """Recall of the worst tenth of the cold items falls no more than tolerated."""
    metric = f"worst_decile_recall@{report.k}"
    return _no_worse(report, JUDGED_SLICE, metric, params.max_loss_worst_decile)


Rule = Callable[[Report, GateParams], str | None]
RULES: tuple[Rule, ...] = (
    no_leaks,
    nobody_saw_the_answers,
    enough_users,
    beats_every_floor,
    covers_enough,
)
"""For every judged model."""
CHALLENGER_RULES: tuple[Rule, ...] = (
    beats_champion,
    keeps_warm,
    keeps_head,
    keeps_tail,
    keeps_mixed,
    keeps_coverage,
    keeps_exposure,
    keeps_worst_decile,
    keeps_regret,
    keeps_groups,
    keeps_gap,
    keeps_robustness,
    resists_stuffing,
)
"""For a challenger, compared with the champion."""
SEED_RULES: tuple[Rule, ...] = (beats_champion_with_other_seeds,)
"""For a challenger that was trained several times."""


def rules_for(report: Report) -> tuple[Rule, ...]:
    """The rules that apply to the judged model."""
    for_challenger = CHALLENGER_RULES if judged_model(report) == CHALLENGER else ()
    return RULES + for_challenger + (SEED_RULES if report.seeds else ())


def _not_better(params: GateParams, cold: Interval, mixed: Interval | str, of_seeds: str) -> str:
    bound = f"{params.min_margin_over_champion:+g}"
    return (
        f"{params.floor_metric} is not clearly better than the champion's{of_seeds}: on cold items ({cold}) the lower "
        f"end must exceed {bound}; or it must exceed {bound} on mixed lists ({mixed}) and reach "
        f"{-params.max_loss_cold:+g} on cold items"
    )


def _no_worse(report: Report, name: str, metric: str, max_loss: float) -> str | None:
    change = over_champion(report, name, metric)
    if isinstance(change, str):
        return change
    if change.keeps(max_loss):
        return None
    return (
        f"{metric} on {WHERE[name]} may fall too far below the champion's ({change}): the lower end must reach "
        f"{-max_loss:+g}"
    )
