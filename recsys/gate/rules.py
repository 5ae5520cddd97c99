"""The rules of the gate: functions that return a reason to refuse, or None. They use intervals, not significance tests.

Every comparison holds a paired bootstrap interval against a threshold. On ranking metrics, sign and Wilcoxon tests err
more often than they claim, and more so with more users (Urbano, Lima & Hanjalic 2019, SIGIR).
"""

from collections.abc import Callable

from recsys.evaluation.report import CHALLENGER, CHAMPION, Report, SliceReport
from recsys.gate.params import GateParams
from recsys.gate.people import keeps_gap, keeps_groups, keeps_regret
from recsys.gate.robustness import keeps_robustness, resists_stuffing
from recsys.ranking.intervals import Interval

JUDGED_SLICE = "cold"
WHERE = {name: f"{name} items" for name in ("cold", "warm", "head", "tail")} | {"mixed": "mixed lists"}


def judged_model(report: Report) -> str:
    """The challenger where there is one, else the champion."""
    return CHAMPION if report.challenger_hash is None else CHALLENGER


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
    n_users = _slice(report, JUDGED_SLICE).n_users
    if n_users >= params.min_test_users:
        return None
    return (
        f"only {n_users} test users interacted with a cold item, fewer than min_test_users = "
        f"{params.min_test_users}"
    )


def beats_every_floor(report: Report, params: GateParams) -> str | None:
    """On cold items every floor is clearly beaten."""
    cold = _slice(report, JUDGED_SLICE)
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
            return _unknown(params.floor_metric, by_metric)
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
    scores = _slice(report, JUDGED_SLICE).models.get(judged_model(report))
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
    cold = _over_champion(report, JUDGED_SLICE, params.floor_metric)
    if isinstance(cold, str):
        return cold
    mixed = _over_champion(report, "mixed", params.floor_metric)
    if _won(cold, mixed, params):
        return None
    return _not_better(params, cold, mixed, "")


def beats_champion_with_other_seeds(report: Report, params: GateParams) -> str | None:
    """The mean of all seeds is clearly better on the same slice: the challenger was not lucky.

    This rule adds to `beats_champion`, since it is the challenger itself that would be promoted. Users and seeds are
    resampled together (`ranking.intervals.bootstrap_over_seeds`). With users alone, one lucky seed could compensate
    for bad ones.
    """
    cold, metric = _slice(report, JUDGED_SLICE), params.floor_metric
    if not cold.over_seeds:
        return f"no test user interacted with a {JUDGED_SLICE} item, so the seeds could not be compared there"
    over = cold.over_seeds.get(metric)
    if over is None:
        return _unknown(metric, cold.over_seeds)
    mixed = _mixed_over_seeds(report, metric)
    means = [(one.over_champion[metric].mean, trained.seed) for trained, one in report.seeds_on(cold)]
    (lowest, worst), (highest, best) = min(means), max(means)
    of_seeds = (
        f" in the mean of {len(means)} seeds (on cold items lowest {lowest:+.4f} with seed {worst}, "
        f"highest {highest:+.4f} with seed {best})"
    )
    wins_alone, wins_over_seeds = _won_alone(report, params), _won(over, mixed, params)
    if not wins_over_seeds:
        return _not_better(params, over, mixed, of_seeds)
    # `beats_champion` refuses a challenger that won nowhere.
    if not wins_alone or set(wins_alone) & set(wins_over_seeds):
        return None
    return (
        f"{metric} is clearly better than the champion's{of_seeds} on {WHERE[wins_over_seeds[0]]} alone, "
        f"but the challenger's own on {WHERE[wins_alone[0]]} alone: all seeds must confirm where it is better"
    )


def won_on(report: Report, params: GateParams) -> str:
    """The slice on which the challenger must be clearly better: `mixed` if it wins only there, else `cold`.

    With several seeds their mean must win there too.
    """
    wins_alone, wins_over_seeds = _won_alone(report, params), _won_over_seeds(report, params)
    confirmed = tuple(name for name in wins_alone if name in wins_over_seeds)
    return next(iter(confirmed or wins_alone), JUDGED_SLICE)


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
    change = _over_champion(report, JUDGED_SLICE, metric)
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


def tolerances(report: Report, params: GateParams) -> dict[str, float]:
    """Slice -> the bound that the lower end of (challenger - champion) must reach, or exceed on the slice `won_on`."""
    kept = {
        JUDGED_SLICE: -params.max_loss_cold,
        "warm": -params.max_loss_warm,
        "head": -params.max_loss_head,
        "tail": -params.max_loss_tail,
        "mixed": -params.max_loss_mixed,
    }
    return kept | {won_on(report, params): params.min_margin_over_champion}


def _won(cold: Interval, mixed: Interval | str, params: GateParams) -> tuple[str, ...]:
    """Slices on which challenger minus champion is large enough; `mixed` is a text where it could not be compared."""
    margin = params.min_margin_over_champion
    is_kept = cold.keeps(params.max_loss_cold)
    is_won = {
        JUDGED_SLICE: cold.low > margin,
        "mixed": is_kept and isinstance(mixed, Interval) and mixed.low > margin,
    }
    return tuple(name for name, is_so in is_won.items() if is_so)


def _won_alone(report: Report, params: GateParams) -> tuple[str, ...]:
    """`_won` for the challenger itself, which would be promoted."""
    cold = _over_champion(report, JUDGED_SLICE, params.floor_metric)
    mixed = _over_champion(report, "mixed", params.floor_metric)
    return () if isinstance(cold, str) else _won(cold, mixed, params)


def _won_over_seeds(report: Report, params: GateParams) -> tuple[str, ...]:
    """`_won` for the mean of all seeds; for the challenger where it was trained only once."""
    if not report.seeds:
        return _won_alone(report, params)
    over = _slice(report, JUDGED_SLICE).over_seeds.get(params.floor_metric)
    return _won(over, _mixed_over_seeds(report, params.floor_metric), params) if over else ()


def _mixed_over_seeds(report: Report, metric: str) -> Interval | str:
    return _slice(report, "mixed").over_seeds.get(metric, "there is no test user for mixed lists")


def _not_better(params: GateParams, cold: Interval, mixed: Interval | str, of_seeds: str) -> str:
    bound = f"{params.min_margin_over_champion:+g}"
    return (
        f"{params.floor_metric} is not clearly better than the champion's{of_seeds}: on cold items ({cold}) the lower "
        f"end must exceed {bound}; or it must exceed {bound} on mixed lists ({mixed}) and reach "
        f"{-params.max_loss_cold:+g} on cold items"
    )


def _no_worse(report: Report, name: str, metric: str, max_loss: float) -> str | None:
    change = _over_champion(report, name, metric)
    if isinstance(change, str):
        return change
    if change.keeps(max_loss):
        return None
    return (
        f"{metric} on {WHERE[name]} may fall too far below the champion's ({change}): the lower end must reach "
        f"{-max_loss:+g}"
    )


def _over_champion(report: Report, name: str, metric: str) -> Interval | str:
    """Challenger minus champion, or a reason to refuse where they could not be compared."""
    part = _slice(report, name)
    by_metric = part.challenger_margins.get(CHAMPION, {})
    if not by_metric:
        return (
            f"there is no test user for {WHERE[name]}, so challenger and champion could not be compared there"
        )
    return by_metric[metric] if metric in by_metric else _unknown(metric, by_metric)


def _unknown(metric: str, by_metric: dict[str, Interval]) -> str:
    return f"gate.floor_metric {metric!r} is not in the report, which has {', '.join(by_metric)}"


def _slice(report: Report, name: str) -> SliceReport:
    empty = SliceReport(name=name, n_users=0, n_candidates=0, n_positives=0, models={}, margins={})
    return report.slice(name) or empty
