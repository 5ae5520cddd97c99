"""Alerts to people: one signed POST. Tasks that failed and arrivals that are not ordinary are told the same way."""

import hashlib
import hmac
import json
import logging
import os
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

SIGNATURE = "X-Firstlight-Signature"
TIMEOUT_S = 10.0


def send(alert: Mapping[str, Any]) -> bool:
    """POST an alert as JSON to RECSYS_ALERT_URL, signed with RECSYS_ALERT_KEY.

    Header X-Firstlight-Signature: `sha256=` and the HMAC-SHA256 of the body, in hex. The alert should carry `sent_at`,
    so that a receiver can refuse old ones.

    Args:
        alert: what JSON can hold.

    Returns:
        Whether it was sent: nothing is without an address, or without a key.

    Raises:
        OSError: the receiver is out of reach, or refuses it.
    """
    url, key = os.environ.get("RECSYS_ALERT_URL"), os.environ.get("RECSYS_ALERT_KEY")
    if not url:
        return False
    if not key:
        log.error("no alert sent: RECSYS_ALERT_KEY is not set, and an unsigned alert proves nothing")
        return False
    body = json.dumps(alert).encode()
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", SIGNATURE: f"sha256={signature}"}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
        log.info(
            "sent an alert to %s: HTTP %s", urlsplit(url).hostname, reply.status
        )  # the path of a webhook is a secret
    return True
