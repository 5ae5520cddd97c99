"""What `pip install .` and each extra bring, in a fresh environment each: packages, size, and that they suffice.

uv takes packages from its cache where it can, in the versions of requirements.lock. Figures: packages and MiB of each;
the size of `train` is mostly that of the torch build that uv finds (UV_FIND_LINKS).
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.figures import ROOT, write_figures

RELEASE = ROOT / "tests/fixtures/releases/6/store"
TORCH = "torch==2.13.0"
READ = f"""
from recsys import Release
release = Release.open({str(RELEASE)!r}, cache='cache')
assert release.verify() and release.recommend(pseudonym=release.users[0]) and release.search('<b>ban</b> bel')
"""
SERVICE = "recsys.serving.service"
"""Its modules need the extra `serve`, all others at most `train`."""
IMPORT_ALL = f"""
import importlib, pkgutil, recsys
for module in pkgutil.walk_packages(recsys.__path__, 'recsys.'):
    if not module.name.endswith('__main__') and not module.name.startswith({SERVICE!r}):
        importlib.import_module(module.name)
import accelerate, dvc.repo, great_expectations, implicit, mlflow, nncf, peft, torch, transformers
"""
SERVE = f"""
import importlib, pkgutil, {SERVICE} as service
for module in pkgutil.iter_modules(service.__path__, {SERVICE!r} + '.'):
    importlib.import_module(module.name)
"""
SERVICES = "import airflow, mlflow.server, psycopg2, redis, flask_wtf"
CHECKS = "import codespell_lib, hypothesis, importlinter, mypy, pre_commit, pydoclint, pytest, ranx, xdist"


@dataclass(frozen=True)
class Environment:
    """One way to install, and what must work then."""

    name: str
    extra: str
    code: str
    absent: tuple[str, ...] = ()
    """Modules that it must not bring."""


ENVIRONMENTS = (
    Environment(
        "base", "", READ, ("torch", "airflow", "mlflow", "dvc", "great_expectations", "pandas", "pytest")
    ),
    Environment("train", "[train]", IMPORT_ALL, ("airflow", "pytest")),
    Environment("serve", "[serve]", SERVE, ("torch", "airflow", "mlflow", "dvc", "pandas", "pytest")),
    Environment("platform", "[platform]", SERVICES, ("pytest",)),
    Environment("dev", "[dev]", CHECKS, ("airflow",)),
)


def main() -> None:
    """Make each environment, try it, print and keep the figures."""
    argparse.ArgumentParser(
        prog="bench.packaging", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    figures: dict[str, float | int | str] = {}
    for one in ENVIRONMENTS:
        with tempfile.TemporaryDirectory(prefix="firstlight-packaging-") as folder:
            n_packages, size_mib = install_and_try(one, Path(folder))
        print(f"pip install .{one.extra}: {n_packages} packages, {size_mib:.0f} MiB, suffices", flush=True)
        figures |= {f"{one.name}_packages": n_packages, f"{one.name}_mib": round(size_mib)}
    write_figures("packaging", figures)


def install_and_try(one: Environment, folder: Path) -> tuple[int, float]:
    """Install into a fresh environment and run the code there.

    Args:
        one: what to install.
        folder: an empty folder.

    Returns:
        The number of packages and the size of the environment in MiB.

    Raises:
        RuntimeError: it cannot be installed, does not suffice, or brings what it must not.
    """
    python = folder / "venv/bin/python"
    (folder / "torch.txt").write_text(f"{TORCH}\n")
    run(["uv", "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], folder)
    install = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--python",
        str(python),
        "--constraint",
        str(folder / "torch.txt"),
    ]
    pins = (
        folder / "pins.txt"
    )  # versions alone: what is not in the lock, such as CUDA libraries, has no hash there
    pins.write_text("".join(f"{line.split()[0]}\n" for line in lock_lines()))
    run([*install, "--constraint", str(pins), f"{ROOT}{one.extra}"], folder)
    run([str(python), "-c", one.code], folder)
    for module in one.absent:
        found = subprocess.run(
            [python, "-c", f"import {module}"], cwd=folder, capture_output=True, check=False
        )
        if found.returncode == 0:
            raise RuntimeError(f"pip install .{one.extra} brings {module}")
    packages = list((folder / "venv").glob("lib/python3*/site-packages/*.dist-info"))
    files = (path for path in (folder / "venv").rglob("*") if path.is_file() and not path.is_symlink())
    return len(packages), sum(path.stat().st_size for path in files) / 2**20


def lock_lines() -> list[str]:
    """Lines of requirements.lock that name a package."""
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    return [line for line in lines if "==" in line and not line.startswith(" ")]


def run(command: list[str], folder: Path) -> None:
    """Run a command; its words are the error where it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "UV_LINK_MODE": "hardlink", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:300]}\n{done.stderr[-3000:]}")


if __name__ == "__main__":
    main()
