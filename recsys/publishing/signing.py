"""Sign manifests with Ed25519. Publishers have the private key, readers the public key.

A checksum proves that bytes are unchanged, not who stored them. The signature covers the manifest's bytes, and the
manifest names every file by SHA-256. So a process that can write to the store, but has no private key, cannot make a
reader with the public key load anything else. It can only point readers to an older signed release, like `rollback`.
"""

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from recsys.errors import ConfigError, ReleaseError
from recsys.publishing.entries import Frozen

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNING_KEY, VERIFY_KEY = "RECSYS_SIGNING_KEY", "RECSYS_VERIFY_KEY"
PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)
KEY_BYTES = 32
MAX_KEY_FILE = 65_536
"""Bytes; files of keys are far smaller."""


class Signature(Frozen):
    """The content of manifest.sig, beside a manifest."""

    key: str
    """Id of the public key: the first 16 hex digits of its SHA-256."""
    signature: str
    """Signature of the manifest's bytes: 64 bytes in base64."""

    def to_bytes(self) -> bytes:
        """Readable JSON."""
        return (json.dumps(self.model_dump(), indent=1) + "\n").encode()


def signing_key() -> "Ed25519PrivateKey | None":
    """The private key of RECSYS_SIGNING_KEY, or None where it is not set.

    Returns:
        The key.

    Raises:
        ConfigError: it is not a private key, names a file without one, or holds several.
    """
    found = _given(SIGNING_KEY)
    if len(found) > 1:
        raise ConfigError(
            f"{SIGNING_KEY} holds {len(found)} keys", remedy="sign with one; readers may trust several"
        )
    return _private(found[0]) if found else None


def verify_keys() -> "tuple[Ed25519PublicKey, ...]":
    """The public keys of RECSYS_VERIFY_KEY; none where it is not set.

    Returns:
        The keys that are trusted.

    Raises:
        ConfigError: one is not a public key, or a named file holds none.
    """
    return tuple(_public(content) for content in _given(VERIFY_KEY))


def sign(content: bytes, key: "Ed25519PrivateKey") -> Signature:
    """Sign a manifest's bytes. The same bytes and key give the same signature."""
    return Signature(key=key_id(key.public_key()), signature=base64.b64encode(key.sign(content)).decode())


def require_signed(
    content: bytes, signature: bytes | None, release: str, trusted: "Sequence[Ed25519PublicKey]"
) -> None:
    """Refuse a manifest without the signature of a trusted key.

    Args:
        content: the manifest's bytes.
        signature: the bytes of manifest.sig, or None where there is none.
        release: its id, for the message.
        trusted: see `verify_keys`.

    Raises:
        ReleaseError: it is unsigned, signed by another key, or altered.
    """
    remedy = (
        f"if this release is yours, sign it where the private key is: recsys keys sign {release}; if its key is a new "
        f"one, add the public key to {VERIFY_KEY}; else check who can write to the store"
    )
    if signature is None:
        raise ReleaseError(f"release {release} is not signed, and {VERIFY_KEY} is set", remedy=remedy)
    try:
        found = Signature.model_validate_json(signature)
        signed = base64.b64decode(found.signature, validate=True)
    except (ValidationError, binascii.Error) as error:
        raise ReleaseError(f"the signature of release {release} is damaged", remedy=remedy) from error
    if not any(_is_by(content, signed, key) for key in trusted):
        known = ", ".join(key_id(key) for key in trusted)
        raise ReleaseError(
            f"release {release} is not signed by a trusted key ({known}): its signature names {found.key[:16]!r}",
            remedy=remedy,
        )


def key_id(key: "Ed25519PublicKey") -> str:
    """The first 16 hex digits of the SHA-256 of a public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _is_by(content: bytes, signature: bytes, key: "Ed25519PublicKey") -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _given(variable: str) -> list[bytes]:
    """The keys in a variable; none only if it is not set. An empty file must not turn signatures off."""
    value = os.environ.get(variable, "")
    found = list(_keys(value, variable))
    if value.strip() and not found:
        raise ConfigError(f"{variable} is set and holds no key", remedy=f"give one, or unset {variable}")
    return found


def _keys(value: str, variable: str, in_file: bool = False) -> Iterator[bytes]:
    """PEM blocks, and keys of 32 bytes in base64, in the value itself or in the files that it names."""
    for block in PEM.finditer(value):
        yield block[0].encode()
    for word in re.split(r"[\s,]+", PEM.sub(" ", value)):
        if not word:
            continue
        if (raw := _raw(word)) is not None:
            yield raw
        elif not in_file and (path := _file(word)):
            yield from _keys(_content(path, variable), variable, in_file=True)
        else:  # the message never shows it: it may be half of a private key
            raise ConfigError(
                f"{variable} holds what is neither an Ed25519 key nor a file with one",
                remedy="give PEM, 32 bytes in base64, or the path of a file; `recsys keys make` makes a pair",
            )


def _file(word: str) -> Path | None:
    """The file of that name, or None. A damaged key may be longer than any file name."""
    try:
        path = Path(word).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def _content(path: Path, variable: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_FILE).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{variable}: {path} cannot be read as a key", remedy="recsys keys make") from error


def _raw(word: str) -> bytes | None:
    try:
        found = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == KEY_BYTES else None


def _private(content: bytes) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        if len(content) == KEY_BYTES:
            return Ed25519PrivateKey.from_private_bytes(content)
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"{SIGNING_KEY} is not a private Ed25519 key without a password", remedy="recsys keys make"
        )
    return key


def _public(content: bytes) -> "Ed25519PublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        if len(content) == KEY_BYTES:
            return Ed25519PublicKey.from_public_bytes(content)
        key = load_pem_public_key(content)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(
            f"{VERIFY_KEY} holds something that is not a public Ed25519 key",
            remedy="give verify.pem of `recsys keys make`",
        )
    return key
