"""What an address means, and which are refused: nobody gets a folder called `gs:`."""

from pathlib import Path

import pytest

from recsys.errors import ConfigError, StorageError
from recsys.storage.address import Bucket, Folder, place_of, untidy, web_address
from recsys.storage.folder import FolderStorage
from recsys.storage.opening import open_storage
from recsys.storage.s3 import S3Storage

SHOP = Bucket("shop", "a/b")


@pytest.mark.parametrize(
    "address",
    [
        "s3://shop/a/b",
        "S3://shop/a/b",
        "s3a://shop/a/b",
        "S3N://shop/a/b/",
        "s3://shop//a/b",
        " s3://shop/a/b\n",
        "\ufeffs3://shop/a/b\u200b",
        "\u00a0s3://shop/a/b\r\n",
    ],
)
def test_a_bucket_is_read_however_it_is_written(address):
    assert place_of(address) == SHOP
    assert open_storage(address).url == "s3://shop/a/b"


@pytest.mark.parametrize(
    "address",
    [
        "/tmp/shop",
        "file:///tmp/shop",
        "file:/tmp/shop",
        "FILE://localhost/tmp/shop",
        " /tmp/shop\n",
        Path("/tmp/shop"),
    ],
)
def test_a_folder_is_read_however_it_is_written(address):
    assert place_of(address) == Folder(Path("/tmp/shop"))
    assert open_storage(address).url == "/tmp/shop"


def test_a_path_may_hold_blanks_percents_and_colons_that_are_no_scheme(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert place_of("file:///tmp/my%20shop") == Folder(Path("/tmp/my shop"))
    assert place_of("/tmp/my%20shop") == Folder(Path("/tmp/my%20shop"))
    assert place_of("./gs:") == Folder(Path("gs:").absolute())
    assert place_of("shops/2026-01-01T10:00") == Folder(Path("shops/2026-01-01T10:00").absolute())
    assert place_of("~/shop") == place_of(" ~/shop ") == Folder(Path("/home/me/shop"))


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("gs://shop/a", "knows no gs: addresses"),
        ("az://shop", "knows no az: addresses"),
        ("GS:/shop", "knows no gs: addresses"),
        ("gs:shop", "knows no gs: addresses"),
        ("abfss://c@account.dfs.core.windows.net/x", "knows no abfss"),
        ("https://s3.example.org/shop", "AWS_ENDPOINT_URL"),
        ("hdfs://name:8020/shop", "knows no hdfs"),
        ("weird+scheme://x", "knows no weird\\+scheme"),
        ("shop:eu", r"\./shop:eu"),
        ("s3", "without its colon"),
        ("s3//shop/a", "without its colon"),
        ("gs", "without its colon"),
        ("file", "without its colon"),
        ("s3:", "names no bucket"),
        ("s3://", "names no bucket"),
        ("s3:///shop", "names no bucket"),
        ("s3:/shop/a", "names no bucket"),
        (Path("s3://shop/a"), "names no bucket"),
        ("s3:shop", "names no bucket"),
        ("s3://shop/../other", "climbs out"),
        ("s3://my shop/a", "no name of a bucket"),
        ("s3://localhost:9000/shop", "AWS_ENDPOINT_URL"),
        ("C:\\shops", "path of Windows"),
        ("c:/shops", "path of Windows"),
        ("\\\\server\\share", "path of Windows"),
        ("file://server/share", "not a path of this machine"),
        ("file:shop", "not a path of this machine"),
        ("file://~/shop", "not a path of this machine"),
        ("~nobody-of-that-name/shop", "no such home"),
        ("", "names no place"),
        (" \n", "names no place"),
        ("/tmp/a\nb", "line break"),
        ("/tmp/a\x00b", "control character"),
        ("'s3://shop'", "quotation marks"),
        ("$STORE/a", "nobody filled in"),
        ("${HOME}/shop", "nobody filled in"),
    ],
)
def test_what_is_not_plain_is_refused_with_a_remedy(address, problem):
    with pytest.raises(StorageError, match=problem) as refused:
        open_storage(address)
    assert refused.value.remedy


@pytest.mark.parametrize("address", ["s3://key:hush@shop/a", "gs://key:hush@shop", "ftp://me:hush@host/x"])
def test_a_password_in_an_address_is_not_shown(address):
    with pytest.raises(StorageError) as refused:
        open_storage(address)
    assert "hush" not in str(refused.value)


def test_a_refused_address_makes_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for address in ("gs://shop/a", "s3:/shop", "GS:shop", "hdfs://x/y"):
        with pytest.raises(StorageError):
            open_storage(address).write("objects/1", b"x")
    assert list(tmp_path.iterdir()) == []


def test_kinds_of_storage_follow_the_address(tmp_path):
    assert isinstance(open_storage("S3A://shop"), S3Storage)
    assert isinstance(open_storage(tmp_path.as_uri()), FolderStorage)


@pytest.mark.parametrize(
    "value", ["http://host:9000", " https://host/x\n", "https://me:pw@host", "http://[::1]:80"]
)
def test_the_address_of_a_server_is_read_without_blanks(value):
    assert web_address(value, "X") == value.strip()


@pytest.mark.parametrize(
    "value",
    ["host:9000", "//host", "http://", "htp://host", "http://host:port", "http://a b", "http://h\n/x", ""],
)
def test_what_is_no_server_is_refused_by_its_variable(value):
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL: .*not an address of a server"):
        web_address(value, "AWS_ENDPOINT_URL")


def test_stray_characters_are_found_and_never_shown():
    faults = untidy(
        {
            "AWS_SECRET_ACCESS_KEY": "hush\n",
            "AWS_ACCESS_KEY_ID": "'id'",
            "RECSYS_STORE": " s3://shop",
            "RECSYS_WHO": "eve",
            "RECSYS_SIGNING_KEY": "-----BEGIN PRIVATE KEY-----\nx\n",
            "OTHER": "x\n",
        }
    )
    assert faults == {
        "AWS_ACCESS_KEY_ID": "is in quotation marks",
        "AWS_SECRET_ACCESS_KEY": "ends with a line break",
        "RECSYS_STORE": "begins or ends with a blank or an invisible mark",
    }


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("AWS_SECRET_ACCESS_KEY", "hush\n", "ends with a line break"),
        ("AWS_ENDPOINT_URL", "localhost:9000", "not an address"),
    ],
)
def test_a_bucket_with_untidy_keys_is_not_contacted(monkeypatch, name, value, problem):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"{name}.*{problem}"):
        open_storage("s3://shop").list("")
