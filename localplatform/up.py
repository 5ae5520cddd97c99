"""`make up` and `make down`: start the platform in the background, and stop it."""

import json
import os
import shlex
import signal
from pathlib import Path

import psutil
from rich.console import Console

from localplatform.places import show_places
from localplatform.platform import Platform, start_platform
from localplatform.processes import Server, StartFailed
from localplatform.servers import start_service
from localplatform.workspace import make_workspace

STATE, OUTPUT, SCRIPT = "up.json", "up.txt", "environment.sh"
DOWN_TIMEOUT_S = 40.0
SERVICE_PORT = 8700


def up(checkout: Path, folder: Path, console: Console) -> None:
    """Start the platform in the background, and print addresses and variables to export. Safe to repeat.

    Args:
        checkout: the git checkout; a clone of it becomes the workspace where the folder holds none.
        folder: for the workspace, the servers' files and what is kept about them, such as `FOLDER`.
        console: for people.
    """
    if running(folder):
        console.print("The platform runs already.\n" + (folder / OUTPUT).read_text("utf-8"), markup=False)
        return
    workspace = folder / "workspace"
    if not workspace.exists():
        make_workspace(checkout, workspace)
    platform = start_platform(workspace, folder / "servers", console.print, detached=True)
    service = start_service(
        folder / "servers/service", platform.environment, port=SERVICE_PORT, detached=True
    )
    _keep_state(folder, platform, service)
    script = folder / SCRIPT
    script.touch(mode=0o600)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(platform.environment.items())]
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with console.capture() as captured:
        show_places(console, platform, running=True, service=service)
        console.print(
            f"\nFor commands by hand:  . {script} && cd {workspace}\n"
            "Then, for example:     recsys status\n"
            "To land a file:        python -m localplatform land FILE (--interactions for events)\n"
            "To stop everything:    make down",
            highlight=False,
            soft_wrap=True,
        )
    (folder / OUTPUT).write_text(captured.get(), encoding="utf-8")
    console.print(captured.get(), markup=False, highlight=False, soft_wrap=True)


def down(folder: Path, console: Console) -> None:
    """Stop what `up` started. Safe to repeat."""
    guards = running(folder)
    for guard in guards:
        guard.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(guards, timeout=DOWN_TIMEOUT_S)
    for guard in alive:
        os.killpg(guard.pid, signal.SIGKILL)
    if (folder / STATE).exists():
        for name in json.loads((folder / STATE).read_text("utf-8"))["leftovers"]:
            Path(name).unlink(missing_ok=True)
        (folder / STATE).unlink()
    console.print(f"Stopped {len(guards)} processes." if guards else "Nothing was running.")


def running(folder: Path) -> list[psutil.Process]:
    """Living guards of a platform that `up` started."""
    state = folder / STATE
    if not state.exists():
        return []
    found = []
    for one in json.loads(state.read_text("utf-8"))["guards"]:
        try:
            process = psutil.Process(one["pid"])
            # Process ids are reused; the start time tells whether it is still ours.
            if abs(process.create_time() - one["born"]) < 1 and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def environment(folder: Path) -> dict[str, str]:
    """The environment of the running platform; StartFailed when it does not run."""
    if not running(folder):
        raise StartFailed("the platform does not run; `make up` starts it")
    found: dict[str, str] = json.loads((folder / STATE).read_text("utf-8"))["environment"]
    return found


def _keep_state(folder: Path, platform: Platform, service: Server) -> None:
    servers = (*platform.servers, service)
    pids = [process.guard.pid for server in servers for process in server.processes]
    state = {
        "guards": [{"pid": pid, "born": psutil.Process(pid).create_time()} for pid in pids],
        "leftovers": [str(path) for server in platform.servers for path in server.leftovers],
        "environment": platform.environment,
        "airflow": platform.airflow.url,
    }
    path = folder / STATE
    path.touch(mode=0o600)
    path.write_text(json.dumps(state, indent=1), encoding="utf-8")
