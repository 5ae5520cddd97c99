"""Parse addresses of folders, buckets and servers; refuse what is unclear.

Every address of the environment and of the command line is parsed here. Messages never show what may be a password.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from recsys.errors import ConfigError, StorageError

S3_SCHEMES = ("s3", "s3a", "s3n")
"""s3a and s3n are Hadoop's names for the same buckets."""
OTHER_SCHEMES = (
    "abfs", "abfss", "adl", "az", "azure", "b2", "dbfs", "ftp", "gcs", "gs", "hdfs", "http", "https", "minio", "oss",
    "r2", "sftp", "ssh", "wasb", "wasbs",
)  # fmt: skip
SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>.*)", re.DOTALL)
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
UNEXPANDED = re.compile(r"\$\{?\w|%\w+%")
INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"
"""A byte order mark and marks of no width, which come along when an address is copied."""
ACCEPTED = "write a folder's path or s3://bucket/prefix (any S3 service, by AWS_ENDPOINT_URL)"
PERSONAL = ("AWS_", "MLFLOW_", "RECSYS_")
"""Begin the names of variables that hold addresses, keys and secrets."""


@dataclass(frozen=True)
class Folder:
    """A local or mounted folder."""

    path: Path
    """Absolute."""


@dataclass(frozen=True)
class Bucket:
    """A place in a bucket."""

    name: str
    prefix: str
    """Without slashes at its ends; may be empty."""


def place_of(address: str | os.PathLike[str]) -> Folder | Bucket:
    """Read the address of a folder or a bucket.

    Args:
        address: a path, file:///path, s3://bucket/prefix (s3a and s3n are read as s3); blanks around it are left out.

    Returns:
        Which place it is.

    Raises:
        StorageError: it can be meant in another way, or names a place that Firstlight does not know.
    """
    given = trimmed(os.fspath(address))
    _refuse_unclear(given)
    match = SCHEME.fullmatch(given)
    if match is None:
        return _folder(given)
    scheme, rest = match["scheme"].lower(), match["rest"]
    if len(scheme) == 1:
        raise StorageError(
            f"{given!r} is a path of Windows", remedy=f"{ACCEPTED}; under WSL: /mnt/{scheme}/…"
        )
    if scheme in S3_SCHEMES:
        return _bucket(given, rest)
    if scheme == "file":
        return _folder(_path_of_file(given, rest))
    hint = f"; a folder of that name: ./{given}" if "//" not in rest and scheme not in OTHER_SCHEMES else ""
    hint = "; for a bucket of that server: AWS_ENDPOINT_URL" if scheme in ("http", "https") else hint
    raise StorageError(
        f"{_shown(given)!r}: Firstlight knows no {scheme}: addresses", remedy=f"{ACCEPTED}{hint}"
    )


def web_address(value: str, variable: str) -> str:
    """Read the address of a server.

    Args:
        value: http://… or https://…; blanks around it are left out.
        variable: where it comes from, for the message.

    Returns:
        The address as it is to be used.

    Raises:
        ConfigError: it has another form; names the variable, never a password in it.
    """
    address = trimmed(value)
    remedy = f"export {variable}=https://host, or http://host:port"
    try:
        parts = urlsplit(address)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is not a number, half an IPv6 address
        is_whole = False
    if not is_whole or not address.isprintable() or " " in address:
        raise ConfigError(f"{variable}: {_shown(address)} is not an address of a server", remedy=remedy)
    return address


def trimmed(value: str) -> str:
    """Without surrounding white space and invisible characters."""
    before = None
    while value != before:
        before, value = value, value.strip().strip(INVISIBLE)
    return value


def untidy(environment: Mapping[str, str]) -> dict[str, str]:
    """Names of variables whose value has stray characters at its ends.

    Args:
        environment: such as os.environ.

    Returns:
        What is wrong with each, in words, never with its value.
    """
    found = {}
    for name, value in sorted(environment.items()):
        if (
            not name.startswith(PERSONAL) or not value or value.startswith("-----BEGIN")
        ):  # a PEM key has lines
            continue
        if value.endswith(("\n", "\r")):
            found[name] = "ends with a line break"
        elif value != trimmed(value):
            found[name] = "begins or ends with a blank or an invisible mark"
        elif len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            found[name] = "is in quotation marks"
    return found


def require_tidy(environment: Mapping[str, str], names: tuple[str, ...]) -> None:
    """Refuse keys copied with a line break: a server would only report a wrong key.

    Args:
        environment: such as os.environ.
        names: of the variables that are about to be used.

    Raises:
        ConfigError: one is not clean; names it, never its value.
    """
    for name, fault in untidy(environment).items():
        if name in names:
            raise ConfigError(f"{name} {fault}", remedy=f"set {name} again without it")


def _refuse_unclear(given: str) -> None:
    if not given:
        raise StorageError("an empty address names no place", remedy=ACCEPTED)
    if not given.isprintable():
        raise StorageError(f"{_shown(given)!r} holds a line break or a control character", remedy=ACCEPTED)
    if given[0] in "\"'":
        raise StorageError(f"{_shown(given)} is in quotation marks", remedy="leave them out")
    if UNEXPANDED.match(given):
        raise StorageError(f"{_shown(given)!r} names a variable that nobody filled in", remedy=ACCEPTED)
    if given.startswith("\\"):
        raise StorageError(f"{given!r} is a path of Windows", remedy=ACCEPTED)
    head, slash, rest = given.partition("/")
    if head.lower() in (*S3_SCHEMES, *OTHER_SCHEMES, "file") and (not slash or rest.startswith("/")):
        raise StorageError(
            f"{given!r} looks like an address without its colon",
            remedy=f"{ACCEPTED}; a folder of that name: ./{given}",
        )


def _bucket(given: str, rest: str) -> Bucket:
    name, _, prefix = rest.removeprefix("//").partition("/")
    if not rest.startswith("//") or not name:
        raise StorageError(f"{given!r} names no bucket", remedy="write s3://bucket/prefix")
    if "@" in name:
        remedy = "write s3://bucket/prefix, and give the keys as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise StorageError(f"{_shown(given)!r} holds credentials", remedy=remedy)
    if not BUCKET.fullmatch(name):
        remedy = "write s3://bucket/prefix; a server's address belongs into AWS_ENDPOINT_URL"
        raise StorageError(f"{given!r}: {name!r} is no name of a bucket", remedy=remedy)
    if {".", ".."} & set(prefix.split("/")):
        raise StorageError(
            f"{given!r} climbs out of its prefix", remedy="write s3://bucket/prefix without '..'"
        )
    return Bucket(name, prefix.strip("/"))


def _path_of_file(given: str, rest: str) -> str:
    """The path of a file: address; its host, if any, must be this machine."""
    path = rest
    if rest.startswith("//"):
        host, slash, below = rest[2:].partition("/")
        path = f"{slash}{below}" if host.lower() in ("", "localhost") else ""
    if not path.startswith("/"):
        raise StorageError(f"{given!r} is not a path of this machine", remedy="write file:///absolute/path")
    return unquote(path)


def _folder(path: str) -> Folder:
    try:
        return Folder(Path(path).expanduser().absolute())
    except RuntimeError as error:  # ~name of nobody, or no home at all
        remedy = "write the absolute path"
        raise StorageError(f"{path!r}: there is no such home folder", remedy=remedy) from error


def _shown(address: str) -> str:
    """An address as it may be shown: user and password left out, on one line."""
    return "".join(c if c.isprintable() else "�" for c in re.sub(r"//[^/@]*@", "//…@", address))
