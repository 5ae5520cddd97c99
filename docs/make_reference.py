"""Write docs/reference.md from the code: every key of params.yaml with bounds and meaning, every command with its help.

Run `make reference` after changing a Params class or a command; a test fails when the page is stale.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from click.testing import CliRunner
from pydantic.fields import FieldInfo

from recsys.cli import COMMANDS, main
from recsys.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference.md"
WIDTH = 120

ENVIRONMENT = """\
| variable | meaning |
|---|---|
| `RECSYS_WORKSPACE` | the folder with `params.yaml`, `dvc.yaml`, `data.dvc`; default: the current one |
| `RECSYS_LANDING` | landing zone: folder or `s3://bucket/prefix` with `catalogue/`, `interactions/` below |
| `RECSYS_STORE` | release store: a folder or `s3://bucket/prefix` |
| `RECSYS_PSEUDONYM_KEY` | secret key (16 characters or more) that turns user ids into pseudonyms; do not lose it |
| `RECSYS_SIGNING_KEY` | private Ed25519 key (PEM, base64, or a file) that signs releases; only where one publishes |
| `RECSYS_VERIFY_KEY` | public keys, several while one is replaced; with it nothing unsigned is read |
| `RECSYS_CACHE` | caches, may be shared; default: `var/cache`, for readers `~/.cache/firstlight` |
| `RECSYS_WORKSPACES` | where Airflow makes workspaces for one run each; default: `var/workspaces` |
| `RECSYS_STATE` | a folder or `s3://bucket/prefix` that holds the workspaces of workers that share no disk |
| `RECSYS_WEBHOOK_SECRET` | secret shared by MLflow and Airflow's api-server, for signed notices of a new champion |
| `RECSYS_ALERT_URL`, `RECSYS_ALERT_KEY` | where a task that failed for good is POSTed to, and the key that signs it |
| `RECSYS_WHO` | who moves the pointer or an alias, or accepts a batch; default: the login name; Airflow: its run |
| `RECSYS_CODE_COMMIT` | commit of the code, where there is no `.git`; set in the images |
| `RAY_ADDRESS` | with `profiles.engine: ray`: the cluster that this machine has joined (`host:port`) |
| `MLFLOW_TRACKING_URI` | the registry (`http://…`); without it the pretrained encoder is used |
| `MLFLOW_TRACKING_USERNAME`, `MLFLOW_TRACKING_PASSWORD`, `MLFLOW_TRACKING_TOKEN` | its credentials |
| `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_DEFAULT_REGION` | S3, as boto3 reads them |
"""


LIMITS = {"gt": "above {}", "ge": "at least {}", "lt": "below {}", "le": "at most {}"}
LENGTHS = {"min_length": "at least {} long", "max_length": "at most {} long"}
TYPES = {"float": "number", "int": "whole number", "bool": "true or false", "str": "text"} | {
    "tuple": "list",
    "dict": "map",
}


def bounds(field: FieldInfo) -> str:
    """A field's type and bounds, in words."""
    return ", ".join([*_type(field.annotation), *_limits(field.metadata)])


def _type(annotation: Any) -> list[str]:  # noqa: ANN401  any type
    if get_origin(annotation) is Literal:
        return [" or ".join(f"`{value}`" for value in get_args(annotation))]
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        kinds = [word for one in get_args(annotation) if one is not NoneType for word in _type(one)]
        return [" or ".join([*kinds, "null"] if NoneType in get_args(annotation) else kinds)]
    name = getattr(get_origin(annotation) or annotation, "__name__", str(annotation))
    return [TYPES.get(name, name)]


def _limits(metadata: Iterable[object]) -> list[str]:
    found = []
    for limit in metadata:
        for name, words in (LIMITS | LENGTHS).items():
            if (value := getattr(limit, name, None)) is not None:
                found.append(words.format(f"{value:g}" if isinstance(value, float) else value))
    return found


def params_list(section: str, values: dict[str, Any]) -> str:
    """One section of params.yaml as a list: key, type and bounds, committed value, meaning."""
    lines = []
    for name, field in Settings.model_fields[section].annotation.model_fields.items():
        value = json.dumps(values[name], ensure_ascii=False)
        meaning = (field.description or "").replace("\n", " ")
        lines += _wrapped(f"- **`{section}.{name}`** = `{value}` ({bounds(field)}). {meaning}")
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def command_help(path: list[str], command: click.Command) -> str:
    """A command's help, and that of its subcommands."""
    text = CliRunner().invoke(main, [*path, "--help"], prog_name="recsys", terminal_width=100).output.rstrip()
    blocks = [f"### recsys {' '.join(path)}\n\n```\n{text}\n```\n"]
    for name, child in getattr(command, "commands", {}).items():
        blocks.append(command_help([*path, name], child))
    return "\n".join(blocks)


def page() -> str:
    """The whole reference."""
    params = Settings.load(ROOT / "params.yaml").model_dump(mode="json")
    blocks = ["# Reference", "", "Made by `make reference` from the code; do not edit by hand.", ""]
    blocks += [
        "## params.yaml",
        "",
        "Each key with its committed value, its type and bounds, and its meaning.",
        "",
    ]
    for section in Settings.model_fields:
        blocks += [f"### {section}", "", params_list(section, params[section]), ""]
    blocks += ["## Environment", "", "Secrets and addresses; none of them changes a result.", "", ENVIRONMENT]
    blocks += ["## Commands", "", "`recsys …` and `python -m recsys …` are the same.", ""]
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        if command is not None:
            blocks.append(command_help([name], command))
    return "\n".join(blocks)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
