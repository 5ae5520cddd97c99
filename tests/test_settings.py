from pathlib import Path

import pytest
import yaml

from recsys.errors import ConfigError
from recsys.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def params(tmp_path):
    values = yaml.safe_load((ROOT / "params.yaml").read_text())

    def save(change):
        change(values)
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        return tmp_path / "params.yaml"

    return save


def test_the_committed_params_load():
    assert Settings.load(ROOT / "params.yaml").encoder.precision == "float32"


def test_a_misspelt_key_is_refused_by_name(params):
    path = params(lambda values: values["index"].update(exakt_below=3))
    with pytest.raises(ConfigError, match=r"index\.exakt_below"):
        Settings.load(path)


def test_a_missing_key_is_refused_by_name(params):
    path = params(lambda values: values["users"].pop("ridge_lambda"))
    with pytest.raises(ConfigError, match=r"users\.ridge_lambda"):
        Settings.load(path)


def test_a_value_out_of_bounds_is_refused_by_name(params):
    path = params(lambda values: values["split"].update(test_share=1.5))
    with pytest.raises(ConfigError, match=r"split\.test_share"):
        Settings.load(path)


def test_a_folder_that_is_no_workspace_is_told_the_remedy(tmp_path):
    with pytest.raises(ConfigError, match="RECSYS_WORKSPACE"):
        Settings.load(tmp_path / "params.yaml")
