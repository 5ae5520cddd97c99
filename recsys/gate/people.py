"""Rules of the gate about people: what they dislike, and groups that must not pay for the gain of others."""

from recsys.evaluation.report import CHALLENGER, CHAMPION, GROUP, Report
from recsys.gate.params import GateParams


def keeps_regret(report: Report, params: GateParams) -> str | None:
    """The share of shown items that users dislike rises no more than tolerated."""
    metric = f"regret@{report.k}"
    mixed = report.slice("mixed")
    change = mixed.challenger_margins.get(CHAMPION, {}).get(metric) if mixed else None
    if change is None or change.high <= params.max_rise_regret:
        return None
    return f"{metric} on mixed lists may rise ({change}): the upper end must not exceed {params.max_rise_regret:+g}"


def keeps_groups(report: Report, params: GateParams) -> str | None:
    """On mixed lists of each group of users the challenger loses no more than tolerated."""
    lost = []
    for part in report.groups:
        margins = part.challenger_margins.get(CHAMPION, {})
        change = margins.get(params.floor_metric)
        if change is None and margins:
            return (
                f"lists of {part.name} are not judged by {params.floor_metric}: set gate.floor_metric to one of "
                f"{', '.join(margins)}"
            )
        if change is not None and not change.keeps(params.max_loss_group):
            lost.append(f"{part.name} ({change})")
    if not lost:
        return None
    return (
        f"{params.floor_metric} on mixed lists of {' and '.join(lost)} may fall too far below the champion's: the "
        f"lower end must reach {-params.max_loss_group:+g}"
    )


def keeps_gap(report: Report, params: GateParams) -> str | None:
    """The gap between the best and the worst served group widens no more than tolerated."""
    gaps = []
    for model in (CHALLENGER, CHAMPION):
        means = [
            one.models[model].metrics.get(params.floor_metric)
            for one in report.groups
            if one.name.startswith(GROUP) and model in one.models
        ]
        known = [mean for mean in means if mean is not None]
        gaps.append(max(known) - min(known) if len(known) > 1 else 0.0)
    if gaps[0] - gaps[1] <= params.max_rise_gap:
        return None
    return (
        f"the gap in {params.floor_metric} between groups widens from {gaps[1]:.4f} to {gaps[0]:.4f}, by more than "
        f"max_rise_gap = {params.max_rise_gap:g}"
    )
