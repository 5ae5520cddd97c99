"""Commands of `recsys` in forks of one process, which has imported for all of them what each would import again."""

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

SERVER = """
import json, os, sys

import recsys.cli.arrive, recsys.effects.arrive, recsys.heads.headed
from recsys.catalogue.suite_engine import suite_engine
from recsys.cli import main
from recsys.processes import Fork

suite_engine()


def command(words, folder, environment, output):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["recsys", *words]
    main()


for line in sys.stdin:
    wanted = json.loads(line)
    with open(wanted["output"], "wb") as output:
        print(Fork(lambda: command(**wanted), output, output).wait(), flush=True)
"""


@cache
def server() -> "subprocess.Popen[str]":
    """The process that forks; there is one for each worker of the tests, and it ends with `close`."""
    command = [sys.executable, "-c", SERVER]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run_forked(
    words: tuple[str, ...], folder: Path, environment: Mapping[str, str], output: Path
) -> tuple[int, str]:
    """Run one command.

    Args:
        words: of the command, after `recsys`.
        folder: where it runs.
        environment: all of its variables.
        output: gets what it prints.

    Returns:
        Its exit code, and what it printed to both outputs.
    """
    wanted = {"words": words, "folder": str(folder), "environment": {**environment}, "output": str(output)}
    forking = server()
    assert forking.stdin is not None and forking.stdout is not None
    print(json.dumps(wanted), file=forking.stdin, flush=True)
    code = forking.stdout.readline()
    assert code, f"the process that forks ended with {forking.wait()}"
    return int(code), output.read_text("utf-8")


def close() -> None:
    """End the process that forks, if there is one."""
    if server.cache_info().currsize:
        server().communicate()
        server.cache_clear()
