"""Effect `arrive`: from landed files to the current release, in forks of one process with all libraries imported."""

import gc
from collections.abc import Callable, Mapping, Sequence

from recsys import dvc, dvc_inside
from recsys.artifacts import Artifacts
from recsys.effects import fetch_champion, ingest, publish  # noqa: F401  imported once, for all steps
from recsys.processes import Fork

Step = Callable[[], int | None]
"""What a command does; returns its exit code, or raises SystemExit with it."""


def arrive(
    at: Artifacts, before: Sequence[Step], stages: Mapping[str, Callable[[], None]], after: Sequence[Step]
) -> int:
    """Run steps one after the other, each in a fork of this process. Safe to repeat and to kill, as each of them is.

    By hand, each step and stage is a new process, which imports the same libraries again: ten times in all.

    Args:
        at: the workspace.
        before: what makes the inputs of the stages: `ingest`, `fetch-champion`.
        stages: name in dvc.yaml -> what runs it; DVC skips those whose inputs have not changed.
        after: what makes a release of their outputs: `publish`.

    Returns:
        0, or the exit code of the first step that did not succeed; those after it did not run.
    """
    dvc_inside.load()
    gc.freeze()  # copies need not look through what was imported
    dvc.repair(at.root)

    def build() -> int:
        return dvc_inside.reproduce(at.root, tuple(stages), lambda name: stages[name]())

    if code := _run_all(before):
        return code
    _import_for_profiles()
    return _run_all((build, *after))


def _run_all(steps: Sequence[Step]) -> int:
    """Run steps in forks of this process until one fails; return its exit code, or 0."""
    for step in steps:
        if code := Fork(step).wait():
            return code if code > 0 else 128 - code  # a signal, as a shell tells it
    return 0


def _import_for_profiles() -> None:
    """Import what `profiles` and `publish` need to open a head. An arrival without new files ends before this."""
    from recsys.heads import headed  # noqa: F401

    gc.freeze()
