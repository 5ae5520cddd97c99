"""Look up an alias in MLflow by one HTTP request. Most runs need no more, and importing mlflow takes 4 s."""

import base64
import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from recsys.errors import ConfigError, RegistryError, RegistryUnreachable
from recsys.storage.address import web_address

TIMEOUT_S = 10.0
# MLflow's error codes where a model, or an alias of a model, does not exist.
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


def version_at(uri: str, model: str, alias: str) -> dict[str, Any] | None:
    """Find the version that has an alias.

    Args:
        uri: address of the MLflow server, http:// or https://.
        model: registered model name.
        alias: such as champion.

    Returns:
        The version as MLflow's REST API describes it, or None where no version has the alias.

    Raises:
        RegistryError: the address is not that of a server.
        RegistryUnreachable: the server is out of reach, refuses the credentials, or is not MLflow.
    """
    uri = server_address(uri)
    query = urllib.parse.urlencode({"name": model, "alias": alias})
    address = f"{without_credentials(uri).rstrip('/')}/api/2.0/mlflow/registered-models/alias?{query}"
    request = urllib.request.Request(address, headers=_credentials(uri))
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
            version: dict[str, Any] = json.load(reply)["model_version"]
            return version
    except urllib.error.HTTPError as error:
        words = error.read().decode(errors="replace")
        if _error_code(words) in UNKNOWN and "not found" in words:
            return None
        raise unreachable(uri, f"HTTP {error.code} {words[:300]}") from error
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        raise unreachable(uri, str(error)) from error


def server_address(uri: str) -> str:
    """The address of an MLflow server, stripped of blanks.

    Args:
        uri: the value of MLFLOW_TRACKING_URI.

    Returns:
        The address.

    Raises:
        RegistryError: it is not the address of a server.
    """
    try:
        return web_address(uri, "MLFLOW_TRACKING_URI")
    except ConfigError as error:
        raise RegistryError(str(error).partition("\n")[0], remedy=error.remedy) from error


def unreachable(uri: str, words: str) -> RegistryUnreachable:
    """The error for a registry that cannot be used at the moment."""
    remedy = "start MLflow or correct MLFLOW_TRACKING_URI and its credentials; `recsys doctor` checks them"
    shown = without_credentials(uri)  # MLflow's message may repeat the address
    return RegistryUnreachable(f"MLflow at {shown}: {words.replace(uri.rstrip('/'), shown)}", remedy=remedy)


def without_credentials(uri: str) -> str:
    """An address without user and password, so that it can be shown."""
    parts = urllib.parse.urlsplit(uri)
    return uri.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1) if "@" in parts.netloc else uri


def _credentials(uri: str) -> dict[str, str]:
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    parts = urllib.parse.urlsplit(uri)
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or urllib.parse.unquote(parts.username or "")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or urllib.parse.unquote(parts.password or "")
    if user:
        pair = f"{user}:{password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _error_code(words: str) -> str:
    try:
        return str(json.loads(words).get("error_code", ""))
    except (ValueError, AttributeError):
        return ""
