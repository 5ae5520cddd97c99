"""Raw user ids end here: HMAC-SHA256 under a key from the environment, the same user always the same pseudonym."""

import hmac
import os
from hashlib import sha256

from recsys.errors import ConfigError

VARIABLE = "RECSYS_PSEUDONYM_KEY"
MIN_KEY_CHARS = 16
PSEUDONYM_CHARS = 32


class Pseudonyms:
    """Turns user ids into pseudonyms; holds the key and what it has computed."""

    def __init__(self, key: str) -> None:
        if len(key) < MIN_KEY_CHARS:
            raise ConfigError(
                f"{VARIABLE} has {len(key)} characters, at least {MIN_KEY_CHARS} are needed",
                remedy=f"export {VARIABLE}=$(openssl rand -hex 32) once, and keep it: another key is another user",
            )
        self._key = key.encode()
        self._known: dict[str, str] = {}

    def of(self, user_id: str) -> str:
        """32 hex characters that stand for the user."""
        found = self._known.get(user_id)
        if found is None:
            found = self._known[user_id] = self._digest(f"user:{user_id}")
        return found

    def signature(self, pseudonym: str) -> str:
        """Proof that a pseudonym was made here; retried rows carry it."""
        return self._digest(f"retry:{pseudonym}")

    def is_signed(self, pseudonym: str, signature: str) -> bool:
        """Whether the signature belongs to the pseudonym."""
        expected = self.signature(pseudonym).encode()
        return hmac.compare_digest(expected, signature.encode("utf-8", "surrogatepass"))

    def _digest(self, text: str) -> str:
        digest = hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), sha256)
        return digest.hex()[:PSEUDONYM_CHARS]


def pseudonym_key() -> str:
    """The key from the environment.

    Returns:
        RECSYS_PSEUDONYM_KEY.

    Raises:
        ConfigError: it is not set.
    """
    key = os.environ.get(VARIABLE, "")
    if not key:
        remedy = f"export {VARIABLE}=$(openssl rand -hex 32) once, and keep it: another key is another user"
        raise ConfigError(f"{VARIABLE} is not set", remedy=remedy)
    return key
