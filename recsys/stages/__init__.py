"""Stages: read files, call a room, write files. STAGES maps a stage's one name to the module that runs it."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from recsys.artifacts import Artifacts

if TYPE_CHECKING:
    from recsys.settings import Settings

# name -> (module, keyword arguments of its run); modules are imported when run: torch-free until then
STAGES: dict[str, tuple[str, dict[str, str]]] = {
    "validate": ("validate", {}),
    "split": ("split", {}),
    "images": ("images", {}),
    "features": ("features", {}),
    "profiles@champion": ("profiles", {"role": "champion"}),
    "profiles@challenger": ("profiles", {"role": "challenger"}),
    "users": ("users", {}),
    "finetune": ("finetune", {}),
    "evaluate": ("evaluate", {}),
    "gate": ("gate", {}),
    "index": ("index", {}),
    "monitor": ("monitor", {}),
}

FAST_LOOP = ("validate", "images", "features", "profiles@champion", "users", "index")
"""What every arrival runs. None of them takes or makes a pandas frame."""


def stage(name: str) -> "Callable[[Settings, Artifacts], None]":
    """The function behind a stage's name; takes settings and the workspace's paths."""
    module, arguments = STAGES[name]
    run: Callable[[Settings, Artifacts], None] = partial(
        import_module(f"recsys.stages.{module}").run, **arguments
    )
    return run
