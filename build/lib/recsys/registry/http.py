"""Ask an MLflow server who the champion is by one HTTP request: importing mlflow takes 4 s, most runs need no more."""

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
# What MLflow answers where a model, or an alias of a model, does not exist.
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


def version_at(uri: str, model: str, alias: str) -> dict[str, Any] | None:
    """The model version behind an alias.

    Args:
        uri: address of the MLflow server, http:// or https://.
        model: registered model name.
        alias: such as champion.

    Returns:
        What MLflow's REST API says of the version, or None where nothing has the alias.

    Raises:
        RegistryError: the address is not one of a server.
        RegistryUnreachable: the server is out of reach, refuses the credentials or does not speak MLflow.
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
    """The address of an MLflow server, without blanks around it.

    Args:
        uri: as MLFLOW_TRACKING_URI has it.

    Returns:
        The address.

    Raises:
        RegistryError: it is not one of a server.
    """
    try:
        return web_address(uri, "MLFLOW_TRACKING_URI")
    except ConfigError as error:
        raise RegistryError(str(error).partition("\n")[0], remedy=error.remedy) from error


def unreachable(uri: str, words: str) -> RegistryUnreachable:
    """The error for a registry that cannot be used now."""
    remedy = "start MLflow or correct MLFLOW_TRACKING_URI and its credentials; `recsys doctor` checks them"
    shown = without_credentials(uri)  # MLflow's own words may repeat the address
    return RegistryUnreachable(f"MLflow at {shown}: {words.replace(uri.rstrip('/'), shown)}", remedy=remedy)


def without_credentials(uri: str) -> str:
    """An address as it may be shown: user and password left out."""
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
