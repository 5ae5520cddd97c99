"""Stage `gate`: decide whether the challenger may become champion; without a challenger, judge the champion."""

from recsys.artifacts import Artifacts
from recsys.evaluation.report import Report
from recsys.gate.decision import decide
from recsys.gate.page import render
from recsys.settings import Settings
from recsys.storage.atomic import write_whole


def run(settings: Settings, at: Artifacts) -> None:
    """Judge the report and write the decision, for programs and for people.

    Reads:   at.report
    Writes:  at.decision, at.gate_page
    Raises:  ArtifactMissing where stage `evaluate` has not run; a closed gate is a result, not an error
    """
    report = Report.load(at.report)
    decision = decide(report, settings.gate)
    decision.save(at.decision)
    write_whole(at.gate_page, render(report, decision, settings.gate).encode())
