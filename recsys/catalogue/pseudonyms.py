"""Raw user ids become pseudonyms: HMAC-SHA256 under a key from the environment; one user, one pseudonym.

A check value of the key is stored in data/ and in every release. With another key no user would be recognised, so it is
refused.
"""

import hmac
import json
import os
import re
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from recsys.errors import RESTORE_DATA, ConfigError, RecsysError
from recsys.storage.atomic import write_whole

VARIABLE = "RECSYS_PSEUDONYM_KEY"
MIN_KEY_CHARS = 16
MAKE_KEY = (
    f"export {VARIABLE}=$(openssl rand -hex 32) once, and keep it: with another key no user is recognised"
)
PSEUDONYM_CHARS = 32
KNOWN_KEPT = 100_000
"""So many results are cached at most: the service is asked for any id, for weeks."""
PSEUDONYM_FORM = re.compile(rf"[0-9a-f]{{{PSEUDONYM_CHARS}}}")
_BLANK = " \t\r\n\v\f\ufeff\u00a0\u200b"
"""What editors, `echo` and secret stores add around a key."""


class NamesUsers(Protocol):
    """Maps user ids to the names that are stored."""

    def of(self, user_id: str) -> str:
        """The stored name of a user id."""

    def is_signed(self, pseudonym: str, signature: str) -> bool:
        """Whether a row may carry such a name itself."""


class UsersAsGiven:
    """Leaves user ids as they are: for files that never enter data/, such as those of a person's own benchmark."""

    def of(self, user_id: str) -> str:
        """The id itself."""
        return user_id

    def is_signed(self, pseudonym: str, signature: str) -> bool:
        """No: there is no key to sign with."""
        return False


class Pseudonyms:
    """Turns user ids into pseudonyms; holds the trimmed key and caches results."""

    def __init__(self, key: str) -> None:
        key = trimmed(key)
        if len(key) < MIN_KEY_CHARS:
            raise ConfigError(
                f"{VARIABLE} has {len(key)} characters, at least {MIN_KEY_CHARS} are needed",
                remedy=MAKE_KEY,
            )
        self._key = key.encode("utf-8", "surrogateescape")
        self._known: dict[str, str] = {}

    def of(self, user_id: str) -> str:
        """32 hex characters that stand for the user."""
        found = self._known.get(user_id)
        if found is None:
            if len(self._known) >= KNOWN_KEPT:
                self._known.clear()
            found = self._known[user_id] = self._digest(f"user:{user_id}")
        return found

    def signature(self, pseudonym: str) -> str:
        """Proof that a pseudonym was made here; retried rows carry it."""
        return self._digest(f"retry:{pseudonym}")

    def is_signed(self, pseudonym: str, signature: str) -> bool:
        """Whether the signature belongs to the pseudonym."""
        expected = self.signature(pseudonym).encode()
        return hmac.compare_digest(expected, signature.encode("utf-8", "surrogatepass"))

    @cached_property
    def key_check(self) -> str:
        """32 hex characters that identify this key without revealing it; not the pseudonym of any user."""
        return self._digest("key check")

    def require_check(self, known: str | None, where: str) -> None:
        """Refuse a key other than the one that `known` was made with.

        Args:
            known: a check value; None (nothing is known yet) fits every key.
            where: what was made with that key, for the message.

        Raises:
            ConfigError: the keys differ.
        """
        if known is not None and not hmac.compare_digest(known.encode(), self.key_check.encode()):
            raise ConfigError(
                f"{VARIABLE} is not the key that made the pseudonyms of {where}: "
                "no known user would be recognised",
                remedy=f"set {VARIABLE} to the earlier key; if that is lost, start with a new workspace and a "
                "new store, and land the interactions again",
            )

    @property
    def noise_secret(self) -> bytes:
        """32 bytes from which noise is made that nobody without the key can take off; nothing else is made of them."""
        return hmac.digest(self._key, b"noise", sha256)

    def _digest(self, text: str) -> str:
        digest = hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), sha256)
        return digest.hex()[:PSEUDONYM_CHARS]


def trimmed(key: str) -> str:
    """The key without the blanks and line ends around it."""
    return key.strip(_BLANK)


def pseudonym_key() -> str:
    """The key from the environment.

    Returns:
        RECSYS_PSEUDONYM_KEY, trimmed.

    Raises:
        ConfigError: it is not set.
    """
    key = trimmed(os.environ.get(VARIABLE, ""))
    if not key:
        remedy = MAKE_KEY
        raise ConfigError(f"{VARIABLE} is not set", remedy=remedy)
    return key


def known_check(record: Path) -> str | None:
    """The check value of the key behind a workspace's interactions.

    Args:
        record: `Artifacts.pseudonyms`.

    Returns:
        The value; None where no interaction has been accepted, or only by a version that wrote none.

    Raises:
        RecsysError: the record is damaged.
    """
    try:
        found: object = json.loads(record.read_bytes())["key_check"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise RecsysError(f"{record} is damaged", remedy=RESTORE_DATA) from error
    return str(found)


def require_same_key(record: Path, pseudonyms: Pseudonyms) -> None:
    """Refuse a key other than the one behind a workspace's interactions.

    Args:
        record: `Artifacts.pseudonyms`.
        pseudonyms: hold the current key.

    Raises:
        ConfigError: it is another key.
        RecsysError: the record is damaged.
    """
    pseudonyms.require_check(known_check(record), f"{record.parent}")


def remember_key(record: Path, pseudonyms: Pseudonyms) -> None:
    """Store the key's check value; call it before the first interactions are accepted. Safe to repeat.

    Args:
        record: `Artifacts.pseudonyms`.
        pseudonyms: hold the key.
    """
    write_whole(record, (json.dumps({"key_check": pseudonyms.key_check}) + "\n").encode())
