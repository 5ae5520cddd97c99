from datetime import date

import pyarrow as pa
import pytest

from recsys.evaluation.words import joined, text_columns


def held(values, name="column"):
    """What a column is left out as; None where it is taken."""
    return text_columns(pa.table({name: values})).left_out.get(name)


def test_text_columns_are_those_with_words_title_first_then_short_ones():
    table = pa.table(
        {
            "item_id": ["one", "two", "three"],
            "description": ["a long story about a toy that comes alive"] * 3,
            "imdb": ["tt0114709", "tt0113497", "tt0113228"],
            "cover": ["images/1.jpg", "images/2.jpg", "images/3.jpg"],
            "released": ["1995-11-22", "1995-12-15", ""],
            "genres": [["animation", "comedy"], ["drama"], None],
            "price": [1.5, 2.0, 3.0],
            "brand": ["Acme", None, None],
            "empty": pa.array([None, None, None], pa.string()),
            "title": ["Toy Story (1995)", "Jumanji", "Heat"],
        }
    )
    found = text_columns(table)
    assert found.taken == ("title", "brand", "genres", "description")
    assert found.left_out == {
        "imdb": "ids", "cover": "paths or addresses", "released": "dates", "price": "numbers", "empty": "no value",
    }  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
    ],
)  # fmt: skip
def test_text_is_text_in_every_type_that_holds_it(kind):
    words = pa.array(["红楼梦", "Heat", None], pa.string()).cast(kind)
    assert text_columns(pa.table({"title": words})).taken == ("title",)
    assert joined(pa.chunked_array([words])) == ["红楼梦", "Heat", ""]


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.large_string())])
def test_lists_of_words_are_text(kind):
    genres = pa.array([["drama", None, "war"], [], None], kind)
    assert text_columns(pa.table({"genres": genres})).taken == ("genres",)
    assert joined(pa.chunked_array([genres])) == ["drama, war", "", ""]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["12.99", "1,250", "7"], "numbers"),
        (["$12.99", "USD 12", "9,50 €"], "numbers"),
        (["104 min", "90 minutes", "350页"], "numbers"),
        (["1995-11-22", "2001-01-02T10:00:00Z", "2001"], "dates"),
        (["22-Nov-1995", "Nov 22, 1995", "Sat, 22 Nov 1995 10:00:00 GMT"], "dates"),
        (["March 2001", "1 May 2001", "1995年3月"], "dates"),
        (["images/Blue shoe.jpg", "a b c.PNG", "x/y"], "paths or addresses"),
        (["https://shop.example/a b", "www.example.com/x", "s3://bucket/key"], "paths or addresses"),
        (["C:\\films\\one two", "ann@example.com", "bob@example.com"], "paths or addresses"),
        ([["https://a.example/1", "https://a.example/2"], ["https://a.example/3"]], "paths or addresses"),
        (["B00ABC12", "tt0114709", "d41d8cd98f00b204e9800998ecf8427e"], "ids"),
        (["8f14e45f-ceea-4a7a-9b1c-1f2d3c4b5a69", "cafebabecafebabe"], "ids"),
        (["yes", "no", "Yes"], "flags"),
        (["T", "F"], "flags"),
        (["–", "?", "x"], "no words"),
        ([True, False], "flags"),
        ([date(2001, 1, 2)], "dates"),
        ([{"a": "words"}], "struct<a: string>, no text"),
        ([b"words"], "binary, no text"),
    ],
)
def test_what_is_no_text_is_left_out_with_what_it_is(values, kind):
    assert held(pa.array(values)) == kind


@pytest.mark.parametrize(
    "values",
    [
        ["Toy Story (1995)", "12 Angry Men", "Se7en"],
        ["AC/DC", "rock", "pop"],
        ["红楼梦2", "西游记", "紫禁城/天坛"],
        ["en", "de", "fr"],
        ["drei Äpfel, 5 kg", "a chair of 1995", "10 x 20 cm"],
        [["AC/DC", "hard rock", "blues rock"], ["U2", "rock"]],
    ],
)
def test_words_are_text_also_with_digits_and_slashes_in_them(values):
    assert held(pa.array(values)) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [("category_id", "ids"), ("brandId", "ids"), ("SKU", "ids"), ("image_url", "paths or addresses"), ("brand", None),
     ("valid", None), ("kind", None), ("image", "paths or addresses"), ("IDs", "ids")],
)  # fmt: skip
def test_a_name_that_says_ids_or_addresses_is_believed(name, kind):
    assert held(["plain", "words", "here"], name) == kind


def test_what_the_landing_zone_calls_text_is_text_whatever_it_holds():
    table = pa.table({"title": ["1984", "1917"], "tags": [["12", "7"], ["12"]], "description": [None, None]})
    assert text_columns(table).taken == ("title", "tags")


def test_a_column_of_few_words_among_many_numbers_is_no_text_and_every_part_of_a_long_one_is_looked_at():
    assert held(["words", "1", "2"]) == "numbers"
    assert held(["7"] * 3000 + ["some words"] * 7000) is None
    assert held(["some words"] * 3000 + ["7"] * 7000) == "numbers"


PLOT = "a young wizard finds a lost sword under the old mountain"
RETOLD = "beneath an ancient peak some boy with magic discovers the blade"


def told(**columns):
    return text_columns(
        pa.table({"item_id": ["a", "b", "c", "d"], "title": ["One", "Two", "Three", "Four"]} | columns)
    )


def test_a_column_that_repeats_another_is_left_out_and_says_which():
    plots = [f"{PLOT} {row}" for row in range(4)]
    found = told(overview=[f"{plot} again" for plot in plots], plot=plots)
    assert found.taken == ("title", "plot") and found.left_out == {"overview": "repeats plot"}


def test_of_two_that_repeat_each_other_the_field_of_a_catalogue_stays():
    plots = [f"{PLOT} {row}" for row in range(4)]
    found = told(a_short_one=plots, description=[f"{plot} again" for plot in plots])
    assert found.taken == ("title", "description") and found.left_out == {
        "a_short_one": "repeats description"
    }


def test_the_same_in_other_words_is_no_repetition():
    found = told(plot=[PLOT] * 4, retold=[RETOLD] * 4)
    assert found.taken == ("title", "plot", "retold") and not found.left_out


def test_a_short_column_whose_words_a_longer_one_has_too_stays():
    brands = ["Acme", "Bolt", "Core", "Dyne"]
    found = told(brand=brands, name_in_full=[f"{brand} cordless drill with two speeds" for brand in brands])
    assert found.taken == ("title", "brand", "name_in_full")


def test_a_column_is_not_left_out_for_rows_that_the_other_one_lacks():
    plots = [f"{PLOT} {row}" for row in range(4)]
    found = told(plot=[plots[0], None, "", None], summary=[f"{plot} again" for plot in plots])
    assert found.taken == ("title", "summary") and found.left_out == {"plot": "repeats summary"}


def test_one_column_repeated_twice_stays_once():
    plots = [f"{PLOT} {row}" for row in range(4)]
    found = told(plot=plots, overview=plots, summary=plots)
    assert len(found.taken) == 2 and len(found.left_out) == 2
    assert set(found.left_out.values()) == {f"repeats {found.taken[1]}"}
