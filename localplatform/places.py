"""Show where things are on a running platform: addresses with credentials, pages, logs."""

from rich.console import Console
from rich.table import Table

from localplatform.platform import Platform
from localplatform.processes import Server


def show_places(
    console: Console, platform: Platform, *, running: bool, service: Server | None = None
) -> None:
    """Where to look: addresses with credentials, pages, logs."""
    workspace = platform.workspace
    airflow = platform.airflow.details
    table = Table(title="\nWhere to look", title_style="bold", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    user, password = airflow["user"], airflow["password"]
    if service is not None:
        table.add_row("recommendations", f"{service.url} the page; {service.url}/openapi.json the API")
    table.add_row("Airflow", f"{platform.airflow.url} user {user} password {password}")
    table.add_row("MLflow", platform.mlflow.url)
    table.add_row("S3", f"{platform.seaweed.url}: buckets landing, releases, dvc, mlflow")
    table.add_row("workspace", str(workspace))
    reports = sorted((workspace / "data").glob("catalogue/*/report.html"))
    if reports:
        table.add_row(
            "data report", f"{reports[-1]}" + (f" ({len(reports)} of them)" if len(reports) > 1 else "")
        )
    for page in sorted((workspace / "var/workspaces").glob("train_challenger.*/artifacts/gate/page.html")):
        table.add_row("verdict page", str(page))
    table.add_row("logs", f"{workspace.parent / 'servers'}, of tasks in airflow/logs")
    console.print(table)
    if not running:
        console.print("The servers are stopped; `make up` brings them back with everything in them.")
