"""Fetching from a server that means no good: a real one, over a real socket."""

import time

import pytest

from recsys.errors import ImageBroken
from recsys.images.sources import Sources
from recsys.images.web import Limits, _is_public, fetch_web
from tests.encoders.pictures import picture
from tests.images.server import encoded

LIMITS = Limits(max_bytes=1_000_000, timeout_s=10, private_addresses=True)


def fetch(server, path, limits=LIMITS, more=()):
    sources = Sources(None, (server.url, *more))
    return fetch_web(sources.find(f"{server.url}{path}"), sources, limits)


def reason(server, path, limits=LIMITS, more=()):
    with pytest.raises(ImageBroken) as broken:
        fetch(server, path, limits, more)
    return broken.value.reason


def test_a_picture_comes_as_it_is(server):
    assert fetch(server, "/picture/3") == encoded(picture(3))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/status/404", "not_found"),
        ("/status/410", "not_found"),
        ("/status/403", "refused"),
        ("/status/500", "refused"),
        ("/loop", "refused"),
        ("/hangup", "unreachable"),
        ("/nonsense", "unreachable"),
    ],
)
def test_an_answer_without_a_picture_is_named(server, path, expected):
    assert reason(server, path) == expected


def test_a_picture_that_claims_two_gigabytes_is_not_read(server):
    path = f"/claims/{2 * 2**30}"
    assert reason(server, path) == "too_large"
    assert server.sent[path] < 50_000_000


def test_bytes_are_counted_where_no_length_is_claimed(server):
    assert reason(server, "/endless") == "too_large"
    assert server.sent["/endless"] < 50_000_000


@pytest.mark.parametrize("path", ["/silent", "/drip", "/dripheaders"])
def test_a_slow_host_is_left_at_the_deadline(server, path):
    started = time.monotonic()
    assert reason(server, path, Limits(1_000_000, 0.5, True)) == "too_slow"
    assert 0.4 < time.monotonic() - started < 5


def test_a_redirect_within_allowed_hosts_is_followed(server):
    assert fetch(server, "/redirect?to=/picture/4") == encoded(picture(4))
    assert fetch(server, f"/redirect?to={server.url}/picture/5") == encoded(picture(5))


@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/latest", "http://localhost:1/", "file:///etc/passwd", "ftp://x/y"]
)
def test_a_redirect_to_another_place_is_refused(server, to):
    assert reason(server, f"/redirect?to={to}") == "not_allowed"


@pytest.mark.parametrize("to", ["http://[", "//[::1", "http://a]b/"])
def test_a_redirect_to_what_is_no_address_is_named(server, to):
    assert reason(server, f"/redirect?to={to}") in {"refused", "not_allowed"}


def test_private_addresses_are_refused_unless_allowed(server):
    assert reason(server, "/picture/1", Limits(1_000_000, 10, private_addresses=False)) == "private_address"
    assert not server.requests


def test_a_name_that_leads_to_a_private_address_is_refused(server):
    """As where the owner of a public name lets it point at this machine."""
    named = f"http://localhost:{server.server_address[1]}"
    sources = Sources(None, (named,))
    with pytest.raises(ImageBroken) as broken:
        fetch_web(sources.find(f"{named}/picture/1"), sources, Limits(1_000_000, 10, False))
    assert broken.value.reason == "private_address" and not server.requests
    assert fetch_web(sources.find(f"{named}/picture/1"), sources, LIMITS) == encoded(picture(1))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "127.0.0.1:1"])
def test_a_host_out_of_reach_is_named(host):
    sources = Sources(None, (f"http://{host}",))
    with pytest.raises(ImageBroken, match="http") as broken:
        fetch_web(sources.find(f"http://{host}/1.jpg"), sources, LIMITS)
    assert broken.value.reason == "unreachable"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address, expected):
    assert _is_public(address) is expected
