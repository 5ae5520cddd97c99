"""The format of MIND, on rows written by hand."""

from datetime import UTC, datetime

import pytest

from bench.mind import read_mind

NEWS = (
    'N1\tsports\tgolf\tA "quoted" title\tAn abstract\thttps://a\t[]\t[]\n'
    "N2\tnews\tworld\tAnother\t\thttps://b\t[]\t[]\n"
)
BEHAVIORS = (
    "1\tU1\t11/11/2019 9:05:58 AM\tN1 N2\tN3-1 N2-0\n"
    "2\tU2\t11/12/2019 12:30:00 PM\t\tN1-0\n"
    "3\tU1\t11/12/2019 1:00:00 PM\tN1 N3\tN2-1\n"
)


def written(folder, behaviors=BEHAVIORS, news=NEWS):
    (folder / "behaviors.tsv").write_text(behaviors)
    (folder / "news.tsv").write_text(news)
    return folder


def test_impressions_keep_their_list_place_time_and_click(tmp_path):
    found = read_mind(written(tmp_path)).impressions.to_pylist()
    assert [
        (one["user_id"], one["item_id"], one["request"], one["position"], one["clicked"]) for one in found
    ] == [
        ("U1", "N3", "1", 1, True),
        ("U1", "N2", "1", 2, False),
        ("U2", "N1", "2", 1, False),
        ("U1", "N2", "3", 1, True),
    ]
    assert found[0]["timestamp"] == datetime(2019, 11, 11, 9, 5, 58, tzinfo=UTC)
    assert found[2]["timestamp"].hour == 12 and found[3]["timestamp"].hour == 13


def test_histories_hold_each_pair_once_and_a_user_without_one_has_none(tmp_path):
    found = read_mind(written(tmp_path)).histories.to_pylist()
    assert [tuple(one.values()) for one in found] == [("U1", "N1"), ("U1", "N2"), ("U1", "N3")]


def test_articles_have_texts_and_tags_as_the_landing_zone_takes_them(tmp_path):
    first, second = read_mind(written(tmp_path)).items.to_pylist()
    assert first == {
        "item_id": "N1", "title": 'A "quoted" title', "description": "An abstract", "tags": ["sports", "golf"],
    }  # fmt: skip
    assert second["description"] == ""


@pytest.mark.parametrize(
    ("behaviors", "words"),
    [
        ("1\tU1\t11/11/2019 9:05:58 AM\tN1\tN3\n", "line 1: impression 'N3'"),
        (BEHAVIORS + "4\tU1\tN1-0\n", "line 4: 3 columns, not 5"),
    ],
)
def test_a_row_that_is_not_of_the_format_is_named(tmp_path, behaviors, words):
    with pytest.raises(ValueError, match=words):
        read_mind(written(tmp_path, behaviors))
