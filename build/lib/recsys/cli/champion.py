"""Commands `champion` and `webhook`: whether the registry's champion is published, and who is told when it changes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.context import console, print_json, registry_address, required, store
from recsys.cli.release import SKIPPED, json_option, store_option
from recsys.errors import RegistryError

if TYPE_CHECKING:
    from recsys.publishing.release import Manifest


@click.command()
@click.option("--skip-code", is_flag=True, help=f"Exit {SKIPPED} when the champion is the published model.")
@store_option
@json_option
def champion(skip_code: bool, store_url: str | None, as_json: bool) -> None:
    """Say whether the registry's champion is the model of the newest release.

    Where it is not, the change of the alias is written into the ledger (`by hand` where no command of Firstlight made
    it), and `publish_champion` has work to do. A version that Firstlight did not register is an error: nothing changes.
    Without MLFLOW_TRACKING_URI, or before the first release, there is nothing to compare.
    """
    from recsys.publishing.store import ReleaseStore

    releases = ReleaseStore(store(store_url))
    pointer = releases.pointer()
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri or not pointer:
        missing = "MLFLOW_TRACKING_URI is not set" if pointer else "nothing has been published yet"
        console().print(f"{missing}: nothing to compare", highlight=False)
        said: dict[str, Any] = {"to_publish": False}
    else:
        said = _compared(uri, releases.manifest(pointer.current.head))
    if as_json:
        print_json(said)
    if skip_code and not said["to_publish"]:
        raise SystemExit(SKIPPED)


def _compared(uri: str, head: Manifest) -> dict[str, Any]:
    """The registry's champion beside the newest release; a difference is put on record."""
    from recsys.registry.ledger import entries
    from recsys.registry.mlflow import champion as registered

    found = registered(uri)
    if found is None:
        remedy = "give the alias to a version in MLflow's page; `recsys ledger` lists those that had it"
        raise RegistryError(
            "no version of item-encoder is champion; the published encoder stays", remedy=remedy
        )
    differs = found.hash != head.model.hash
    if differs:
        entries(uri)
    is_it = "is not" if differs else "is"
    words = f"champion version {found.version}, model {found.hash[:10]}, {is_it} that of release {head.id}"
    console().print(words, highlight=False, markup=False)
    return {
        "version": found.version,
        "encoder_hash": found.hash,
        "release": head.id,
        "published_hash": head.model.hash,
        "to_publish": differs,
    }


@click.command()
@click.argument("url")
@json_option
def webhook(url: str, as_json: bool) -> None:
    """Have MLflow tell URL of every change of an alias, signed with RECSYS_WEBHOOK_SECRET.

    URL is Airflow's address as MLflow reaches it, and /recsys/champion. Safe to repeat: there is one webhook, brought
    up to date and tried with a test delivery. MLflow needs MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY; to reach a private
    address also MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true, and for http:// MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https.
    """
    from recsys.registry.webhook import subscribe

    secret = required("RECSYS_WEBHOOK_SECRET", "shared by MLflow and Airflow, 16 characters or more")
    done = subscribe(registry_address(), url, secret)
    console().print(
        f"MLflow {'tells' if done.made else 'goes on telling'} {done.url} of every change of an alias",
        highlight=False,
        markup=False,
    )
    if as_json:
        print_json({"id": done.id, "url": done.url, "made": done.made, "answered": done.answered or None})
    if done.answered:
        remedy = "start Airflow with RECSYS_WEBHOOK_SECRET set to the same, and check the address from MLflow's machine"
        raise RegistryError(
            f"the receiver did not take MLflow's test delivery: {done.answered}", remedy=remedy
        )
