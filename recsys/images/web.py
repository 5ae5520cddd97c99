"""Fetch a picture from a web server that is not trusted: bounded in time and size, within the allowed hosts.

A name is resolved once, the addresses are checked, and the connection goes to one of them: a host cannot change its
address in between. A server that sends a byte now and then cannot keep a fetcher waiting, since the deadline holds for
every read. Proxies of the environment are not used.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin

import httpcore

from recsys.errors import ImageBroken
from recsys.images.sources import OnTheWeb, Sources

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
OK, NOT_FOUND, GONE = 200, 404, 410
HEADERS: dict[bytes | str, bytes | str] = {
    "Accept": "image/jpeg,image/png,image/webp",
    "Accept-Encoding": "identity",
    "User-Agent": "Firstlight",
}


@dataclass(frozen=True)
class Limits:
    """What one picture may take."""

    max_bytes: int
    timeout_s: float
    """For all of it, redirects included."""
    private_addresses: bool
    """Whether addresses of this machine and of private networks may be connected to."""


def fetch_web(place: OnTheWeb, sources: Sources, limits: Limits) -> bytes:
    """Fetch a picture.

    Args:
        place: where it lies.
        sources: where redirects may lead.
        limits: size, time and addresses.

    Returns:
        Its bytes; whether they are a picture is not checked here.

    Raises:
        ImageBroken: it is not there, too large or too slow, or leads to a place that is not allowed.
    """
    network = _Network(time.monotonic() + limits.timeout_s, limits.private_addresses)
    try:
        with httpcore.ConnectionPool(network_backend=network) as pool:
            for _ in range(1 + MAX_REDIRECTS):
                found = _answer(pool, place, limits)
                if isinstance(found, bytes):
                    return found
                place = _redirected(place, found, sources)
    except (httpcore.TimeoutException, TimeoutError) as error:
        raise ImageBroken("too_slow", f"{place.url} took longer than {limits.timeout_s:g} s") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise ImageBroken("unreachable", f"{place.url}: {error}") from error
    raise ImageBroken("refused", f"{place.url} follows more than {MAX_REDIRECTS} redirects")


def _redirected(place: OnTheWeb, to: str, sources: Sources) -> OnTheWeb:
    try:
        whole = urljoin(str(place.url), to)
    except ValueError as error:  # such as brackets without an address of IPv6
        raise ImageBroken(
            "refused", f"{place.url} redirects to {to[:200]!r}, which is not an address"
        ) from error
    return sources.web(whole)


def _answer(pool: httpcore.ConnectionPool, place: OnTheWeb, limits: Limits) -> bytes | str:
    """The bytes, or where the server says they lie."""
    url = place.url
    host = url.netloc.decode("ascii")
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    with pool.stream("GET", target, headers={**HEADERS, "Host": host, "Connection": "close"}) as response:
        headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in REDIRECTS and b"location" in headers:
            return headers[b"location"]
        if response.status in (NOT_FOUND, GONE):
            raise ImageBroken("not_found", f"{url} answers {response.status}")
        if response.status != OK:
            raise ImageBroken("refused", f"{url} answers {response.status}")
        length = headers.get(b"content-length", "")
        if length.isdecimal() and int(length) > limits.max_bytes:
            raise _too_large(url, int(length), limits)
        return _read(response.iter_stream(), url, limits)


def _read(chunks: Iterable[bytes], url: object, limits: Limits) -> bytes:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > limits.max_bytes:
            raise _too_large(url, len(content), limits)
    return bytes(content)


def _too_large(url: object, n_bytes: int, limits: Limits) -> ImageBroken:
    return ImageBroken("too_large", f"{url} has {n_bytes:,} bytes or more, above {limits.max_bytes:,}")


class _Network(httpcore.NetworkBackend):
    """Connects to checked addresses only, until the deadline."""

    def __init__(self, deadline: float, private_addresses: bool) -> None:
        self._deadline = deadline
        self._private_addresses = private_addresses
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers."""
        failed: httpcore.NetworkError | None = None
        for address in self._addresses(host, port):
            try:
                stream = self._plain.connect_tcp(address, port, _left(self._deadline), None, socket_options)
                return _Stream(stream, self._deadline)
            except httpcore.ConnectError as error:
                failed = error
        raise failed or httpcore.ConnectError(f"{host} has no address")

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        for address in addresses:
            if not self._private_addresses and not _is_public(address):
                raise ImageBroken("private_address", f"{host} has the address {address}, which is not public")
        return addresses


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        # What IPv4 would refuse must not get through in the clothes of IPv6.
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        if found in NAT64:
            return _is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


NAT64 = ipaddress.ip_network("64:ff9b::/96")


class _Stream(httpcore.NetworkStream):
    """A connection on which every read and write ends at the deadline."""

    def __init__(self, plain: httpcore.NetworkStream, deadline: float) -> None:
        self._plain = plain
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        return self._plain.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        self._plain.write(buffer, _left(self._deadline))

    def close(self) -> None:
        """Close the connection."""
        self._plain.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Continue under TLS. The certificate is checked against the host's name."""
        stream = self._plain.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Stream(stream, self._deadline)

    def get_extra_info(self, info: str) -> object:
        """What httpcore asks about a connection."""
        return self._plain.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("deadline")
    return left
