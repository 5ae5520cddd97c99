"""JSON as people write it: lines, lists, side by side, over several lines, whole tables, cut off."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue.readers.json_rows import MAX_DEPTH
from recsys.catalogue.readers.opening import read
from recsys.catalogue.readers.rows import LandedFile
from recsys.errors import UnreadableFile

ROWS = [{"item_id": f"s{n}", "title": 'A "cup" of {tea} ]', "tags": ["a", "b"]} for n in range(1, 6)]
LINES = "\n".join(map(json.dumps, ROWS))


@pytest.mark.parametrize(
    "text",
    [
        LINES,
        LINES + "\n",
        LINES.replace("\n", "\r\n"),
        LINES.replace("\n", "\r"),
        "\ufeff" + LINES.replace("\n", "\n\ufeff"),
        "\x1e" + LINES.replace("\n", "\n\x1e"),  # RFC 7464
        LINES.replace("\n", ",\n"),
        LINES.replace("\n", ""),
        LINES.replace("\n", " , "),
        json.dumps(ROWS),
        json.dumps(ROWS, indent=1),
        json.dumps(ROWS, indent=0),
        f"[\n{LINES.replace(chr(10), ',' + chr(10))}\n]\n",
        f"[\n{LINES.replace(chr(10), ',' + chr(10))},\n]",  # a comma too many
        f"{json.dumps(ROWS[:2])}\n{json.dumps(ROWS[2:])}",
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
        "".join(json.dumps(row, indent=2) for row in ROWS),
        "\n".join(json.dumps(row) for row in ROWS[:3]) + "".join(json.dumps(row) for row in ROWS[3:]),
    ],
)
def test_objects_are_rows_however_they_lie(rows_of, text):
    rows, _ = rows_of(text)
    assert [values for _, values in rows] == ROWS
    lines = [line for line, _ in rows]
    assert lines == sorted(set(lines))  # no two rows share a line


def test_rows_over_several_lines_are_named_by_the_line_where_they_begin(rows_of):
    rows, _ = rows_of('[\n {\n  "item_id": "a"\n },\n\n {\n  "item_id": "b"\n }\n]')
    assert [line for line, _ in rows] == [2, 6]


def test_what_was_noticed_is_reported(rows_of):
    assert rows_of('[{"item_id": "a"},\n]')[1] == ["the comma before the ] in line 2 was ignored"]
    assert len(rows_of('[{"item_id": "a"},]\n' * 50)[1]) == 1
    text = '{"item_id": "a"}\n{"item_id": "b"}{"item_id": "c"}\n{"item_id": "d"}{"item_id": "e"}\n'
    rows, notes = rows_of(text)
    assert [line for line, _ in rows] == [1, 2, 3, 4, 5]
    assert notes == ["line 2 holds several objects: each counts as a line from there on"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"item_id": "x", "title" "no colon"}', "not_json"),
        ('{"item_id": "x", "item_id": "y"}', "duplicate_key"),
        ('["x", "y"]', "not_json"),
        ("7", "not_json"),
        ("null", "not_json"),
        ('{"deep": ' + "[" * 950 + "]" * 950 + "}", "not_json"),
        ('{"deep": ' + "[" * 100_000 + "]" * 100_000 + "}", "not_json"),
        ("[" * 1000 + "]" * 1000, "not_json"),
    ],
)
@pytest.mark.parametrize("in_list", [False, True])
def test_one_bad_row_costs_no_other(rows_of, bad, reason, in_list):
    lines = [json.dumps(ROWS[0]), bad, json.dumps(ROWS[1])]
    text = f"[{', '.join(lines)}]" if in_list else "\n".join(lines)
    rows, _ = rows_of(text)
    assert [found for _, found in rows] == [ROWS[0], reason, ROWS[1]]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"item_id": "a"}{"item_id": "b", "ti', [{"item_id": "a"}, "not_json"]),
        ('{"item_id": "a"}{"item_id": "b", "item_id": "c"}', [{"item_id": "a"}, "duplicate_key"]),
        ('{"item_id": "a"} and more', [{"item_id": "a"}, "not_json"]),
        ('{"item_id": "a", "title": "a "quoted" word"}', ["not_json"]),
        ('{"item_id": "a"}, {"item_id": "b"},', [{"item_id": "a"}, {"item_id": "b"}]),
    ],
)
def test_what_stands_beside_a_bad_row_on_one_line_is_read(rows_of, line, found):
    rows, _ = rows_of(f"{json.dumps(ROWS[0])}\n{line}\n{json.dumps(ROWS[1])}\n")
    assert [values for _, values in rows] == [ROWS[0], *found, ROWS[1]]
    assert [number for number, _ in rows] == list(range(1, len(rows) + 1))


def test_a_last_line_that_is_cut_off_after_a_whole_object_is_refused(rows_of):
    with pytest.raises(UnreadableFile, match="line 2: the last line is cut off"):
        rows_of('{"item_id": "a"}\n{"item_id": "b"}{"item_id": "c", "ti')


def test_a_first_row_that_is_cut_off_spoils_only_itself(rows_of):
    rows, _ = rows_of('{"item_id": "x", "tags": ["a", \n' + LINES)
    assert [found for _, found in rows] == ["not_json", *ROWS]


@pytest.mark.parametrize(("levels", "is_read"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False)])
def test_a_row_may_be_nested_to_the_limit(rows_of, levels, is_read):
    rows, _ = rows_of('{"item_id": ' + "[" * levels + "]" * levels + "}")
    assert (rows[0][1] != "not_json") == is_read


def test_brackets_in_texts_are_no_nesting(rows_of):
    row = {"item_id": "a", "title": "[" * 5000 + '\\"' + "{" * 5000}
    assert rows_of(json.dumps(row))[0] == [(1, row)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (json.dumps(ROWS)[:-1], 1),
        (json.dumps(ROWS)[:-9], 1),
        (json.dumps(ROWS, indent=1)[:-20], 34),
        (LINES + '\n{"item_id": "x", "ti', 6),
        (LINES + '\n{"item_id": "x", "tags": [', 6),
        ('{\n"item_id": "x",', 1),
    ],
)
def test_a_file_that_is_cut_off_is_refused_with_its_line(rows_of, text, line):
    with pytest.raises(UnreadableFile, match=rf"batch\.jsonl, line {line}: .*incomplete"):
        rows_of(text)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"item_id": {"0": "a", "1": "b"}, "title": {"0": "A", "1": "B"}}, "one object of columns"),
        ({"0": {"item_id": "a"}, "1": {"item_id": "b"}}, "one object of columns"),
        ({"columns": ["item_id"], "index": [0], "data": [["a"]]}, "orient='split'"),
    ],
)
def test_a_whole_table_in_one_object_is_refused_as_what_it_is(rows_of, table, problem):
    for text in (json.dumps(table), json.dumps(table, indent=1)):
        with pytest.raises(UnreadableFile, match=rf"{problem}[\s\S]*orient='records', lines=True"):
            rows_of(text)


def test_one_row_with_objects_inside_is_a_row(rows_of):
    row = {"item_id": "a", "variants": [{"size": "S"}], "brand": {"name": "b"}}
    assert rows_of(json.dumps(row))[0] == [(1, row)]


def test_a_list_longer_than_any_block_is_read_as_it_comes(rows_of):
    rows = [{"item_id": f"s{n}", "title": "x" * 2000} for n in range(2000)]  # 4 MB on one line
    found, _ = rows_of(json.dumps(rows))
    assert [values for _, values in found] == rows


def test_a_whole_answer_on_one_line_that_is_too_long_is_refused_as_what_it_is(rows_of, monkeypatch):
    monkeypatch.setattr("recsys.catalogue.readers.json_rows.MAX_LINE_BYTES", 1 << 16)
    answer = json.dumps({"products": [{"item_id": f"s{n}", "title": "x" * 100} for n in range(1000)]})
    for text in (answer, f"{answer}\n"):
        with pytest.raises(UnreadableFile, match=r"line 1: the line is longer than[\s\S]*jq"):
            rows_of(text)
    assert rows_of(f'{answer}\n{{"item_id": "a"}}\n')[0] == [(1, "text_too_long"), (2, {"item_id": "a"})]


@given(st.lists(st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.lists(st.text()))))
def test_any_list_of_objects_reads_as_its_objects(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "batch.jsonl"
    path.write_text("[" + ", ".join(json.dumps(row) for row in [{"item_id": "a"}, *rows]) + "]")
    reading = read(LandedFile(path, "batch.jsonl", ".jsonl", 10_000, 64))
    assert [row.values for row in reading.rows] == [{"item_id": "a"}, *rows]


def test_a_comma_before_a_closing_bracket_means_nothing(rows_of):
    text = '{"item_id": "a", "title": "x,}", "tags": ["b", ],}\n{"item_id": "c",\t}\n'
    assert [row for _, row in rows_of(text)[0]] == [
        {"item_id": "a", "title": "x,}", "tags": ["b"]},
        {"item_id": "c"},
    ]
    assert rows_of('{"item_id": "a",,}\n{"item_id": "b"}\n')[0] == [(1, "not_json"), (2, {"item_id": "b"})]


def test_python_dicts_are_named(landed):
    (row,) = read(landed("{'item_id': 'a'}\n")).rows
    assert row.fault.detail == "this is a Python dict, not JSON: write json.dumps(row)"
