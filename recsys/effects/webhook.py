"""Effect `webhook`: have MLflow report every change of an alias to Airflow."""

from dataclasses import dataclass

from recsys.errors import RegistryError
from recsys.registry.runs import connect

NAME = "firstlight-champion"
"""The webhook's name in MLflow. A repeated call finds the webhook by it."""
ALIAS_EVENTS = ("model_version_alias.created", "model_version_alias.deleted")
MIN_SECRET = 16
"""Characters."""


@dataclass(frozen=True)
class Subscription:
    """A webhook in MLflow, and the result of its test delivery."""

    id: str
    url: str
    made: bool
    """True where it is new, False where an existing one was updated."""
    answered: str
    """The receiver's error for the test delivery; empty where the receiver accepted it."""


def webhook(uri: str, address: str, secret: str) -> Subscription:
    """Create MLflow's webhook for changes of aliases, or update the existing one; then send a test delivery.

    Args:
        uri: MLflow's address.
        address: where the deliveries go: Airflow's address and /recsys/champion.
        secret: signs the deliveries; it replaces an earlier one.

    Returns:
        The webhook, and what its receiver answered to the test delivery.

    Raises:
        RegistryError: the secret is too short.
        RegistryUnreachable: MLflow is out of reach, or refuses the address.
    """
    if len(secret) < MIN_SECRET:
        raise RegistryError(
            f"the webhook's secret has fewer than {MIN_SECRET} characters",
            remedy="python3 -c 'import secrets; print(secrets.token_hex(32))'",
        )
    wanted = {"url": address, "events": list(ALIAS_EVENTS), "secret": secret, "status": "ACTIVE"}
    with connect(uri) as client:
        existing = [one.webhook_id for one in client.list_webhooks(max_results=100) if one.name == NAME]
        for double in existing[1:]:  # made by two calls at the same moment
            client.delete_webhook(double)
        if existing:
            client.update_webhook(existing[0], **wanted)
            hook = existing[0]
        else:
            hook = client.create_webhook(NAME, description="wakes publish_champion", **wanted).webhook_id
        delivery = client.test_webhook(hook)
    fault = delivery.error_message or f"HTTP {delivery.response_status} {str(delivery.response_body)[:200]}"
    return Subscription(hook, address, not existing, "" if delivery.success else fault)
