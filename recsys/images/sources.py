"""Allowed sources of pictures: the landing zone, and the folders, buckets and hosts that params.yaml names."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from recsys.errors import ConfigError, ImageBroken, StorageError
from recsys.storage.address import S3_SCHEMES, SCHEME, Bucket, Folder, place_of, trimmed

if TYPE_CHECKING:
    import httpx

WEB = {"http": 80, "https": 443}
"""Scheme -> its port."""
HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
LANDING = "the landing zone"


@dataclass(frozen=True)
class Host:
    """A web server from which pictures may be fetched."""

    scheme: str
    name: str
    """Lower case; `*.domain` stands for every host below the domain, not for the domain itself."""
    port: int

    def allows(self, url: "httpx.URL") -> bool:
        """Whether an address is one of this host's."""
        if url.scheme != self.scheme or (url.port or WEB[url.scheme]) != self.port:
            return False
        host = url.raw_host.decode("ascii").lower()
        return host.endswith(self.name[1:]) if self.name.startswith("*.") else host == self.name.strip("[]")


def source_of(text: str) -> Folder | Bucket | Host:
    """Read one entry of `images.sources`.

    Args:
        text: a folder, s3://bucket/prefix, https://host[:port] or https://*.domain.

    Returns:
        What it names.

    Raises:
        ConfigError: it names none of them.
    """
    scheme = text.partition(":")[0].lower()
    if scheme not in WEB:
        try:
            return place_of(text)
        except StorageError as error:
            raise ConfigError(f"images.sources: {error.message}", remedy=error.remedy) from error
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:  # a port that is not a number
        raise _no_host(text) from error
    name = parts.netloc.lower() if port is None else parts.netloc.lower().rpartition(":")[0]
    if not HOST.fullmatch(name) or parts.path.strip("/") or parts.query or parts.fragment:
        raise _no_host(text)
    return Host(scheme, name, port or WEB[scheme])


@dataclass(frozen=True)
class InFolder:
    """A picture in a folder of this machine."""

    path: Path


@dataclass(frozen=True)
class InBucket:
    """A picture in a bucket."""

    bucket: str
    key: str


@dataclass(frozen=True)
class OnTheWeb:
    """A picture that a web server has."""

    url: "httpx.URL"


@dataclass(frozen=True)
class Sources:
    """What is allowed in one run."""

    landing: str | None
    """RECSYS_LANDING: a folder or s3://bucket/prefix; None where it is not set."""
    further: Sequence[str]
    """`images.sources`."""

    def find(self, address: str) -> InFolder | InBucket | OnTheWeb:
        """Find out where a picture lies. Nothing is opened or requested.

        Args:
            address: as the catalogue has it: a path relative to the landing zone, an absolute path, or file:, s3:,
                https: or http:. Two slashes and a host stand for https.

        Returns:
            Its place, within what is allowed.

        Raises:
            ImageBroken: the place is not allowed, or the address names none.
        """
        given = trimmed(address)
        if given.startswith("//"):
            given = f"https:{given}"
        match = SCHEME.fullmatch(given)
        scheme = match["scheme"].lower() if match else ""
        if scheme in WEB:
            return self.web(given)
        if scheme in S3_SCHEMES and match:
            bucket, _, key = match["rest"].removeprefix("//").partition("/")
            return self._in_bucket(InBucket(bucket, key), address)
        if scheme == "file" and match:
            given = unquote(re.sub(r"^//(localhost)?(?=/)", "", match["rest"]))
        elif scheme:
            raise _not_allowed(address, f"{scheme}: is not a scheme of pictures")
        return self._by_path(given, address)

    def web(self, url: str) -> OnTheWeb:
        """Find the host of an address, or of a redirect.

        Args:
            url: whole, with its scheme.

        Returns:
            The same address, normalised.

        Raises:
            ImageBroken: it is not an address, or its host is not allowed.
        """
        import httpx

        try:
            found = httpx.URL(url)
        except (httpx.InvalidURL, ValueError) as error:
            raise _not_allowed(url, f"is not an address: {error}") from error
        if not any(host.allows(found) for host in self._hosts):
            raise _not_allowed(url, f"{found.scheme}://{found.netloc.decode()} is not in images.sources")
        return OnTheWeb(found)

    def _by_path(self, path: str, address: str) -> InFolder | InBucket:
        if "\0" in path or not path:
            raise _not_allowed(address, "is not a path")
        if os.path.isabs(path):
            return self._in_folder(Path(path), address)
        if self.landing is None:
            raise _not_allowed(address, "is relative to the landing zone, and RECSYS_LANDING is not set")
        zone = place_of(self.landing)
        if isinstance(zone, Folder):
            return self._in_folder(zone.path / path, address)
        return self._in_bucket(InBucket(zone.name, f"{zone.prefix}/{path}".lstrip("/")), address)

    def _in_folder(self, path: Path, address: str) -> InFolder:
        # Links are followed before the check: one that leads out of an allowed folder does not help.
        whole = Path(os.path.realpath(path))
        if not any(whole.is_relative_to(root) for root in self._folders):
            raise _not_allowed(address, f"lies neither in {LANDING} nor in a folder of images.sources")
        return InFolder(whole)

    def _in_bucket(self, place: InBucket, address: str) -> InBucket:
        steps = place.key.split("/")
        for one in self._buckets:
            prefix = one.prefix.split("/") if one.prefix else []
            if one.name == place.bucket and steps[: len(prefix)] == prefix and not {"..", "."} & set(steps):
                return place
        raise _not_allowed(address, f"lies neither in {LANDING} nor in a bucket of images.sources")

    def check(self) -> None:
        """Read all entries now; ConfigError where one names nothing."""
        self._places  # noqa: B018

    @cached_property
    def _places(self) -> tuple[Folder | Bucket | Host, ...]:
        landing = () if self.landing is None else (place_of(self.landing),)
        return (*landing, *map(source_of, self.further))

    @cached_property
    def _folders(self) -> tuple[Path, ...]:
        return tuple(
            Path(os.path.realpath(place.path)) for place in self._places if isinstance(place, Folder)
        )

    @cached_property
    def _buckets(self) -> tuple[Bucket, ...]:
        return tuple(place for place in self._places if isinstance(place, Bucket))

    @cached_property
    def _hosts(self) -> tuple[Host, ...]:
        return tuple(place for place in self._places if isinstance(place, Host))


def _no_host(text: str) -> ConfigError:
    remedy = "write https://host, https://host:port or https://*.domain"
    return ConfigError(f"images.sources: {text!r} is not a host", remedy=remedy)


def _not_allowed(address: str, why: str) -> ImageBroken:
    return ImageBroken("not_allowed", f"{address[:200]!r} {why}")
