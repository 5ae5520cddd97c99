"""What commands need from their environment: workspace, settings, landing zone, store.

Every command module imports this one, and `recsys --help` imports every command module. So whatever is slow to import
(rich, pydantic, the settings) is imported where it is used.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.artifacts import Artifacts
from recsys.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from recsys.settings import Settings
    from recsys.state.sync import Sync
    from recsys.storage.protocol import Storage


@cache
def console() -> Console:
    """Progress and tables for people go to standard error; results for scripts go to standard output."""
    from rich.console import Console

    return Console(stderr=True, emoji=False)


# Control characters, halves of surrogate pairs, and what moves the cursor or turns the direction of writing.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def printable(value: object, keep: str = "") -> str:
    """Make a value that somebody else chose, such as an id or a file's name, safe to print on a terminal.

    Args:
        value: anything; its text is shown.
        keep: characters that stay although they are control characters, such as line ends of a message.

    Returns:
        The text as it is, control characters as escapes.
    """
    return _UNSAFE.sub(
        lambda found: found[0] if found[0] in keep else found[0].encode("unicode_escape").decode(), str(value)
    )


def shown(value: object) -> Text:
    """The same for rich's tables and lines: its brackets and colons are not read as markup or emoji.

    Args:
        value: anything.

    Returns:
        A text without styles.
    """
    from rich.text import Text

    return Text(printable(value), overflow="fold")


def workspace() -> Artifacts:
    """The workspace named by RECSYS_WORKSPACE, or the current folder."""
    return Artifacts(Path(os.environ.get("RECSYS_WORKSPACE") or ".").resolve())


def settings() -> Settings:
    """The workspace's params.yaml."""
    from recsys.settings import Settings

    return Settings.load(workspace().params)


def settings_or_shipped() -> Settings:
    """The workspace's params.yaml; without one, the params.yaml that is shipped with Firstlight."""
    from recsys.settings import Settings, shipped_params

    at = workspace().params
    return Settings.load(at if at.is_file() else shipped_params())


def required(variable: str, meaning: str) -> str:
    """An environment variable that must be set.

    Args:
        variable: its name.
        meaning: for the remedy.

    Returns:
        Its value.

    Raises:
        ConfigError: it is not set; says what it means.
    """
    value = os.environ.get(variable)
    if not value:
        raise ConfigError(f"{variable} is not set", remedy=f"export {variable}=… ({meaning})")
    return value


def landing() -> Storage:
    """The landing zone, RECSYS_LANDING."""
    from recsys.storage.opening import open_storage

    return open_storage(required("RECSYS_LANDING", "landing zone: a folder or s3://bucket/prefix"))


def registry_address() -> str:
    """The registry, MLFLOW_TRACKING_URI."""
    return required("MLFLOW_TRACKING_URI", "the registry: http://… of an MLflow server")


def store(url: str | None = None) -> Storage:
    """The release store: `url`, or RECSYS_STORE."""
    from recsys.storage.opening import open_storage

    return open_storage(url or required("RECSYS_STORE", "release store: a folder or s3://bucket/prefix"))


def state_storage() -> Storage | None:
    """Where states of workspaces are stored (RECSYS_STATE); None where all workers share a disk."""
    from recsys.storage.opening import open_storage

    url = os.environ.get("RECSYS_STATE")
    return open_storage(url) if url else None


def store_if_any() -> Storage | None:
    """The release store, RECSYS_STORE; None where it is not set."""
    return store() if os.environ.get("RECSYS_STORE") else None


def state_of_arrivals() -> Sync | None:
    """The state of this workspace, if workers share no disk and this is the workspace of arrivals."""
    storage, at = state_storage(), workspace()
    if storage is None:
        return None
    from recsys.effects.states import arrivals_state, is_of_a_run

    return None if is_of_a_run(at) else arrivals_state(storage, at)


def print_json(value: Any) -> None:  # noqa: ANN401  whatever JSON takes
    """Print a result for scripts: one JSON document on standard output, whatever bytes a file's name has."""
    text = json.dumps(value, indent=2, default=_as_json, ensure_ascii=False)
    click.echo(text.encode("utf-8", "backslashreplace"))


def _as_json(value: Any) -> Any:  # noqa: ANN401
    from pydantic import BaseModel

    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
