"""`make data`: build the checkout's data/, with the same bytes on every machine."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from demo import landing
from demo.data import PARAMS, DemoDataError, load_demo_data
from localplatform.calls import call
from localplatform.workspace import make_workspace

# Not a secret: users of MovieLens are anonymous already. It makes data/ the same everywhere.
PSEUDONYM_KEY = "firstlight-demo-data-not-a-secret"
LANDED_AT = datetime(1998, 5, 1, tzinfo=UTC)


def build_data(checkout: Path, folder: Path, console: Console) -> None:
    """Ingest the demo's files into the checkout's data/, then make the model of first light.

    data/ is built elsewhere, and moved when complete. A data/ with other content is left alone.

    Args:
        checkout: the git checkout.
        folder: var/demo.
        console: for people.

    Raises:
        DemoDataError: a command failed, data/ holds something else, or the result is not what data.dvc names.
    """
    with console.status("fetching and ingesting the demo data"):
        built = ingest_demo(checkout, folder)
    target = checkout / "data"
    if target.exists() and any(target.iterdir()):
        if _listing(target) != _listing(built):
            raise DemoDataError(f"{target} holds other data; move it away, then run `make data` again")
        console.print("data/ exists already, as the demo builds it")
    else:
        shutil.rmtree(target, ignore_errors=True)
        built.rename(target)
    _track(checkout)
    with console.status("making the model of first light"):
        call("recsys", "fetch-champion", workspace=checkout, environment={"MLFLOW_TRACKING_URI": ""})
    n_files = sum(1 for path in target.rglob("*") if path.is_file())
    console.print(
        f"data/ has {n_files} files, as data.dvc names them; the model of first light is the champion"
    )
    console.print("next: [bold]dvc repro[/]", highlight=False)


def ingest_demo(checkout: Path, folder: Path) -> Path:
    """Ingest the demo's files in a workspace of its own; returns its data/."""
    zone = folder / "data-landing"
    workspace = folder / "data-workspace"
    shutil.rmtree(zone, ignore_errors=True)
    make_workspace(checkout, workspace, PARAMS)
    films = load_demo_data(folder / "wheels")
    files = [
        landing.catalogue_without_plots(films),
        landing.films_with_plot(films),
        landing.all_ratings(films),
    ]
    for order, file in enumerate(files):
        path = zone / file.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        moment = LANDED_AT.timestamp() + order  # the order of intake, and arrived_at in the record
        os.utime(path, (moment, moment))
    environment = {"RECSYS_LANDING": str(zone), "RECSYS_PSEUDONYM_KEY": PSEUDONYM_KEY}
    call("recsys", "ingest", workspace=workspace, environment=environment)
    left = [file.key for file in files if (zone / file.key).exists()]
    if left:
        raise DemoDataError(
            f"ingest left {', '.join(left)} in {zone}; `recsys status` in {workspace} says why"
        )
    return workspace / "data"


def _track(checkout: Path) -> None:
    """`dvc add data`; where data.dvc is committed, the result must be what it names."""
    pointer = checkout / "data.dvc"
    before = pointer.read_bytes() if pointer.exists() else None
    call("dvc", "add", "--quiet", "data", workspace=checkout)
    if before is not None and pointer.read_bytes() != before:
        after = pointer.read_text(encoding="utf-8")
        pointer.write_bytes(before)
        raise DemoDataError(f"data/ was built, but it is not what data.dvc names; it would be:\n{after}")


def _listing(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
