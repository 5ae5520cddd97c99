"""A workspace: what the checkout holds right now, without its data, and the checkout stays as it was."""

import subprocess
from pathlib import Path

import pytest

from localplatform.workspace import WorkspaceError, make_workspace, set_remote


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (root / ".gitignore").write_text("/var/\n/data/\n")
    for name in ("kept.txt", "changed.txt", "deleted.txt", "data.dvc", "dvc.lock"):
        (root / name).write_text("committed")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "first")
    (root / "changed.txt").write_text("in work")
    (root / "deleted.txt").unlink()
    (root / "new file.txt").write_text("not added")
    (root / "data").mkdir()
    (root / "data" / "big").write_text("accepted")
    return root


def test_work_in_progress_is_laid_over_and_committed_and_data_stays_behind(checkout: Path):
    before = git(checkout, "status", "--porcelain")
    target = checkout / "var" / "workspace"
    make_workspace(checkout, target)
    names = {path.name for path in target.iterdir()} - {".git"}
    assert names == {".dvc", ".gitignore", "kept.txt", "changed.txt", "new file.txt"}
    assert (target / "changed.txt").read_text() == "in work"
    assert git(target, "status", "--porcelain") == ""
    assert git(checkout, "status", "--porcelain") == before


def test_changes_are_laid_over_params_and_a_key_that_is_not_there_is_refused(checkout: Path, tmp_path: Path):
    (checkout / "params.yaml").write_text("a:\n  size: 3  # of it\n")
    make_workspace(checkout, tmp_path / "w", {"a.size": "4"})
    assert (tmp_path / "w" / "params.yaml").read_text() == "a:\n  size: 4  # of it\n"
    with pytest.raises(WorkspaceError, match="0 lines with the key breadth"):
        make_workspace(checkout, tmp_path / "w", {"a.breadth": "4"})


def test_making_it_again_starts_afresh(checkout: Path, tmp_path: Path):
    make_workspace(checkout, tmp_path / "w")
    (tmp_path / "w" / "left over").write_text("x")
    make_workspace(checkout, tmp_path / "w")
    assert not (tmp_path / "w" / "left over").exists()


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path):
    (tmp_path / "plain").mkdir()
    with pytest.raises(WorkspaceError, match="git clone"):
        make_workspace(tmp_path / "plain", tmp_path / "w")


def test_the_remote_is_local_to_the_workspace(checkout: Path, tmp_path: Path):
    make_workspace(checkout, tmp_path / "w")
    set_remote(tmp_path / "w", "s3://dvc/cache")
    assert "url = s3://dvc/cache" in (tmp_path / "w" / ".dvc" / "config.local").read_text()
