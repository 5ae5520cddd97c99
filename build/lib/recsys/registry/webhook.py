"""MLflow's webhooks: ask for one, and tell a delivery of MLflow's from anybody else's.

MLflow signs as Standard Webhooks does (https://www.standardwebhooks.com): HMAC-SHA256 with the shared secret over
`<delivery id>.<timestamp>.<body>`. A delivery is only a wake-up: whoever gets it looks in the registry by itself.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recsys.errors import RegistryError, WebhookRefused
from recsys.registry.mlflow import CHAMPION, MODEL
from recsys.registry.runs import connect

NAME = "firstlight-champion"
"""The webhook's name in MLflow, by which a repeated call finds it again."""
ALIAS_EVENTS = ("model_version_alias.created", "model_version_alias.deleted")
TOLERANCE_S = 300
"""How far a delivery's timestamp may lie from the clock: an older one may be a replay."""
SIGNATURE, TIMESTAMP, DELIVERY = "x-mlflow-signature", "x-mlflow-timestamp", "x-mlflow-delivery-id"
DELIVERY_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
MIN_SECRET = 16


@dataclass(frozen=True)
class Delivery:
    """A delivery that MLflow signed."""

    id: str
    """Unique per delivery: the same id again is a replay, or MLflow's own retry."""
    entity: str
    action: str
    data: Mapping[str, Any]

    def moves_champion(self, model: str = MODEL) -> bool:
        """Whether it tells that the alias `champion` of the model was given or taken away."""
        found = (self.entity, self.data.get("name"), self.data.get("alias"))
        return found == ("model_version_alias", model, CHAMPION)


@dataclass(frozen=True)
class Subscription:
    """A webhook in MLflow, and what came of trying it."""

    id: str
    url: str
    made: bool
    """Whether it was not there before."""
    answered: str
    """What the receiver said to MLflow's test delivery; empty: it took it."""


def verify(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> Delivery:
    """Read a delivery, if MLflow signed it with the secret just now.

    Args:
        headers: of the request; names in any case.
        body: the request's bytes.
        secret: what MLflow signs with.
        now: seconds since 1970.

    Returns:
        The delivery. Whether its id has come before is for the caller to know.

    Raises:
        WebhookRefused: it is unsigned, forged, altered, too old or too new, or says nothing that can be read.
    """
    given = {name.lower(): value for name, value in headers.items()}
    delivery, stamp = given.get(DELIVERY, ""), given.get(TIMESTAMP, "")
    signed = f"{delivery}.{stamp}.".encode() + body
    expected = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest())
    versions = [one.partition(",") for one in given.get(SIGNATURE, "").split(" ")]
    if not any(
        version == "v1" and hmac.compare_digest(value.encode(), expected) for version, _, value in versions
    ):
        raise WebhookRefused("the delivery is not signed with this secret")
    if not stamp.isascii() or not stamp.isdigit() or abs(now - int(stamp)) > TOLERANCE_S:
        raise WebhookRefused(f"the delivery's timestamp {stamp[:20]!r} is not of the last {TOLERANCE_S} s")
    if not DELIVERY_ID.fullmatch(delivery):
        raise WebhookRefused(f"the delivery's id {delivery[:100]!r} is none")
    try:
        told = json.loads(body)
        return Delivery(delivery, str(told["entity"]), str(told["action"]), dict(told["data"]))
    except (ValueError, KeyError, TypeError) as error:
        raise WebhookRefused(f"the delivery cannot be read: {error!r}") from error


def subscribe(uri: str, address: str, secret: str) -> Subscription:
    """Have MLflow tell `address` of every change of an alias, signed; repeated, it changes the webhook that is there.

    Args:
        uri: MLflow's address.
        address: where the deliveries go: Airflow's address and /recsys/champion.
        secret: what they are signed with; it replaces that of before.

    Returns:
        The webhook, and whether the receiver took a test delivery.

    Raises:
        RegistryError: the secret is too short.
        RegistryUnreachable: MLflow is out of reach, or refuses the address.
    """
    if len(secret) < MIN_SECRET:
        raise RegistryError(
            f"the webhook's secret has fewer than {MIN_SECRET} characters",
            remedy="python3 -c 'import secrets; print(secrets.token_hex(32))'",
        )
    with connect(uri) as client:
        same = [one.webhook_id for one in client.list_webhooks(max_results=100) if one.name == NAME]
        said = {"url": address, "events": list(ALIAS_EVENTS), "secret": secret, "status": "ACTIVE"}
        for double in same[1:]:  # two who subscribed at the same moment
            client.delete_webhook(double)
        if same:
            client.update_webhook(same[0], **said)
        hook = (
            same[0]
            if same
            else client.create_webhook(NAME, description="wakes publish_champion", **said).webhook_id
        )
        tried = client.test_webhook(hook)
    fault = tried.error_message or f"HTTP {tried.response_status} {str(tried.response_body)[:200]}"
    return Subscription(hook, address, not same, "" if tried.success else fault)
