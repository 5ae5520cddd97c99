"""How a benchmark leaves its figures: var/bench/<name>.json, with the command, commit and machine that gave them."""

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from recsys.processor import processor

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
JUDGE = ROOT.parent / "shared" / "judge" / "score.py"


def machine() -> str:
    """Processor with its features, cores and memory of this machine, in words."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor()}, {memory_gb:.0f} GiB, Python {platform.python_version()}"


@cache
def commit() -> str:
    """Commit of the code that runs, `-dirty` where it has changes; the pages that benchmarks write are no code."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    is_dirty = bool(git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"))
    return git("describe", "--always") + ("-dirty" if is_dirty else "")


def write_figures(name: str, figures: Mapping[str, float | int | str]) -> Path:
    """Write var/bench/<name>.json, atomically, and say where."""
    target = ROOT / "var" / "bench" / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "name": name,
        "command": f"make bench-{name}",
        "commit": commit(),
        "machine": machine(),
        "figures": figures,
    }
    temporary = target.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=2) + "\n")
    temporary.replace(target)
    print(f"figures: {target.relative_to(ROOT)}")
    return target


def explain(docstring: str | None) -> None:
    """Let a benchmark without options answer --help with its docstring, and refuse any other argument."""
    form = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=docstring, formatter_class=form).parse_args()
