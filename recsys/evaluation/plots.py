"""CSV files for `dvc plots`: for each slice a file of curves, with models in columns, and one of bars, in rows."""

from recsys.evaluation.report import SliceReport


def recall_by_k(part: SliceReport) -> str:
    """`k,champion,<floor>,…`: mean recall at every cutoff; only the header without users."""
    names = list(part.models)
    cutoffs = next(iter(part.models.values())).recall_by_k if part.models else {}
    rows = [[str(k), *(f"{part.models[name].recall_by_k[k]:.6f}" for name in names)] for k in cutoffs]
    return _csv([["k", *names], *rows])


def by_model(part: SliceReport) -> str:
    """`model,<metric>,…`: every metric of every model."""
    metrics = list(next(iter(part.models.values())).metrics) if part.models else []
    rows = [
        [name, *("" if value is None else f"{value:.6f}" for value in scores.metrics.values())]
        for name, scores in part.models.items()
    ]
    # A column name with @ would need escaping in Vega, so the title shows k.
    return _csv([["model", *(metric.partition("@")[0] for metric in metrics)], *rows])


def _csv(rows: list[list[str]]) -> str:
    return "".join(",".join(row) + "\n" for row in rows)
