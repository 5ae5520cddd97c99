"""Signed releases: with a public key nothing unsigned is read, by whatever door; without one all is as before."""

import base64
import json
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsys import Release
from recsys.cli import main
from recsys.effects.collect import collect
from recsys.effects.keys_make import keys_make
from recsys.effects.rollback import rollback
from recsys.effects.storage_checks import signatures
from recsys.errors import ConfigError, ReleaseError
from recsys.publishing.listing import releases
from recsys.publishing.published_model import bring_model
from recsys.publishing.signing import key_id, sign, signing_key, verify_keys
from recsys.publishing.store import ReleaseStore
from recsys.storage.folder import FolderStorage
from tests.effects.test_collect import PARAMS, aged
from tests.publishing.film_workspace import UP, FilmWorkspace
from tests.publishing.test_hostile import Attacker


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return keys_make(tmp_path / "keys")


@pytest.fixture
def signed(
    film_workspace: FilmWorkspace,
    folder: FolderStorage,
    pair: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A release that was published with the key; the public one is set, the private one is not."""
    with monkeypatch.context() as patch:
        patch.setenv("RECSYS_SIGNING_KEY", str(pair[0]))
        release = film_workspace.publish(folder).release
    monkeypatch.setenv("RECSYS_VERIFY_KEY", str(pair[1]))
    return release


def test_signing_changes_no_id_and_a_signed_release_is_read(
    signed: str,
    film_workspace: FilmWorkspace,
    folder: FolderStorage,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Release.open(folder.url, cache=cache).verify()
    monkeypatch.delenv("RECSYS_VERIFY_KEY")
    plain = FolderStorage(str(tmp_path / "plain"))
    (film_workspace.at.root / "var/published.json").unlink()
    assert film_workspace.publish(plain).release == signed
    assert [stored.key for stored in plain.list("releases/")] == [f"releases/{signed}/manifest.json"]


def test_openssl_agrees_with_the_signature(
    signed: str, folder: FolderStorage, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    """The format is nobody's own: Ed25519 over the bytes of the file."""
    output = json.loads(folder.read(f"releases/{signed}/manifest.sig"))
    (tmp_path / "sig").write_bytes(base64.b64decode(output["signature"]))
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(pair[1])]
    command += [
        "-sigfile",
        str(tmp_path / "sig"),
        "-in",
        str(folder.path(f"releases/{signed}/manifest.json")),
    ]
    assert b"Verified Successfully" in subprocess.run(command, capture_output=True, check=True).stdout


def test_what_an_attacker_stores_is_read_by_no_door(
    signed: str,
    film_workspace: FilmWorkspace,
    folder: FolderStorage,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attacker = Attacker(folder)
    attacker.plain["code_commit"] = "theirs"
    theirs = attacker.publish()
    folder.write(f"releases/{theirs}/manifest.sig", folder.read(f"releases/{signed}/manifest.sig"))
    for _ in range(2):  # with the signature of another release, then with none
        for read in (
            lambda: Release.open(folder.url, cache=cache),
            lambda: bring_model(folder, film_workspace.at),
            lambda: rollback(folder, theirs, "eve", "why not"),
            lambda: collect(folder, PARAMS),
            lambda: film_workspace.publish(folder),
        ):
            with pytest.raises(ReleaseError, match=f"release {theirs} is not signed"):
                read()
        monkeypatch.setenv("RECSYS_WORKSPACE", str(film_workspace.at.root))
        monkeypatch.setenv("RECSYS_STORE", folder.url)
        for command in (
            ["restore", theirs],
            ["fetch-champion", "--published"],
            ["trace", "alien"],
            ["similar", "alien"],
        ):
            result = CliRunner().invoke(main, command)
            assert result.exit_code == 1 and "is not signed" in result.output
        assert {one.release: one.fault is None for one in releases(folder)} == {signed: True, theirs: False}
        folder.delete(f"releases/{theirs}/manifest.sig")
    assert Release.open(folder.url, release=signed, cache=cache).verify()


def test_a_manifest_with_one_other_byte_is_refused(signed: str, folder: FolderStorage) -> None:
    """Also where the first ten digits of its hash were made to be the same."""
    store, key = ReleaseStore(folder), verify_keys()
    content = folder.read(f"releases/{signed}/manifest.json")
    folder.write(f"releases/{signed}/manifest.json", content + b" ")
    with pytest.raises(ReleaseError, match="not signed by a trusted key"):
        store.manifest(signed)
    assert key_id(key[0])


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 10_000, b'{"key": "x", "signature": "%%%"}', b"\xff"])
def test_a_damaged_signature_is_refused(signed: str, folder: FolderStorage, content: bytes) -> None:
    folder.write(f"releases/{signed}/manifest.sig", content)
    with pytest.raises(ReleaseError, match=f"the signature of release {signed} is damaged"):
        ReleaseStore(folder).manifest(signed)


def test_a_key_is_replaced_while_readers_trust_both(
    signed: str, film_workspace: FilmWorkspace, folder: FolderStorage, pair: tuple[Path, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    new = keys_make(tmp_path / "new")
    monkeypatch.setenv("RECSYS_VERIFY_KEY", f"{pair[1]},{new[1]}")
    monkeypatch.setenv("RECSYS_SIGNING_KEY", new[0].read_text())
    film_workspace.items(UP, day=1)
    second = film_workspace.build().publish(folder).release
    store = ReleaseStore(folder)
    assert store.manifest(signed) and store.manifest(second)
    monkeypatch.setenv("RECSYS_VERIFY_KEY", new[1].read_text())
    assert store.manifest(second)
    with pytest.raises(ReleaseError, match=f"recsys keys sign {signed}"):
        store.manifest(signed)
    result = CliRunner().invoke(main, ["keys", "sign", signed, "--store", folder.url])
    assert result.exit_code == 0 and store.manifest(signed)


def test_an_unsigned_store_is_taken_over_by_signing_what_it_holds(
    film_workspace: FilmWorkspace,
    folder: FolderStorage,
    pair: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = film_workspace.publish(folder).release
    monkeypatch.setenv("RECSYS_VERIFY_KEY", str(pair[1]))
    with pytest.raises(ReleaseError, match=f"release {release} is not signed, and RECSYS_VERIFY_KEY is set"):
        Release.open(folder.url)
    result = CliRunner().invoke(main, ["keys", "sign", release, "--store", folder.url])
    assert result.exit_code == 1 and "RECSYS_SIGNING_KEY is not set" in result.output
    monkeypatch.setenv("RECSYS_SIGNING_KEY", str(pair[0]))
    assert CliRunner().invoke(main, ["keys", "sign", release, "--store", folder.url]).exit_code == 0
    assert Release.open(folder.url).id == release


def test_collect_deletes_the_signature_with_its_release_and_one_that_was_left_alone(
    signed: str,
    film_workspace: FilmWorkspace,
    folder: FolderStorage,
    pair: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECSYS_SIGNING_KEY", str(pair[0]))
    for day in (1, 2):
        film_workspace.items({"alien": f"Version {day} of a story"}, day=day)
        film_workspace.build().publish(folder)
    folder.write("releases/000009-0123456789/manifest.sig", b"left")
    aged(folder)
    assert collect(folder, PARAMS).releases == (signed,)
    left = {stored.key.rpartition("/")[2] for stored in folder.list("releases/")}
    assert left == {"manifest.json", "manifest.sig"} and len(folder.list("releases/")) == 4


def test_a_key_is_read_as_pem_as_base64_and_from_a_file(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_SIGNING_KEY", str(pair[0]))
    key = signing_key()
    assert key is not None and stat.S_IMODE(pair[0].stat().st_mode) == 0o600
    seed, public = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    (tmp_path / "seed").write_text(base64.b64encode(seed).decode() + "\n")
    for value in (pair[0].read_text(), base64.b64encode(seed).decode(), f" {tmp_path / 'seed'}\n"):
        monkeypatch.setenv("RECSYS_SIGNING_KEY", value)
        again = signing_key()
        assert again is not None and sign(b"x", again) == sign(b"x", key)
    other = keys_make(tmp_path / "other")[1]
    monkeypatch.setenv(
        "RECSYS_VERIFY_KEY", f"{base64.b64encode(public).decode()}, {other}\n{pair[1].read_text()}"
    )
    assert {key_id(one) for one in verify_keys()} >= {key_id(key.public_key())} and len(verify_keys()) == 3
    monkeypatch.delenv("RECSYS_VERIFY_KEY")
    assert verify_keys() == ()


@pytest.mark.parametrize(
    "value",
    [
        "hush",
        "hush" * 300,
        "~hush/key",
        "/no/such/file",
        "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----",
        "PUBLIC",
        "TWICE",
    ],
)
def test_what_is_no_private_key_is_refused_and_not_shown(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    replaced = {"PUBLIC": pair[1].read_text(), "TWICE": f"{pair[0]} {pair[0]}"}.get(value, value)
    monkeypatch.setenv("RECSYS_SIGNING_KEY", replaced)
    with pytest.raises(ConfigError, match="RECSYS_SIGNING_KEY") as refused:
        signing_key()
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "\n", ",\n"])
def test_a_file_without_a_key_does_not_turn_signatures_off(
    film_workspace: FilmWorkspace,
    folder: FolderStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
) -> None:
    film_workspace.publish(folder)
    (tmp_path / "empty.pem").write_text(content)
    for variable, keys_of in (("RECSYS_VERIFY_KEY", verify_keys), ("RECSYS_SIGNING_KEY", signing_key)):
        monkeypatch.setenv(variable, str(tmp_path / "empty.pem"))
        with pytest.raises(ConfigError, match=f"{variable} is set and holds no key"):
            keys_of()
    with pytest.raises(ConfigError, match="RECSYS_VERIFY_KEY"):
        Release.open(folder.url)


def test_a_private_key_is_no_public_one(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_VERIFY_KEY", str(pair[0]))
    with pytest.raises(ConfigError, match="not a public Ed25519 key"):
        verify_keys()


def test_a_pair_is_made_once_and_the_doctor_says_whether_it_is_used(
    film_workspace: FilmWorkspace, folder: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_WORKSPACE", str(film_workspace.at.root))
    monkeypatch.setenv("RECSYS_STORE", folder.url)
    monkeypatch.setattr("recsys.effects.doctor.CHECKS", (signatures,))  # the others would measure the encoder

    def finding() -> dict[str, str]:
        (found,) = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
        return dict(found)

    release = film_workspace.publish(folder).release
    assert finding()["verdict"] == "warn" and "RECSYS_VERIFY_KEY is not set" in finding()["found"]
    made = CliRunner().invoke(main, ["keys", "make", "--to", str(tmp_path / "k")])
    assert made.exit_code == 0 and "PRIVATE" not in made.output
    assert CliRunner().invoke(main, ["keys", "make", "--to", str(tmp_path / "k")]).exit_code == 1
    monkeypatch.setenv("RECSYS_SIGNING_KEY", str(tmp_path / "k" / "signing.pem"))
    assert "which RECSYS_VERIFY_KEY lacks" in finding()["found"]
    monkeypatch.setenv("RECSYS_VERIFY_KEY", str(tmp_path / "k" / "verify.pem"))
    assert finding()["verdict"] == "fail" and "is not signed" in finding()["found"]
    CliRunner().invoke(main, ["keys", "sign", release])
    assert finding()["verdict"] == "ok"
