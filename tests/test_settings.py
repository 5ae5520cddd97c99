from pathlib import Path

import pytest
import yaml

from recsys import settings
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


def test_a_key_that_an_upgrade_brought_is_shown_as_the_line_to_add(tmp_path):
    old = [line for line in (ROOT / "params.yaml").read_text().splitlines() if "personal_columns" not in line]
    (tmp_path / "params.yaml").write_text("\n".join(old) + "\n")
    with pytest.raises(ConfigError, match=r"ingest\.personal_columns is missing") as caught:
        Settings.load(tmp_path / "params.yaml")
    added = caught.value.remedy.partition("\n")[2].splitlines()
    (line,) = [line for line in (ROOT / "params.yaml").read_text().splitlines() if "personal_columns" in line]
    assert added == ["ingest:", line]
    mended = "\n".join(old).replace("\ningest:", "\n" + "\n".join(added))
    (tmp_path / "params.yaml").write_text(mended)
    assert Settings.load(tmp_path / "params.yaml") == Settings.load(ROOT / "params.yaml")


def test_a_section_that_an_upgrade_brought_is_shown_whole(tmp_path):
    whole = (ROOT / "params.yaml").read_text()
    before, section, after = whole.partition("compact:\n")
    rest = after.partition("\n\n")
    (tmp_path / "params.yaml").write_text(before + rest[2])
    with pytest.raises(ConfigError, match="compact is missing") as caught:
        Settings.load(tmp_path / "params.yaml")
    assert caught.value.remedy.partition("\n")[2] == section + rest[0]


def test_a_key_of_another_version_is_said_to_be_none_of_this_one(params):
    path = params(lambda values: values["index"].update(search_widht=3))
    with pytest.raises(
        ConfigError, match=r"index\.search_widht is not a key .*did you mean search_width"
    ) as caught:
        Settings.load(path)
    assert "take it out" in caught.value.remedy


def test_where_the_code_lies_in_the_workspace_itself_the_installed_file_shows_the_line(tmp_path, monkeypatch):
    workspace, installed = tmp_path / "workspace", tmp_path / "env" / settings.INSTALLED
    whole = (ROOT / "params.yaml").read_text()
    (workspace / "recsys").mkdir(parents=True)
    installed.parent.mkdir(parents=True)
    installed.write_text(whole)
    (workspace / "params.yaml").write_text(whole.replace("  grace_s:", "  # grace_s:"))
    monkeypatch.setattr(settings, "__file__", str(workspace / "recsys/settings.py"))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "env"))
    with pytest.raises(ConfigError, match=r"collect\.grace_s is missing") as caught:
        Settings.load(workspace / "params.yaml")
    assert "\n  grace_s: 86400" in caught.value.remedy


def test_what_a_ranker_reads_must_be_carried_by_releases(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(
        text.replace("  sets: []  ", "  sets: [tags, brand]  ").replace(
            "  numbers: []  ", "  numbers: [age, price]  "
        )
    )
    assert len(Settings.load(tmp_path / "params.yaml").ranker.sets) == 2
    (tmp_path / "params.yaml").write_text(text.replace("  numbers: []  ", "  numbers: [weight_g]  "))
    with pytest.raises(ConfigError, match=r"ranker\.numbers: 'weight_g' is neither 'age' nor one of publish"):
        Settings.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        ("[{View: 0.3, view: 2}]", "two of them are the same event"),
        ("[{click: 2, RETURN: 0.3}]", "event_weights: 'RETURN' is no like by section feedback"),
    ],
)
def test_a_weight_of_an_event_that_could_not_count_is_refused(tmp_path, weights, why):
    text = (ROOT / "params.yaml").read_text()
    changed = text.replace("  event_weights: []  ", f"  event_weights: {weights}  ")
    (tmp_path / "params.yaml").write_text(changed)
    with pytest.raises(ConfigError, match=why):
        Settings.load(tmp_path / "params.yaml")
