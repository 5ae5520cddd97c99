"""Commands `champion` and `webhook`: whether the champion is published, and who is notified of a new one."""

from __future__ import annotations

import os
from typing import Any

import click

from recsys.cli.context import console, print_json, registry_address, required, store
from recsys.cli.options import json_option, store_option
from recsys.cli.release import SKIPPED
from recsys.errors import RegistryError


@click.command()
@click.option("--skip-code", is_flag=True, help=f"Exit {SKIPPED} when the champion is the published model.")
@store_option
@json_option
def champion(skip_code: bool, store_url: str | None, as_json: bool) -> None:
    """Check whether the registry's champion is the model of the newest release.

    If it is not, the change of the alias is recorded in the ledger (as `by hand` if no command of Firstlight made it),
    and `publish_champion` has work to do. A version that Firstlight did not register is an error.
    Without MLFLOW_TRACKING_URI, or before the first release, there is nothing to compare.
    """
    from recsys.effects.champion import champion as compare

    uri = os.environ.get("MLFLOW_TRACKING_URI")
    found = compare(uri, store(store_url))
    if found is None:
        missing = "nothing has been published yet" if uri else "MLFLOW_TRACKING_URI is not set"
        console().print(f"{missing}: nothing to compare", highlight=False)
        result: dict[str, Any] = {"to_publish": False}
    else:
        is_it = "is not" if found.to_publish else "is"
        champion_is = f"champion version {found.version}, model {found.model_hash[:10]}, {is_it}"
        console().print(f"{champion_is} that of release {found.release}", highlight=False, markup=False)
        result = {
            "version": found.version,
            "model_hash": found.model_hash,
            "release": found.release,
            "published_hash": found.published_hash,
            "to_publish": found.to_publish,
        }
    if as_json:
        print_json(result)
    if skip_code and not result["to_publish"]:
        raise SystemExit(SKIPPED)


@click.command()
@click.argument("url")
@json_option
def webhook(url: str, as_json: bool) -> None:
    """Have MLflow notify URL of every change of an alias, signed with RECSYS_WEBHOOK_SECRET.

    URL is Airflow's address as MLflow reaches it, followed by /recsys/champion. Safe to repeat: there is one webhook,
    which is updated and gets a test delivery. MLflow needs MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY; to reach a private
    address also MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true, and for http:// MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https.
    """
    from recsys.effects.webhook import webhook as subscribe

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
