"""A store that somebody else wrote: names that climb out, arrays and indexes that lie. All end in one clean error."""

import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from recsys import Release
from recsys.cli import main
from recsys.errors import RecsysError, ReleaseError
from recsys.publishing.checks import unpacked_model
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.published_model import bring_model
from recsys.publishing.recorded import recorded
from recsys.publishing.release import Manifest
from recsys.publishing.store import ReleaseStore
from recsys.storage.folder import FolderStorage
from recsys.storage.tables import map_arrow, write_arrow
from tests.publishing.film_workspace import FilmWorkspace

PARTED = Path(__file__).resolve().parents[1] / "fixtures/releases/6/store"
CLIMBS = (
    "../../../../recsys/__main__.py",
    "/etc/passwd",
    "a/b",
    "..",
    ".",
    "",
    ".hidden",
    "-rf",
    "a\nb",
    "x" * 300,
)


class Attacker:
    """Who may write to the store, and makes it say something else."""

    def __init__(self, storage: FolderStorage) -> None:
        self.storage = storage
        pointer = json.loads(storage.read("CURRENT"))
        self.plain = json.loads(storage.read(f"releases/{pointer['release']}/manifest.json"))

    def go_back(self) -> None:
        """Write the release as formats 1 to 5 did: the model is one reference, and there are no details."""
        new = Manifest.model_validate(self.plain)
        gone = {"details": None, "terms": None}
        segments = tuple(segment.model_copy(update=gone) for segment in new.segments)
        old = new.model_copy(update={"format": 4, "segments": segments, "search": None})
        self.plain = json.loads(old.to_bytes())

    def publish(self) -> str:
        """Store the manifest under the id of its bytes, and let readers get it."""
        content = json.dumps(self.plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        release = f"{self.plain['sequence']:06d}-{hashlib.sha256(content).hexdigest()[:10]}"
        self.storage.write(f"releases/{release}/manifest.json", content)
        pointer = json.loads(self.storage.read("CURRENT")) | {"release": release}
        self.storage.write("CURRENT", json.dumps(pointer).encode())
        return release

    def replace(self, file: dict, content: bytes) -> None:
        """Give an entry of the manifest another content, with its true checksum."""
        file |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        self.storage.write(f"objects/{file['sha256']}", content)


@pytest.fixture
def attacker(film_workspace: FilmWorkspace, folder: FolderStorage) -> Attacker:
    film_workspace.publish(folder)
    return Attacker(folder)


@pytest.fixture
def legacy(attacker: Attacker) -> Attacker:
    attacker.go_back()
    return attacker


def files_below(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def set_name(plain: dict, place: str, value: str) -> None:
    """Put a value where the dotted place says."""
    *steps, last = place.split(".")
    for step in steps:
        plain = plain[int(step)] if step.isdigit() else plain[step]
    plain[int(last) if last.isdigit() else last] = value


NAMES = ("encoder.files.0.name", "segments.0.name", "segments.0.rows.name", "segments.0.parts.0",
         "histories.0.part", "histories.0.file.name", "users.gram.name", "provenance.arrivals.0.part")  # fmt: skip
CHECKSUMS = ("encoder.files.0.sha256", "encoder.hash", "segments.0.rows.sha256", "segments.0.vectors.sha256",
             "histories.0.file.sha256", "users.gram.sha256")  # fmt: skip


@pytest.mark.parametrize("place", NAMES + CHECKSUMS)
def test_a_name_or_checksum_that_is_a_path_is_refused_everywhere(
    legacy: Attacker, film_workspace: FilmWorkspace, tmp_path: Path, cache: Path, place: str
) -> None:
    for value in CLIMBS:
        set_name(legacy.plain, place, value)
        release = legacy.publish()
        before = files_below(tmp_path)
        with pytest.raises(ReleaseError, match=f"{release}: {place}") as refused:
            Release.open(legacy.storage.url, cache=cache)
        assert refused.value.remedy
        with pytest.raises(ReleaseError, match=place):
            bring_model(legacy.storage, film_workspace.at)
        assert files_below(tmp_path) == before
        legacy.storage.delete(f"releases/{release}/manifest.json")


@pytest.mark.parametrize(
    "place", ["segments.0.details.name", "segments.0.details.sha256", "segments.0.terms.name"]
)
def test_so_is_one_of_details(attacker: Attacker, cache: Path, place: str) -> None:
    for value in CLIMBS:
        set_name(attacker.plain, place, value)
        release = attacker.publish()
        with pytest.raises(ReleaseError, match=f"{release}: {place}"):
            Release.open(attacker.storage.url, cache=cache)


PARTS = (
    "model.hash",
    "model.encoder.hash",
    "model.encoder.files.0.name",
    "model.head.hash",
    "model.head.files.0.name",
    "model.ranker.hash",
    "model.ranker.files.0.name",
    "model.ranker.files.0.sha256",
)


@pytest.mark.parametrize("place", PARTS)
def test_so_is_one_of_a_models_part(
    folder: FolderStorage, film_workspace: FilmWorkspace, cache: Path, place: str
) -> None:
    shutil.copytree(PARTED, folder.root, dirs_exist_ok=True)
    attacker = Attacker(folder)
    for value in CLIMBS:
        set_name(attacker.plain, place, value)
        release = attacker.publish()
        before = files_below(film_workspace.at.root)
        with pytest.raises(ReleaseError, match=f"{release}: {place}"):
            Release.open(folder.url, cache=cache)
        with pytest.raises(ReleaseError, match=place):
            bring_model(folder, film_workspace.at)
        assert files_below(film_workspace.at.root) == before


def test_a_part_under_the_hash_of_another_is_refused(folder: FolderStorage, cache: Path) -> None:
    shutil.copytree(PARTED, folder.root, dirs_exist_ok=True)
    attacker = Attacker(folder)
    attacker.plain["model"]["head"]["hash"] = "0" * 64
    attacker.publish()
    with pytest.raises(ReleaseError, match="is not the hash of these parts"):
        Release.open(folder.url, cache=cache)


@pytest.mark.parametrize("command", [("restore", "RELEASE"), ("fetch-champion", "--published")])
def test_no_command_writes_outside_its_place(
    legacy: Attacker,
    film_workspace: FilmWorkspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    victim = tmp_path / "victim.py"
    victim.write_text("print('mine')\n")
    evil = legacy.plain["encoder"]["files"][0]
    legacy.replace(evil, b"print('theirs')\n")
    evil["name"] = "../../../../victim.py"
    release = legacy.publish()
    monkeypatch.setenv("RECSYS_WORKSPACE", str(film_workspace.at.root))
    monkeypatch.setenv("RECSYS_STORE", legacy.storage.url)
    before = files_below(tmp_path)
    result = CliRunner().invoke(main, [word.replace("RELEASE", release) for word in command])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "encoder.files.0.name" in result.output and "remedy" in result.output
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(
    "data_dvc",
    [
        "outs:\n- md5: d1.dir\n  path: ../other\n",
        "outs:\n- md5: d1.dir\n  path: /home/me\n",
        "wdir: /home/me\nouts:\n- md5: d1.dir\n  path: data\n",
        "outs:\n- md5: d1.dir\n  path: data\n- md5: d2\n  path: recsys/__main__.py\n",
        "outs:\n- md5: ../../../../recsys/__main__.py\n  path: data\n",
        "cmd: rm -rf .\nouts:\n- md5: d1.dir\n  path: data\n",
        "{[",
        "[" * 5000,
        "just words",
    ],
)
def test_a_recorded_data_version_that_is_none_of_data_is_not_restored(
    attacker: Attacker,
    film_workspace: FilmWorkspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data_dvc: str,
) -> None:
    attacker.plain["provenance"] |= {"data_dvc": data_dvc, "dvc_lock": "schema: '2.0'\nstages: {}\n"}
    release = attacker.publish()
    monkeypatch.setenv("RECSYS_WORKSPACE", str(film_workspace.at.root))
    result = CliRunner().invoke(
        main, ["restore", release, "--to", str(tmp_path / "new"), "--store", attacker.storage.url]
    )
    assert result.exit_code == 1 and "not a version of data/" in result.output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "outs",
    ["[{path: ../x, md5: HASH}]", "[{path: data, md5: ../../x}]", "[{path: data}]", "5", "{path: data}"],
)
def test_a_recorded_lock_that_leads_outside_is_not_restored(attacker: Attacker, outs: str) -> None:
    good = "d" * 32
    record = {"data_dvc": f"outs:\n- md5: {good}.dir\n  path: data\n"}
    for some, is_refused in ((outs.replace("HASH", good), True), (f"[{{path: data, md5: {good}}}]", False)):
        record["dvc_lock"] = f"schema: '2.0'\nstages:\n  index:\n    outs: {some}\n"
        attacker.plain["provenance"] |= record
        manifest = ReleaseStore(attacker.storage).manifest(attacker.publish())
        if is_refused:
            with pytest.raises(ReleaseError, match="not a version of data/"):
                recorded(manifest)
        else:
            assert recorded(manifest) == {"data.dvc": record["data_dvc"], "dvc.lock": record["dvc_lock"]}


def test_a_manifest_under_another_sequence_is_refused(attacker: Attacker) -> None:
    release = attacker.publish()
    content = attacker.storage.read(f"releases/{release}/manifest.json")
    with pytest.raises(ReleaseError, match=f"is that of {release}"):
        Manifest.from_bytes(content, f"999999-{release[-10:]}")


@pytest.mark.parametrize("release", ["../../x", "000001-0123456789/../..", "٠٠٠٠٠١-0123456789", "x\n"])
def test_a_pointer_that_names_no_release_is_damaged(attacker: Attacker, release: str) -> None:
    pointer = json.loads(attacker.storage.read("CURRENT")) | {"release": release}
    attacker.storage.write("CURRENT", json.dumps(pointer).encode())
    with pytest.raises(ReleaseError, match="CURRENT in .* is damaged"):
        Release.open(attacker.storage.url)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"null", b"{}"])
def test_a_manifest_or_pointer_that_is_no_such_json_is_an_error(attacker: Attacker, content: bytes) -> None:
    release = f"000001-{hashlib.sha256(content).hexdigest()[:10]}"
    attacker.storage.write(f"releases/{release}/manifest.json", content)
    with pytest.raises(ReleaseError):
        Release.open(attacker.storage.url, release=release)
    attacker.storage.write("CURRENT", content)
    with pytest.raises(ReleaseError):
        Release.open(attacker.storage.url)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npy_that_says(shape: tuple[int, ...], content: bytes, descr: str = "<f4") -> bytes:
    """An npy file whose head promises another shape than its bytes hold."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"shape": shape, "fortran_order": False, "descr": descr})
    return buffer.getvalue() + content


def use(url: str, cache: Path) -> None:
    """What a reader does with a release."""
    opened = Release.open(url, cache=cache)
    opened.verify()
    opened.similar("alien")
    opened.recommend(pseudonym=opened.users[0])


HOSTILE_ARRAYS = [
    b"",
    b"no array",
    npy(np.array([{"a": 1}], dtype=object)),
    npy_that_says((10**9, 8), b"\0" * 64),
    npy_that_says((10, 8), b"\0" * 64),
    npy_that_says((2**62, 2**62), b""),
    npy(np.zeros((10, 8), "f8")),
    npy(np.zeros((3, 8), "f4")),
    npy(np.asfortranarray(np.zeros((10, 8), "f4"))),
]


@pytest.mark.parametrize("content", HOSTILE_ARRAYS)
@pytest.mark.parametrize("place", ["vectors", "gram"])
def test_an_array_that_is_not_what_the_manifest_says_is_refused(
    attacker: Attacker, cache: Path, place: str, content: bytes
) -> None:
    plain = attacker.plain
    attacker.replace(
        plain["segments"][0]["vectors"] if place == "vectors" else plain["users"]["gram"], content
    )
    attacker.publish()
    with pytest.raises(ReleaseError, match=r"vectors\.npy|gram\.npy") as refused:
        use(attacker.storage.url, cache)
    assert "open another release" in refused.value.remedy


def test_vectors_for_a_wider_encoder_take_no_memory(attacker: Attacker, cache: Path) -> None:
    attacker.plain["model"]["encoder"]["dim"] = 2**40
    attacker.publish()
    with pytest.raises(ReleaseError, match=r"encoder\.dim"):
        use(attacker.storage.url, cache)


def test_rows_beyond_the_vectors_are_refused(attacker: Attacker, cache: Path) -> None:
    """The manifest says that the last two rows are deletes; they are live, and have no vectors then."""
    segment = attacker.plain["segments"][0]
    segment |= {"n_items": segment["n_items"] - 2, "n_deleted": segment["n_deleted"] + 2}
    attacker.publish()
    with pytest.raises(ReleaseError, match="a live row beyond its 8 vectors"):
        use(attacker.storage.url, cache)


@pytest.mark.parametrize("content", [b"", b"PAR1 no parquet PAR1", "history"])
def test_rows_that_are_no_such_table_are_refused(
    attacker: Attacker, cache: Path, content: bytes | str, folder: FolderStorage
) -> None:
    segment, history = attacker.plain["segments"][0], attacker.plain["histories"][0]["file"]
    if isinstance(content, str):
        content = folder.read(f"objects/{history['sha256']}")
    attacker.replace(segment["rows"], content)
    attacker.publish()
    with pytest.raises(ReleaseError, match=r"rows\.parquet"):
        use(attacker.storage.url, cache)
    attacker.plain["segments"] = []
    attacker.replace(history, b"no table")
    attacker.publish()
    with pytest.raises(ReleaseError, match=history["name"]):
        Release.open(attacker.storage.url, cache=cache).recommend(pseudonym="ann")


@pytest.mark.parametrize("content", [b"", b"ARROW1 no arrow ARROW1", "rows", "short", "other items"])
def test_details_that_are_not_those_of_the_items_are_refused(
    attacker: Attacker, folder: FolderStorage, cache: Path, tmp_path: Path, content: bytes | str
) -> None:
    segment = attacker.plain["segments"][0]
    good = map_arrow(folder.path(f"objects/{segment['details']['sha256']}"))
    if content == "rows":
        content = folder.read(f"objects/{segment['rows']['sha256']}")
    elif isinstance(content, str):
        write_arrow(
            tmp_path / "x", good.slice(1) if content == "short" else good.take(list(range(9, -1, -1)))
        )
        content = (tmp_path / "x").read_bytes()
    attacker.replace(segment["details"], content)
    attacker.publish()
    opened = Release.open(folder.url, cache=cache)
    with pytest.raises(ReleaseError, match=r"details.arrow") as refused:
        opened._profiles.details  # noqa: B018  a property that reads
    assert "open another release" in refused.value.remedy
    assert opened.similar("alien")  # all else works


@pytest.mark.parametrize("content", [b"", b"ARROW1 no arrow ARROW1", "details", "short"])
def test_terms_that_are_not_those_of_the_items_are_refused(
    attacker: Attacker, folder: FolderStorage, cache: Path, tmp_path: Path, content: bytes | str
) -> None:
    segment = attacker.plain["segments"][0]
    if content == "details":
        content = folder.read(f"objects/{segment['details']['sha256']}")
    elif isinstance(content, str):
        write_arrow(tmp_path / "x", map_arrow(folder.path(f"objects/{segment['terms']['sha256']}")).slice(1))
        content = (tmp_path / "x").read_bytes()
    attacker.replace(segment["terms"], content)
    attacker.publish()
    opened = Release.open(folder.url, cache=cache)
    with pytest.raises(ReleaseError, match=r"terms.arrow") as refused:
        opened._profiles.lexical  # noqa: B018  a property that reads
    assert "open another release" in refused.value.remedy
    assert opened.similar("alien")  # all else works


@pytest.mark.parametrize("search", [{"k1": -1.0, "b": 0.5}, {"k1": 1.0, "b": 2.0}, {"k1": "x", "b": 0.5}, {}])
def test_weights_of_words_out_of_bounds_are_refused(
    attacker: Attacker, cache: Path, search: dict[str, object]
) -> None:
    attacker.plain["search"] = search
    attacker.publish()
    with pytest.raises(ReleaseError, match="search"):
        Release.open(attacker.storage.url, cache=cache)


def test_a_file_in_the_cache_of_another_encoder_is_not_touched(
    attacker: Attacker, film_workspace: FilmWorkspace, tmp_path: Path, cache: Path
) -> None:
    """An encoder of a good name whose files lie: what is here under that hash stays until the new one is whole."""
    attacker.plain["model"]["encoder"]["files"][0]["sha256"] = "0" * 64
    attacker.publish()
    kept = shutil.copytree(film_workspace.at.encoders, tmp_path / "kept")
    with pytest.raises(RecsysError, match="0000"):
        bring_model(attacker.storage, film_workspace.at)
    names = {path.relative_to(kept) for path in kept.rglob("*")}
    assert names == {
        path.relative_to(film_workspace.at.encoders) for path in film_workspace.at.encoders.rglob("*")
    }


def test_files_that_another_store_left_under_an_encoders_hash_are_not_used(
    attacker: Attacker, folder: FolderStorage, cache: Path
) -> None:
    """Readers share one cache for all stores: what lies there is known by its bytes, not by the hash that it claims."""
    manifest = Release.open(folder.url, cache=cache).manifest
    for file in manifest.model.files:
        place = (
            unpacked_model(manifest.model, ObjectFiles(folder, cache))
            / "encoders"
            / manifest.model.hash
            / file.name
        )
        good = place.read_bytes()
        place.write_bytes(b"x" * len(good))
        unpacked_model(manifest.model, ObjectFiles(folder, cache))
        assert place.read_bytes() == good


def test_histories_of_an_older_version_are_read_and_others_are_not(
    attacker: Attacker, cache: Path, folder: FolderStorage, tmp_path: Path
) -> None:
    history = attacker.plain["histories"][0]["file"]
    table = pq.read_table(folder.path(f"objects/{history['sha256']}"))
    for columns, is_read in ((["user", "item_id", "timestamp"], True), (["user", "item_id"], False)):
        pq.write_table(table.select(columns), tmp_path / "history")
        attacker.replace(history, (tmp_path / "history").read_bytes())
        attacker.publish()
        opened = Release.open(folder.url, cache=cache)
        if is_read:
            assert len(opened.users) == 3
        else:
            with pytest.raises(ReleaseError, match="no column timestamp"):
                len(opened.users)
