"""`make data` builds what data.dvc names, on this machine as on the one where data.dvc was written."""

import os
import shutil
from pathlib import Path

import pytest

from demo.building import _listing, _track, ingest_demo
from demo.data import DemoDataError, load_demo_data
from localplatform.processes import path_with_venv
from localplatform.workspace import FOLDER, make_workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for var/demo; the downloaded wheels are shared."""
    load_demo_data(FOLDER / "wheels")
    folder = tmp_path_factory.mktemp("demo")
    (folder / "wheels").symlink_to(FOLDER / "wheels")
    return folder


@pytest.mark.servers
def test_the_data_is_what_data_dvc_names_and_other_data_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", path_with_venv())
    built = ingest_demo(ROOT, folder)
    assert (built.parent / "data.dvc").read_text() == (ROOT / "data.dvc").read_text()
    assert sorted(path.parent.name for path in built.glob("*/*/rows.parquet")) == sorted(
        os.listdir(built / "catalogue")
    ) + (os.listdir(built / "interactions"))

    checkout = folder / "checkout"
    make_workspace(ROOT, checkout)
    shutil.copytree(built, checkout / "data")
    shutil.copyfile(ROOT / "data.dvc", checkout / "data.dvc")
    assert _listing(checkout / "data") == _listing(built)
    (next(checkout.glob("data/catalogue/*/rows.parquet"))).write_bytes(b"something else")
    assert _listing(checkout / "data") != _listing(built)
    with pytest.raises(DemoDataError, match="not what data.dvc names"):
        _track(checkout)
    assert (checkout / "data.dvc").read_text() == (ROOT / "data.dvc").read_text()
