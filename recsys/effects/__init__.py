"""Effects: what a command does beyond making files from files. The command line parses, calls one of these and prints.

An effect changes the world (landed files, the registry, the release store, workspaces) or tells how it is. It is no DVC
stage, and safe to run twice. A module here puts rooms together; an effect that needs one room alone lives in that room.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

# command -> where its function is: module, name; loaded when it is called
EFFECTS: dict[str, tuple[str, str]] = {
    "ingest": ("recsys.effects.ingest", "ingest"),
    "quarantine retry": ("recsys.catalogue.quarantine", "land_again"),
    "fetch-champion": ("recsys.effects.fetch_champion", "fetch_champion"),
    "due": ("recsys.effects.due", "training_due"),
    "register": ("recsys.registry.promote", "register"),
    "promote": ("recsys.registry.promote", "promote"),
    "champion": ("recsys.effects.champion", "compare_champion"),
    "webhook": ("recsys.registry.webhook", "subscribe"),
    "workspace make": ("recsys.effects.workspaces", "make_workspace"),
    "workspace finish": ("recsys.effects.workspaces", "finish_workspace"),
    "catch-up": ("recsys.effects.catch_up", "catch_up"),
    "publish": ("recsys.publishing.publish", "publish"),
    "rollback": ("recsys.publishing.pointing", "rollback"),
    "resume": ("recsys.publishing.pointing", "resume"),
    "collect": ("recsys.publishing.collect", "collect"),
    "compact": ("recsys.effects.ingest", "compact"),
    "restore": ("recsys.publishing.restore", "restore"),
    "keys make": ("recsys.publishing.signing", "make_pair"),
    "status": ("recsys.effects.status", "find_status"),
    "doctor": ("recsys.effects.doctor", "examine"),
}


def effect(name: str) -> Callable[..., Any]:
    """The function behind an effect's name.

    Args:
        name: a key of EFFECTS.

    Returns:
        The function; its module is imported now.
    """
    module, function = EFFECTS[name]
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
