"""Results of monitoring in the text format of Prometheus, for node_exporter's textfile collector."""

from collections.abc import Iterator

from recsys.monitoring.report import WatchReport

HELP = {
    "firstlight_watch_arrivals": "Arrivals seen, by table.",
    "firstlight_watch_learning": "1 while there are too few arrivals to judge one.",
    "firstlight_watch_value": "Figure of the newest arrival.",
    "firstlight_watch_expected": "What it was expected to be.",
    "firstlight_watch_p": "Probability of a figure at least so far out in an ordinary arrival.",
    "firstlight_watch_alarm": "1 where the newest arrival alarms.",
}


def metrics(report: WatchReport) -> str:
    """Gauges of the newest arrival of each table.

    Args:
        report: what was found.

    Returns:
        The text of a file `*.prom`.
    """
    found: dict[str, list[str]] = {name: [] for name in HELP}
    for name, labels, value in _samples(report):
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        found[name].append(f"{name}{{{shown}}} {value:.9g}")
    lines = [
        line
        for name, samples in found.items()
        if samples
        for line in (f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *samples)
    ]
    return "\n".join(lines) + "\n"


def _samples(report: WatchReport) -> Iterator[tuple[str, dict[str, str], float]]:
    for table in report.tables:
        of_table = {"table": table.table}
        newest = table.judged[-1] if table.judged else None
        is_learning = newest is None or newest.is_learning
        yield "firstlight_watch_arrivals", of_table, table.n_arrivals
        yield "firstlight_watch_learning", of_table, float(is_learning)
        if newest is None:
            continue
        raised = {alarm.signal for alarm in newest.alarms}
        for name, reading in newest.readings.items():
            labels = of_table | {"signal": name}
            yield "firstlight_watch_value", labels, reading.value
            yield "firstlight_watch_expected", labels, reading.expected
            yield "firstlight_watch_p", labels, reading.p
            yield "firstlight_watch_alarm", labels, float(name in raised)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
