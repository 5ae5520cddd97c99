"""How far models are apart on each slice, as the rules of the gate read it from a report."""

from recsys.evaluation.report import CHALLENGER, CHAMPION, Report, SliceReport
from recsys.gate.params import GateParams
from recsys.ranking.intervals import Interval

JUDGED_SLICE = "cold"
WHERE = {name: f"{name} items" for name in ("cold", "warm", "head", "tail")} | {"mixed": "mixed lists"}


def judged_model(report: Report) -> str:
    """The challenger where there is one, else the champion."""
    return CHAMPION if report.challenger_hash is None else CHALLENGER


def over_champion(report: Report, name: str, metric: str) -> Interval | str:
    """Challenger minus champion, or a reason to refuse where they could not be compared."""
    part = slice_of(report, name)
    by_metric = part.challenger_margins.get(CHAMPION, {})
    if not by_metric:
        return (
            f"there is no test user for {WHERE[name]}, so challenger and champion could not be compared there"
        )
    return by_metric[metric] if metric in by_metric else unknown_metric(metric, by_metric)


def unknown_metric(metric: str, by_metric: dict[str, Interval]) -> str:
    """The reason to refuse a report that lacks `gate.floor_metric`."""
    return f"gate.floor_metric {metric!r} is not in the report, which has {', '.join(by_metric)}"


def slice_of(report: Report, name: str) -> SliceReport:
    """A slice of the report; an empty one where nobody was judged on it."""
    empty = SliceReport(name=name, n_users=0, n_candidates=0, n_positives=0, models={}, margins={})
    return report.slice(name) or empty


def won_slices(cold: Interval, mixed: Interval | str, params: GateParams) -> tuple[str, ...]:
    """Slices on which challenger minus champion is large enough; `mixed` is a text where it could not be compared."""
    margin = params.min_margin_over_champion
    is_kept = cold.keeps(params.max_loss_cold)
    is_won = {
        JUDGED_SLICE: cold.low > margin,
        "mixed": is_kept and isinstance(mixed, Interval) and mixed.low > margin,
    }
    return tuple(name for name, is_so in is_won.items() if is_so)


def won_alone(report: Report, params: GateParams) -> tuple[str, ...]:
    """`won_slices` for the challenger itself, which would be promoted."""
    cold = over_champion(report, JUDGED_SLICE, params.floor_metric)
    mixed = over_champion(report, "mixed", params.floor_metric)
    return () if isinstance(cold, str) else won_slices(cold, mixed, params)


def _won_over_seeds(report: Report, params: GateParams) -> tuple[str, ...]:
    """`won_slices` for the mean of all seeds; for the challenger where it was trained only once."""
    if not report.seeds:
        return won_alone(report, params)
    over = slice_of(report, JUDGED_SLICE).over_seeds.get(params.floor_metric)
    return won_slices(over, mixed_over_seeds(report, params.floor_metric), params) if over else ()


def mixed_over_seeds(report: Report, metric: str) -> Interval | str:
    """Challenger minus champion on mixed lists in the mean of all seeds, or why it is not known."""
    return slice_of(report, "mixed").over_seeds.get(metric, "there is no test user for mixed lists")


def won_on(report: Report, params: GateParams) -> str:
    """The slice on which the challenger must be clearly better: `mixed` if it wins only there, else `cold`.

    With several seeds their mean must win there too.
    """
    wins_alone, wins_over_seeds = won_alone(report, params), _won_over_seeds(report, params)
    confirmed = tuple(name for name in wins_alone if name in wins_over_seeds)
    return next(iter(confirmed or wins_alone), JUDGED_SLICE)


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
