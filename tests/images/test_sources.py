"""Where pictures may come from: nothing but what params.yaml allows, whatever an address looks like."""

import pytest
from pydantic import ValidationError

from recsys.errors import ConfigError, ImageBroken
from recsys.images.sources import InBucket, InFolder, OnTheWeb, Sources
from recsys.settings import Settings


@pytest.fixture
def zone(tmp_path):
    (tmp_path / "zone/images").mkdir(parents=True)
    (tmp_path / "zone/images/1.jpg").write_bytes(b"1")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return tmp_path / "zone"


def refused(sources, address):
    with pytest.raises(ImageBroken) as broken:
        sources.find(address)
    assert broken.value.reason == "not_allowed"
    return broken.value.message


@pytest.mark.parametrize("address", ["images/1.jpg", "./images/1.jpg", " images/1.jpg ", "images//1.jpg"])
def test_a_relative_path_lies_in_the_landing_zone(zone, address):
    assert Sources(str(zone), ()).find(address) == InFolder(zone / "images/1.jpg")


@pytest.mark.parametrize(
    "address", ["{zone}/images/1.jpg", "file://{zone}/images/1.jpg", "file:{zone}/images/1.jpg"]
)
def test_an_absolute_path_into_the_landing_zone_is_the_same(zone, address):
    assert Sources(str(zone), ()).find(address.format(zone=zone)) == InFolder(zone / "images/1.jpg")


@pytest.mark.parametrize(
    "address", ["../secret.jpg", "images/../../secret.jpg", "/etc/passwd", "file:///etc/passwd", "a\0b"]
)
def test_a_path_out_of_the_landing_zone_is_refused(zone, address):
    refused(Sources(str(zone), ()), address)


def test_a_link_that_leads_out_of_the_landing_zone_is_refused(zone):
    (zone / "images/2.jpg").symlink_to(zone.parent / "secret.jpg")
    refused(Sources(str(zone), ()), "images/2.jpg")


def test_a_folder_beside_the_landing_zone_must_be_named(zone):
    assert Sources(str(zone), (str(zone.parent),)).find(str(zone.parent / "secret.jpg")) == InFolder(
        zone.parent / "secret.jpg"
    )
    refused(Sources(str(zone), (f"{zone.parent}/secr",)), str(zone.parent / "secret.jpg"))


def test_a_bucket_as_landing_zone_holds_relative_paths_below_its_prefix():
    sources = Sources("s3://landing/shop", ())
    assert sources.find("images/1.jpg") == InBucket("landing", "shop/images/1.jpg")
    assert sources.find("s3://landing/shop/a b.png") == InBucket("landing", "shop/a b.png")
    for address in (
        "../other/1.jpg",
        "s3://landing/other/1.jpg",
        "s3://landing/shopping/1.jpg",
        "s3://else/shop/1.jpg",
    ):
        refused(sources, address)


def test_further_buckets_must_be_named():
    sources = Sources(None, ("s3://pictures", "s3://more/2026"))
    assert sources.find("s3a://pictures/any/1.jpg") == InBucket("pictures", "any/1.jpg")
    assert sources.find("s3://more/2026/1.jpg") == InBucket("more", "2026/1.jpg")
    refused(sources, "s3://more/2025/1.jpg")


def test_without_a_landing_zone_a_relative_path_names_nothing():
    assert "RECSYS_LANDING" in refused(Sources(None, ()), "images/1.jpg")


@pytest.mark.parametrize(
    "address",
    [
        "https://img.example.com/1.jpg",
        "https://IMG.example.com/1.jpg",
        "https://img.example.com:443/1.jpg?w=200",
        "//img.example.com/ä ö.jpg",
        "https://a.cdn.example.org/1.jpg",
        "https://a.b.cdn.example.org/1.jpg",
        "https://img.example.net:8443/1.jpg",
    ],
)
def test_addresses_of_allowed_hosts_are_found(address):
    hosts = ("https://img.example.com", "https://*.cdn.example.org", "https://img.example.net:8443/")
    assert isinstance(Sources(None, hosts).find(address), OnTheWeb)


@pytest.mark.parametrize(
    "address",
    [
        "http://img.example.com/1.jpg",
        "https://img.example.com:8080/1.jpg",
        "https://example.com/1.jpg",
        "https://img.example.com.evil.org/1.jpg",
        "https://img.example.com@evil.org/1.jpg",
        "https://evil.org/?https://img.example.com/",
        "https://evil.org#.cdn.example.org",
        "https://cdn.example.org/1.jpg",
        "https://evilcdn.example.org/1.jpg",
        "https://[::1/1.jpg",
        "https://",
        "ftp://img.example.com/1.jpg",
        "data:image/png;base64,iVBORw0KGgo=",
        "javascript:alert(1)",
        "gopher://img.example.com/",
    ],
)
def test_addresses_of_other_hosts_and_schemes_are_refused(address):
    refused(Sources(None, ("https://img.example.com", "https://*.cdn.example.org")), address)


@pytest.mark.parametrize("source", ["https://img.example.com:port", "https://a..b*/", "https://*", "s3://_"])
def test_a_source_that_names_nothing_fails_before_any_work(source):
    with pytest.raises(ConfigError, match=r"images\.sources"):
        Sources(None, (source,)).check()


@pytest.mark.parametrize(
    "source", ["ftp://host", "img.example.com", "https://host/path", "https://u@host", "pictures"]
)
def test_params_refuse_what_is_clearly_no_source(workspace, source):
    images = Settings.load(workspace.params).images.model_dump()
    with pytest.raises(ValidationError, match="sources"):
        type(Settings.load(workspace.params).images)(**images | {"sources": [source]})
