import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue.plain_text import plain_text

PROSE = [
    "a < b and c > d",
    "x <3 you",
    "use <unknown> as a name",
    "if (a<b && c>d)",
    "x <b and y> c",
    "AT&T & Co",
    "?x=1&copy=2",
    "<<<>>>",
    "1 < 2 <= 3",
    "5 > 3",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_that_looks_like_markup_stays(text):
    assert plain_text(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>one</p><p>two</p>", "one two"),
        ("<ul><li>one<li>two</ul>three", "one two three"),
        ("x<br/>y<BR>z", "x y z"),
        ("H<sub>2</sub>O, <b>bo</b>ld", "H2O, bold"),
        ("Tom &amp; Jerry&#39;s &quot;heavy&quot;&nbsp;pan", 'Tom & Jerry\'s "heavy" pan'),
        ("&lt;b&gt;bold&lt;/b&gt;", "bold"),
        ("&amp;lt;b&amp;gt;bold&amp;lt;/b&amp;gt;", "bold"),
        ("&amp;amp;amp;lt;b&gt;bold", "bold"),
        ("<script>var a = 1 < 2;</script><style>p {}</style><!-- no -->words", "words"),
        ("<script>never closed", ""),
        ("<div class='a' data-x='{\"a\": 1}'>x", "x"),
        ("<product-card id=1>Red</product-card>", "Red"),
        ("<![CDATA[Hello <b>you</b>]]>", "Hello you"),
        ('cut off <a href="http://x.exam', "cut off"),
        ("<html><head><title>t</title></head><body>b</body></html>", "t b"),
        ("&nbsp;<br>&#8203;", ""),
        ("<div>" * 3000 + "deep", "deep"),
        ("＜b＞ｗｉｄｅ＜/b＞", "wide"),
        ("ﬁne 𝐑ed", "fine Red"),
        ("run\u00adning", "running"),
        ("Red\u200brunning\u200bshoe\u200b", "Red running shoe"),
        ("\ufeffa\u2060b\u200e", "ab"),
        ("ab\u200dcd\u200c", "abcd"),
        ("\u200c" * 50 + "ab" + "\u200d\u200c" * 50, "ab"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("bell\x07 tab\tnew\nline\x0b", "bell tab new line"),
        ("Nike™ shoe", "Nike shoe"),
    ],
)
def test_a_text_is_reduced_to_its_words(text, expected):
    assert plain_text(text) == expected


PIECES = ["<", ">", "</", "<b>", "<p>", "<!--", "-->", "&amp;", "&lt;", "&", "<script>", "]]>", "'", '"']
MARKUP = st.lists(st.sampled_from(PIECES) | st.text(), max_size=8).map("".join)


@given(MARKUP)
def test_every_text_has_words_and_they_are_final(text):
    found = plain_text(text)
    assert plain_text(found) == found
    assert unicodedata.is_normalized("NFKC", found)
    assert found == " ".join(found.split())


@given(st.text(st.characters(categories=["L", "N"]), min_size=1))
def test_words_without_markup_are_their_compatibility_form(text):
    assert plain_text(text) == " ".join(unicodedata.normalize("NFKC", text).split())
