"""Report and decision -> one HTML page that needs nothing beside it."""

from recsys.evaluation.report import Report, SliceReport
from recsys.gate.decision import Decision
from recsys.gate.drawing import bars, curves, label, margins
from recsys.gate.params import GateParams
from recsys.gate.template import TEMPLATE


def render(report: Report, decision: Decision, params: GateParams) -> str:
    """The page: verdict, rules, slices with intervals, leak report, coverage.

    Args:
        report: from stage `evaluate`.
        decision: what the gate made of it.
        params: section `gate`.

    Returns:
        HTML, the same for the same report; ids of items may stand in it, users never do.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    slices = [_drawn(part, params) for part in report.slices]
    return environment.from_string(TEMPLATE).render(
        report=report, decision=decision, slices=slices, label=label
    )


def _drawn(part: SliceReport, params: GateParams) -> dict[str, object]:
    from markupsafe import Markup

    if not part.models:
        return {"part": part}
    first = next(iter(part.models.values()))
    metric = params.floor_metric if params.floor_metric in first.metrics else next(iter(first.metrics))
    return {
        "part": part,
        "metrics": list(first.metrics),
        "paired": list(next(iter(part.margins.values()))),
        "bars": Markup(bars(part, metric)),  # our own SVG: nothing in it comes from a user or an item
        "curves": Markup(curves(part)),
        "margins": Markup(margins(part, metric, params.min_margin_over_floor)),
    }
