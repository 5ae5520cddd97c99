"""The gate page: report and decision as one HTML file without external resources."""

from collections.abc import Mapping, Sequence

from recsys.evaluation.report import CHALLENGER, CHAMPION, Report, SliceReport
from recsys.gate.decision import Decision
from recsys.gate.drawing import Difference, bars, curves, differences, label, margins
from recsys.gate.margins import JUDGED_SLICE, WHERE, judged_model, tolerances, won_on
from recsys.gate.params import GateParams
from recsys.gate.template import TEMPLATE
from recsys.ranking.intervals import Interval

DRAWN = ("cold", "warm", "mixed")
"""Slices with figures. Head and tail use the warm lists, so a table is enough."""
MEANING = {
    "cold": "no interaction before the cut",
    "warm": "at least one interaction before the cut",
    "head": "the warm items with the most interactions, in the same lists",
    "tail": "all other warm items, in the same lists",
    "mixed": "warm and cold items in one list, as people see them",
}


def render(report: Report, decision: Decision, params: GateParams) -> str:
    """Render decision, rules, challenger beside champion, slices with intervals, leak report and coverage.

    Args:
        report: from stage `evaluate`.
        decision: of the gate.
        params: section `gate`.

    Returns:
        HTML; the same report gives the same text. It may hold ids and texts of items, and the first characters of
        users' pseudonyms.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE).render(
        report=report,
        decision=decision,
        slices=[_drawn(part, judged_model(report), params) for part in report.slices],
        challenger=_challenger_figures(report, params),
        seeds=_seeds(report, params),
        metric=_metric_of(report.groups, params),
        metric_of_perturbed=_metric_of_perturbed(report, params),
        label=label,
        where=WHERE,
        won=WHERE[won_on(report, params)] if judged_model(report) == CHALLENGER else None,
    )


def _metric_of(parts: Sequence[SliceReport], params: GateParams) -> str:
    """The metric of comparisons, or the first one where a report lacks it."""
    names = [name for part in parts[:1] for one in part.models.values() for name in one.metrics]
    return params.floor_metric if params.floor_metric in names or not names else names[0]


def _metric_of_perturbed(report: Report, params: GateParams) -> str:
    """The metric of comparisons, or the first one where lists by perturbed texts lack it."""
    names = [name for one in report.robustness[:1] for scores in one.models.values() for name in scores.clean]
    return params.floor_metric if params.floor_metric in names or not names else names[0]


def _drawn(part: SliceReport, model: str, params: GateParams) -> dict[str, object]:
    from markupsafe import Markup

    if not part.models:
        return {"part": part, "title": WHERE[part.name], "meaning": MEANING[part.name]}
    over = _floors_of(part, model)
    first = next(iter(part.models.values()))
    metric = params.floor_metric if params.floor_metric in first.metrics else next(iter(first.metrics))
    drawn: dict[str, object] = {
        "part": part,
        "title": WHERE[part.name],
        "meaning": MEANING[part.name],
        "metrics": list(first.metrics),
        "model": model,
        "over": over,
        "paired": _metrics_of(over),
        "figures": part.name in DRAWN,
    }
    if part.name in DRAWN:  # our own SVG, without any text of a user or an item
        drawn |= {
            "bars": Markup(bars(part, metric)),
            "curves": Markup(curves(part)),
            "margins": Markup(margins(part, model, over, metric, params.min_margin_over_floor)),
        }
    return drawn


def _metrics_of(rows: Mapping[str, Mapping[str, Interval]]) -> list[str]:
    """Every metric that some row of a table has. Regret is unknown where no opinion about a listed item is known."""
    return list(dict.fromkeys(metric for row in rows.values() for metric in row))


def _floors_of(part: SliceReport, model: str) -> Mapping[str, Mapping[str, Interval]]:
    if model == CHAMPION:
        return part.margins
    return {rival: one for rival, one in part.challenger_margins.items() if rival != CHAMPION}


def _challenger_figures(report: Report, params: GateParams) -> dict[str, object] | None:
    """Challenger minus champion: two figures, and the intervals of every slice as a table."""
    from markupsafe import Markup

    if judged_model(report) != CHALLENGER:
        return None
    margins_by_slice = {
        part.name: part.challenger_margins[CHAMPION]
        for part in report.slices
        if CHAMPION in part.challenger_margins
    }
    won = won_on(report, params)
    rows = [
        Difference(WHERE[name], by_metric[params.floor_metric], bound, is_strict=name == won)
        for name, bound in tolerances(report, params).items()
        if params.floor_metric in (by_metric := margins_by_slice.get(name, {}))
    ]
    exposed = _exposure(margins_by_slice.get(JUDGED_SLICE, {}), report.k, params)
    per_user = [metric for metric in _metrics_of(margins_by_slice) if metric not in exposed]
    words = f"challenger minus champion, {params.floor_metric}, paired 95 % interval"
    exposure = "challenger minus champion on cold items, paired 95 % interval"
    return {
        "margins": margins_by_slice,
        "metrics": per_user,
        "exposure": exposed,
        "figures": [
            Markup(differences(drawn, salt, title, xlabel, 6.2))
            for drawn, salt, title, xlabel in (
                (rows, "beside-users", "Challenger minus champion by slice", words),
                (list(exposed.values()), "beside-items", "Challenger minus champion in exposure", exposure),
            )
            if drawn
        ],
    }


def _seeds(report: Report, params: GateParams) -> dict[str, object] | None:
    """Each training of the challenger minus champion, and the mean of all, on cold items."""
    from markupsafe import Markup

    cold = report.slice(JUDGED_SLICE)
    trained = report.seeds_on(cold) if cold else []
    if cold is None or not trained:
        return None
    metric = params.floor_metric if params.floor_metric in cold.over_seeds else next(iter(cold.over_seeds))
    names = [f"seed {one.seed}{'' if place else ' (challenger)'}" for place, (one, _) in enumerate(trained)]
    bound, is_strict = tolerances(report, params)[JUDGED_SLICE], won_on(report, params) == JUDGED_SLICE
    drawn = [
        Difference(name, of_seed.over_champion[metric], bound, is_strict=is_strict, has_bound=not place)
        for place, (name, (_, of_seed)) in enumerate(zip(names, trained, strict=True))
    ]
    drawn.append(Difference("all seeds", cold.over_seeds[metric], bound, is_strict=is_strict))
    words = f"encoder minus champion, {metric}, 95 % interval"
    return {
        "rows": [(name, *pair) for name, pair in zip(names, trained, strict=True)],
        "over": cold.over_seeds[metric],
        "metric": metric,
        "mean": sum(of_seed.metrics[metric] for _, of_seed in trained) / len(trained),
        "figure": Markup(differences(drawn, "seeds", "Every seed minus champion on cold items", words)),
    }


def _exposure(cold: Mapping[str, Interval], k: int, params: GateParams) -> dict[str, Difference]:
    """Coverage, Gini and worst decile with their bounds."""
    bounds = {
        "coverage": (-params.max_loss_coverage, False),
        "gini": (params.max_rise_gini, True),
        "worst_decile_recall": (-params.max_loss_worst_decile, False),
    }
    return {
        f"{name}@{k}": Difference(label(f"{name}@{k}"), cold[f"{name}@{k}"], bound, is_ceiling)
        for name, (bound, is_ceiling) in bounds.items()
        if f"{name}@{k}" in cold
    }
