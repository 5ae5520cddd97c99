"""Access control: API keys with scopes.

A file holds the keys, as SHA-256 only: `{"keys": [{"name": "shop", "sha256": "…", "scopes": ["read", "feedback"]}]}`.
`recsys api-key NAME --scope read` makes one. Without a file the service answers everybody, and only on this machine.
"""

import hashlib
import hmac
import ipaddress
import json
import secrets
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from recsys.errors import ConfigError
from recsys.storage.atomic import write_whole
from recsys.storage.names import Sha256

Scope = Literal["read", "feedback", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "feedback", "admin")
VARIABLE = "RECSYS_API_KEYS"


class ApiKey(BaseModel):
    """One key, without the key itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: Sha256
    scopes: tuple[Scope, ...]


class ApiKeys(BaseModel):
    """The file of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[ApiKey, ...] = ()

    @classmethod
    def load(cls, path: Path) -> "ApiKeys":
        """Read the file.

        Args:
            path: where it lies.

        Returns:
            The keys.

        Raises:
            ConfigError: it is missing or damaged, or holds no key.
        """
        remedy = f"recsys api-key NAME --to {path} makes one"
        try:
            found = cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ConfigError(f"{path} does not exist", remedy=remedy) from error
        except ValidationError as error:
            fault = error.errors()[0]
            raise ConfigError(
                f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}", remedy=remedy
            ) from error
        if not found.keys:
            raise ConfigError(f"{path} holds no key, so nobody could ask", remedy=remedy)
        return found

    def find(self, key: str) -> ApiKey | None:
        """Whose key this is; takes as long for a wrong one as for a right one."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        matching = [one for one in self.keys if hmac.compare_digest(one.sha256, digest)]
        return matching[0] if matching else None


def add_key(path: Path, name: str, scopes: Iterable[Scope]) -> str:
    """Make a key and add it to the file; a name that is there gets a new key.

    Args:
        path: the file; made where there is none.
        name: who will use it.
        scopes: what it allows.

    Returns:
        The key. It is not kept anywhere.

    Raises:
        ConfigError: the file is damaged.
    """
    known = ApiKeys.load(path).keys if path.exists() else ()
    key = secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    made = ApiKey(name=name, sha256=digest, scopes=tuple(dict.fromkeys(scopes)))
    kept = ApiKeys(keys=(*(one for one in known if one.name != name), made))
    write_whole(path, (json.dumps(kept.model_dump(mode="json"), indent=1) + "\n").encode())
    return key


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own.

    Args:
        host: without a port, such as localhost, 127.0.0.1 or ::1.

    Returns:
        False for any other name, whatever it resolves to.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name in a Host header, without its port.

    Args:
        header: such as `localhost:8700` or `[::1]:8700`.

    Returns:
        Such as localhost or ::1.
    """
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]
