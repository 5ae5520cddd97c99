"""Verify that a webhook delivery comes from MLflow.

MLflow signs as Standard Webhooks does (https://www.standardwebhooks.com): HMAC-SHA256 with the shared secret over
`<delivery id>.<timestamp>.<body>`. A delivery only wakes its receiver, which then reads the registry itself.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recsys.errors import WebhookRefused
from recsys.registry.mlflow import CHAMPION, MODEL

TOLERANCE_S = 300
"""How far a delivery's timestamp may differ from the clock. An older one may be a replay."""
SIGNATURE, TIMESTAMP, DELIVERY = "x-mlflow-signature", "x-mlflow-timestamp", "x-mlflow-delivery-id"
DELIVERY_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True)
class Delivery:
    """A delivery with a valid signature."""

    id: str
    """Unique per delivery; a repeated id is a replay or MLflow's own retry."""
    entity: str
    action: str
    data: Mapping[str, Any]

    def moves_champion(self, model: str = MODEL) -> bool:
        """Whether it reports that the model's alias `champion` was set or removed."""
        found = (self.entity, self.data.get("name"), self.data.get("alias"))
        return found == ("model_version_alias", model, CHAMPION)


def verify(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> Delivery:
    """Read a delivery, if MLflow signed it recently with the secret.

    Args:
        headers: of the request; the case of names does not matter.
        body: the request's bytes.
        secret: shared with MLflow.
        now: seconds since 1970.

    Returns:
        The delivery. The caller must refuse an id that was used before.

    Raises:
        WebhookRefused: it is unsigned, forged, altered, too old or too new, or cannot be parsed.
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
        message = json.loads(body)
        return Delivery(delivery, str(message["entity"]), str(message["action"]), dict(message["data"]))
    except (ValueError, KeyError, TypeError) as error:
        raise WebhookRefused(f"the delivery cannot be read: {error!r}") from error
