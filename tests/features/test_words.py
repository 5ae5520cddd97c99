"""What words a text has: items and queries are read alike, and codes, titles and scripts without blanks are found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.features.words import MAX_CHARS, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Who: It's a Live-Aid!", ["the", "who", "its", "it", "a", "liveaid", "live", "aid"]),
        ("WH-1000XM4", ["wh1000xm4", "wh", "1000xm4"]),
        ("3.5 mm, 2001-04-09", ["3.5", "3", "5", "mm", "2001-04-09", "2001", "04", "09"]),
        ("AB_12/c", ["ab12c", "ab", "12"]),
        (
            "Amélie trifft ﬁne STRASSE straße Ｗｉｄｅ",
            ["amelie", "trifft", "fine", "strasse", "strasse", "wide"],
        ),
        ("Ёжик мой", ["ёжик", "мой"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("東京タワー 猫 iPhone手机", ["東京", "京タ", "タワ", "ワー", "猫", "iphone", "手机"]),
        ("don’t co\u00adoperate", ["dont", "don", "cooperate"]),
        ("C++ & c# -- … 🎬", ["c", "c"]),
        ("", []),
    ],
)
def test_words_of_a_text(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    "query", ["wh-1000xm4", "WH1000XM4", "1000xm4", "WH 1000XM4", "wh‑1000xm4", "WH_1000XM4"]
)
def test_a_code_is_found_however_it_is_typed(query):
    assert set(words(query)) & set(words("Sony WH-1000XM4"))


def test_a_very_long_word_is_cut_alike_in_item_and_query():
    assert words("x" * 500) == ["x" * MAX_CHARS] == words("x" * 400)


@given(st.text())
def test_case_and_compatibility_forms_make_no_difference_and_no_word_is_empty(text):
    found = words(text)
    assert all(found) and words(" ".join(text.split())) == found
    assert all(len(word) <= MAX_CHARS for word in found)


@given(st.lists(st.text(), max_size=4))
def test_fields_on_lines_of_their_own_share_no_word(fields):
    assert words("\n".join(fields)) == [word for field in fields for word in words(field)]
