import pytest

from recsys.errors import ArtifactMissing
from recsys.profiles.users_summary import UsersSummary


def test_summary_comes_back_as_saved_and_its_absence_names_the_stage(tmp_path):
    summary = UsersSummary(10.0, 2, 3, 4, "e", "g")
    summary.save(tmp_path / "users.json")
    assert UsersSummary.load(tmp_path / "users.json") == summary
    with pytest.raises(ArtifactMissing, match="dvc repro users"):
        UsersSummary.load(tmp_path / "missing.json")
