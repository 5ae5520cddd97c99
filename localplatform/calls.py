"""Run one command of a workspace, such as `recsys ingest`, to its end."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from localplatform.errors import LocalError

SHOWN = 3000
"""Characters of a failed command's output in a message."""


class CommandFailed(LocalError):
    """A command ended with an error; the message holds the end of its output."""


def call(module: str, *arguments: str, workspace: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run `python -m <module>` in a workspace.

    Args:
        module: such as recsys or dvc.
        *arguments: of the command.
        workspace: working directory, and RECSYS_WORKSPACE.
        environment: further variables.

    Returns:
        Its standard output and standard error.

    Raises:
        CommandFailed: it ended with an error.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=workspace,
        env=os.environ | {"RECSYS_WORKSPACE": str(workspace)} | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(f"{module} {' '.join(arguments)} failed in {workspace}:\n{done.stdout[-SHOWN:]}")
    return done.stdout
