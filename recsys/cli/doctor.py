"""Command `doctor`."""

import click

from recsys.cli.context import console, print_json, shown, workspace


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Check environment, versions, store and registry; print what to do about each fault.

    Exit code 1 if something must be fixed.
    """
    from rich.table import Table

    from recsys.effects.doctor import doctor as examine

    findings = examine(workspace())
    if as_json:
        print_json(
            [
                {"check": one.check, "verdict": one.verdict, "found": one.found, "remedy": one.remedy}
                for one in findings
            ]
        )
    else:
        table = Table("check", "", "found", "what to do")
        for finding in findings:
            colour = {"ok": "green", "warn": "yellow", "fail": "red"}[finding.verdict]
            table.add_row(
                finding.check, f"[{colour}]{finding.verdict}[/]", shown(finding.found), shown(finding.remedy)
            )
        console().print(table)
    if any(finding.verdict == "fail" for finding in findings):
        raise SystemExit(1)
