"""Effect `keys make`: make the pair of keys that signs releases."""

import os
from pathlib import Path

from recsys.errors import ConfigError


def keys_make(folder: Path) -> tuple[Path, Path]:
    """Make a new pair of keys.

    Args:
        folder: where signing.pem, readable by its owner only, and verify.pem are written.

    Returns:
        Both paths.

    Raises:
        ConfigError: one of them exists already. Overwriting it would cut off everybody who trusts it.
    """
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private, public = folder / "signing.pem", folder / "verify.pem"
    for path in (private, public):
        if path.exists():
            raise ConfigError(f"{path} exists already", remedy="name another folder with --to")
    folder.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    public.write_bytes(
        key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public
