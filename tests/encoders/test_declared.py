import json

import pytest

from recsys.encoders.declared import settled
from recsys.encoders.pack import pack_encoder
from recsys.errors import EncoderError
from tests.encoders.models import encoder_params, save_model

TRANSFORMER = {"type": "sentence_transformers.models.Transformer", "path": ""}
POOLING = {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}
E5 = {"query": "query: ", "passage": "passage: "}


def declare(folder, pooling=None, prompts=None, **further):
    """What sentence-transformers writes beside a model."""
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "modules.json").write_text(json.dumps([TRANSFORMER, POOLING]))
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling or {}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts, **further}))
    return folder


@pytest.mark.parametrize(
    "pooling",
    [{"pooling_mode": "lasttoken"}, {"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}],
)
def test_another_pooling_than_the_folders_is_refused_with_the_right_value(tmp_path, pooling):
    folder = declare(tmp_path / "model", pooling)
    with pytest.raises(
        EncoderError, match=r"trained with pooling 'lasttoken', encoder\.pooling is 'mean'"
    ) as refused:
        settled(encoder_params(folder), folder)
    assert refused.value.remedy == "set encoder.pooling: last"
    assert settled(encoder_params(folder, pooling="last"), folder).pooling == "last"


@pytest.mark.parametrize("pooling", [{"pooling_mode": "max"}, {"pooling_mode": ["cls", "mean"]}])
def test_a_pooling_that_no_parameter_names_is_refused(tmp_path, pooling):
    folder = declare(tmp_path / "model", pooling)
    with pytest.raises(EncoderError, match="trained with pooling") as refused:
        settled(encoder_params(folder), folder)
    assert "choose a model" in refused.value.remedy


def test_prefixes_that_params_leave_open_are_those_of_the_folder(tmp_path):
    folder = declare(tmp_path / "e5", prompts=E5)
    found = settled(encoder_params(folder, item_prefix=None, query_prefix=None), folder)
    assert (found.item_prefix, found.query_prefix) == ("passage: ", "query: ")
    packed = pack_encoder(encoder_params(save_model(folder), query_prefix=None), tmp_path / "encoders", ())
    assert (packed.item_prefix, packed.query_prefix) == ("", "query: ")


def test_prompts_of_items_come_first_and_the_default_prompt_last(tmp_path):
    both = declare(
        tmp_path / "both", prompts={"passage": "p ", "document": "d ", "std": "s "}, default_prompt_name="std"
    )
    found = settled(encoder_params(both, item_prefix=None, query_prefix=None), both)
    assert (found.item_prefix, found.query_prefix) == ("d ", "s ")


def test_a_prefix_of_params_counts_and_the_folders_is_reported(tmp_path, capsys):
    folder = declare(tmp_path / "e5", prompts=E5)
    found = settled(encoder_params(folder, item_prefix="", query_prefix="query: "), folder)
    assert (found.item_prefix, found.query_prefix) == ("", "query: ")
    assert "encoder.item_prefix is '', which counts" in (said := capsys.readouterr().err)
    assert "query_prefix" not in said


def test_a_model_that_pools_without_its_prompt_takes_no_prefix(tmp_path):
    folder = declare(tmp_path / "instructor", {"pooling_mode": "mean", "include_prompt": False})
    with pytest.raises(EncoderError, match="without the tokens of a prefix"):
        settled(encoder_params(folder, item_prefix="aa "), folder)
    assert settled(encoder_params(folder), folder).item_prefix == ""


def test_a_plain_transformers_folder_says_nothing(tmp_path):
    found = settled(encoder_params(tmp_path, pooling="cls", item_prefix=None, query_prefix=None), tmp_path)
    assert (found.pooling, found.item_prefix, found.query_prefix) == ("cls", "", "")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("modules.json", "[{]"),
        ("modules.json", "[1]"),
        ("1_Pooling/config.json", "\0"),
        ("config_sentence_transformers.json", '{"prompts": {"query": 3}}'),
        ("config_sentence_transformers.json", '{"prompts": "query: "}'),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content):
    folder = declare(tmp_path / "model", prompts=E5)
    (folder / name).write_text(content)
    with pytest.raises(EncoderError, match=r"cannot be read"):
        settled(encoder_params(folder), folder)
