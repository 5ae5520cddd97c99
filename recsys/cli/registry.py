"""Command `fetch-champion`."""

import os
from functools import partial

import click
from rich.markup import escape

from recsys.artifacts import Artifacts
from recsys.cli.context import console, print_json, settings, workspace
from recsys.settings import Settings


@click.command("fetch-champion")
@click.option("--json", "as_json", is_flag=True, help="Print the encoder's reference as JSON.")
def fetch_champion(as_json: bool) -> None:
    """Bring the champion, the encoder that makes the published profiles, into this workspace.

    With MLFLOW_TRACKING_URI set: the version that has the alias `champion`; where no version exists yet, the pretrained
    encoder of params.yaml is registered and becomes champion (first light). When MLflow is down, the champion fetched
    last is used. Without MLFLOW_TRACKING_URI: the pretrained encoder, packed here.
    """
    from recsys.registry import Pretrained, record_of
    from recsys.registry import fetch_champion as fetch

    at, chosen = workspace(), settings()
    pretrained = Pretrained(chosen.encoder, partial(calibration_texts, at, chosen), partial(record_of, at))
    fetched = fetch(os.environ.get("MLFLOW_TRACKING_URI"), at, pretrained)
    if fetched.warning:
        console.print(f"[bold yellow]warning:[/] {escape(fetched.warning)}", highlight=False)
    console.print(f"champion: {fetched.how}", highlight=False, markup=False)
    if as_json:
        print_json(fetched.reference.model_dump(mode="json"))


def calibration_texts(at: Artifacts, chosen: Settings) -> list[str]:
    """Every text of the catalogue: what an int8 encoder draws its scales from."""
    from recsys.catalogue.parts import CATALOGUE, list_parts
    from recsys.features.text import item_texts

    parts = list_parts(at.data, CATALOGUE)
    texts = (text for part in parts for text in item_texts(part.rows(), chosen.features)["text"].to_pylist())
    return [text for text in texts if text]
