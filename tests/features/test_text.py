import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue.schemas import CATALOGUE_SCHEMA
from recsys.errors import ArtifactMissing, EncoderError
from recsys.features.params import FeaturesParams
from recsys.features.text import (
    NO_TEXT,
    SCHEMA,
    composed,
    cut,
    feature_files,
    feature_key,
    item_texts,
    join_fields,
    text_hash,
)
from recsys.storage import tables

PARAMS = FeaturesParams(fields=("title", "description", "tags"), max_chars=100)


def catalogue_rows(**fields):
    row = {name: None for name in CATALOGUE_SCHEMA.names} | {
        "item_id": "a",
        "deleted": False,
        "part": "000001-x",
    }
    return pa.Table.from_pylist([row | {"line": 1} | fields], CATALOGUE_SCHEMA)


def text_of(params=PARAMS, **fields):
    return item_texts(catalogue_rows(**fields), params)["text"][0].as_py()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"title": "Heat"}, "Heat"),
        ({"title": "Heat", "description": "A heist."}, "Heat.\nA heist."),
        ({"title": "Who?", "description": "Nobody"}, "Who?\nNobody"),
        ({"title": "红楼梦。", "description": "小说"}, "红楼梦。\n小说"),
        ({"title": "Heat", "description": "  ", "tags": ["crime", "drama"]}, "Heat.\ncrime, drama"),
        ({"title": " two\n\tlines ", "tags": []}, "two lines"),
        ({"title": "Pele\u0301"}, "Pel\u00e9"),
    ],
)
def test_fields_are_folded_and_joined_as_sentences(fields, expected):
    assert text_of(**fields) == expected


def test_chosen_fields_come_in_their_order_and_attributes_by_name():
    params = FeaturesParams(fields=("brand", "title", "year"), max_chars=100)
    found = text_of(
        params, title="Drill", description="left out", attributes='{"brand": "Bosch", "year": 2020}'
    )
    assert found == "Bosch.\nDrill.\n2020"


def test_an_item_without_its_chosen_fields_goes_by_the_others():
    assert text_of(FeaturesParams(fields=("title",), max_chars=100), description="Only this") == "Only this"


def test_a_live_row_without_any_text_has_the_empty_one_and_is_no_delete():
    row = item_texts(catalogue_rows(title=" "), PARAMS).to_pylist()[0]
    assert (row["text"], row["text_hash"], row["deleted"]) == ("", NO_TEXT, False)


def test_a_delete_has_the_empty_text_and_every_row_keeps_its_origin():
    table = item_texts(catalogue_rows(title="Heat", deleted=True, tags=["crime"]), PARAMS)
    assert table.schema == SCHEMA
    row = table.to_pylist()[0]
    assert (row["text"], row["deleted"], row["part"], row["line"], row["tags"]) == (
        "",
        True,
        "000001-x",
        1,
        ["crime"],
    )


def test_texts_are_made_in_blocks_which_are_not_joined(monkeypatch):
    """Joined, the texts of a part would have to fit in 2 GiB."""
    rows = pa.concat_tables([catalogue_rows(title=title) for title in ("one", "two", "three")])
    whole = item_texts(rows, PARAMS)
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 2)
    in_blocks = item_texts(rows, PARAMS)
    assert in_blocks == whole and in_blocks["text"].num_chunks == 2


def test_the_hash_is_the_sha256_of_the_text():
    # sha256sum of the four bytes "Heat"
    assert text_hash("Heat") == item_texts(catalogue_rows(title="Heat"), PARAMS)["text_hash"][0].as_py()
    assert text_hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("text", "max_chars", "expected"),
    [
        ("one two three", 13, "one two three"),
        ("one two three", 12, "one two"),
        ("one two three", 8, "one two"),
        ("one two three", 7, "one two"),
        ("one two three", 6, "one"),
        ("one.\ntwo three", 9, "one.\ntwo"),
        ("one.\ntwo three", 6, "one."),
        ("红楼梦是一部小说", 5, "红楼梦是一"),
        ("x" * 300, 200, "x" * 200),
        ("कि" * 3, 3, "कि"),  # the vowel sign stays with its consonant
        ("👩\u200d🔬👩\u200d🔬", 4, "👩\u200d🔬"),
    ],
)
def test_texts_are_cut_at_a_word_or_where_nothing_is_torn(text, max_chars, expected):
    assert cut(text, max_chars) == expected


@given(st.text(), st.integers(1, 60))
def test_a_cut_text_is_a_beginning_of_bounded_length(text, max_chars):
    folded = composed(text)
    found = cut(folded, max_chars)
    assert len(found) <= max_chars and folded.startswith(found) and bool(found) == bool(folded)
    assert unicodedata.is_normalized("NFC", folded) and composed(folded) == folded


def test_the_key_follows_rows_and_params():
    other = FeaturesParams(fields=("title",), max_chars=100)
    keys = {feature_key("a" * 64, PARAMS), feature_key("b" * 64, PARAMS), feature_key("a" * 64, other)}
    assert len(keys) == 3 and all(len(key) == 16 for key in keys)
    assert feature_key("a" * 64, PARAMS) == feature_key("a" * 64, PARAMS.model_copy())


def test_feature_files_come_in_the_order_of_acceptance(tmp_path):
    for name in ("1000000-b", "000002-a", "000010-mcafe"):
        (tmp_path / f"{name}-{'0' * 16}.parquet").touch()
    (tmp_path / ".tmp-1").touch()
    assert [file.part for file in feature_files(tmp_path)] == ["000002-a", "000010-mcafe", "1000000-b"]
    with pytest.raises(ArtifactMissing, match="features"):
        feature_files(tmp_path / "nowhere")


def test_a_text_can_be_made_as_an_older_release_made_it():
    assert join_fields(["<b>Ｗｉｄｅ</b>\n caf\u0065\u0301"], 100, version=1) == "<b>Ｗｉｄｅ</b> caf\u00e9"
    assert join_fields(["<b>Ｗｉｄｅ</b>\n caf\u0065\u0301"], 100) == "Wide caf\u00e9"
    assert join_fields(["Heat", "A <b>heist</b>"], 100, version=2) == "Heat. A heist"
    with pytest.raises(EncoderError, match=r"preprocessing 7, known are 1, 2, 3"):
        join_fields(["words"], 100, version=7)


def test_an_item_let_in_with_a_bare_tag_keeps_a_text():
    assert text_of(title="<br>") == "<br>"
