"""DVC within this process: what walks from landed files to a release imports it once, not four times."""

import os
import pickle
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from recsys.importing import uncollected
from recsys.processes import Fork

RUN = "python -m recsys run "
"""How dvc.yaml begins the command of a stage."""
_loaded = False


def load() -> None:
    """Import DVC. From now on `recsys.dvc` runs its commands in copies of this process, not in new ones.

    For a process that only imports, and leaves the work to its copies (`recsys.processes.Fork`).
    """
    with uncollected():
        import dvc.utils.serialize._yaml as reading
        import dvc.utils.strictyaml as checking

        global _loaded
        if not _loaded:  # before other modules take the function over
            reading.parse_yaml = checking.parse_yaml = remembering(reading.parse_yaml)
        _loaded = True
        import dvc.cli.parser
        import dvc.repo
        import dvc.stage.run  # noqa: F401


def remembering(parse: Callable[..., Any]) -> Callable[..., Any]:
    """DVC's `parse_yaml`, which parses a text once: a `dvc repro` of five stages reads its files six times each.

    Parsing takes three quarters of the CPU that such a run takes.

    Args:
        parse: takes the text, the path of its file, and the parser's type: "safe" for plain values.

    Returns:
        The same function. Every call gets values of its own; those with comments and line breaks are parsed each time.
    """

    @lru_cache(maxsize=64)
    def parsed(text: str, path: str) -> bytes:
        return pickle.dumps(parse(text, path))

    def parse_yaml(text: str, path: str, typ: str = "safe") -> Any:  # noqa: ANN401
        return pickle.loads(parsed(text, path)) if typ == "safe" else parse(text, path, typ=typ)

    return parse_yaml


def is_loaded() -> bool:
    """Whether `load` has imported DVC."""
    return _loaded


def main(root: Path, arguments: tuple[str, ...]) -> int:
    """Run a command of DVC in this process, which should end after it.

    Args:
        root: the workspace.
        arguments: as DVC's command line takes them.

    Returns:
        The exit code; what was wrong is on standard error.
    """
    os.environ["DVC_NO_ANALYTICS"] = "true"
    from dvc.cli import main as run

    os.chdir(root)
    code: int = run(list(arguments))
    return code


def reproduce(root: Path, stages: tuple[str, ...], run: Callable[[str], None]) -> int:
    """`dvc repro --single-item` in this process, which should end after it; each stage runs in a copy of it.

    DVC decides what to run, and writes down what has run, as it does by hand. `run` takes the place of a new Python for
    `python -m recsys run STAGE`; whatever else dvc.yaml names as a command is run as DVC does it.

    Args:
        root: the workspace.
        stages: their names, in the order in which they run.
        run: runs a stage, by its name.

    Returns:
        DVC's exit code; 0: all are up to date. What was wrong is on standard error.
    """
    import dvc.stage.run as running
    from dvc.stage.exceptions import StageCmdFailedError

    as_dvc_does = running.cmd_run

    def cmd_run(stage: Any, dry: bool = False, run_env: Mapping[str, str] | None = None) -> None:  # noqa: ANN401
        name = str(stage.cmd).removeprefix(RUN)
        if dry or name not in stages or stage.cmd != RUN + name:
            as_dvc_does(stage, dry=dry, run_env=run_env)
            return
        running.logger.info("Running stage '%s':\n> %s", stage.addressing, stage.cmd)
        if code := Fork(partial(run, name)).wait():
            raise StageCmdFailedError(stage.cmd, code)

    running.cmd_run = cmd_run
    return main(root, ("--wait-for-lock", "repro", "--single-item", *stages))
