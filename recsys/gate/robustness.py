"""Rules of the gate about perturbed texts: typing errors, cut texts, and texts stuffed with popular words."""

from recsys.evaluation.report import Report
from recsys.gate.params import GateParams


def keeps_robustness(report: Report, params: GateParams) -> str | None:
    """On cold items with perturbed texts the challenger loses no more than tolerated."""
    lost = []
    for one in report.robustness:
        change = one.over_champion.get(params.floor_metric)
        if change is None and one.over_champion:
            return (
                f"lists of cold items with perturbed texts are not judged by {params.floor_metric}: "
                f"set gate.floor_metric to one of {', '.join(one.over_champion)}, or evaluate.robustness to []"
            )
        if change is not None and change.low < -params.max_loss_robustness:
            lost.append(f"{one.kind} ({change})")
    if not lost:
        return None
    return (
        f"{params.floor_metric} on cold items with perturbed texts may fall too far below the champion's: "
        f"{' and '.join(lost)}; the lower end must reach {-params.max_loss_robustness:+g}"
    )


def resists_stuffing(report: Report, params: GateParams) -> str | None:
    """Items stuffed with popular words win no more places than tolerated."""
    for one in report.robustness:
        change = one.places_over_champion
        if change is not None and change.high > params.max_rise_stuffing:
            return (
                f"items with {one.kind} texts may win more places of a list than by the champion ({change}): the upper "
                f"end must not exceed {params.max_rise_stuffing:+g}"
            )
    return None
