"""CSV as spreadsheets, pandas and joined exports write it."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue.readers.opening import read
from recsys.catalogue.readers.rows import LandedFile
from recsys.errors import UnreadableFile

ROWS = [
    {"item_id": f"s{n}", "title": f"A cup, large; no. {n}", "tags": "tea|cup", "price": "1,5"}
    for n in range(1, 6)
]


def written(separator=",", end="\n", rows=ROWS):
    sink = io.StringIO()
    table = csv.DictWriter(sink, list(rows[0]), delimiter=separator, lineterminator=end)
    table.writeheader()
    table.writerows(rows)
    return sink.getvalue()


def values(rows):
    return [found for _, found in rows]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_and_line_ends_are_detected(rows_of, separator, end):
    rows, notes = rows_of(written(separator, end), ".csv")
    assert values(rows) == ROWS
    assert [line for line, _ in rows] == [2, 3, 4, 5, 6]
    assert any("separated by" in note for note in notes) == (separator != ",")


def test_text_with_many_other_separators_does_not_mislead(rows_of):
    rows = [{"item_id": f"s{n}", "title": "a;b;c;d|e\tf"} for n in range(9)]
    assert values(rows_of(written(rows=rows), ".csv")[0]) == rows


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_line_that_excel_wants_names_the_separator(rows_of, line):
    rows, notes = rows_of(f"{line}\r\n{written(';', chr(13) + chr(10))}", ".csv")
    assert values(rows) == ROWS
    assert rows[0][0] == 3
    assert notes[0].startswith("the line `sep=`")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_title_lines_above_the_header_are_ignored_and_reported(rows_of, separator):
    above = f"Products of the spring; 2026{separator}\nprinted by Ann\n \n\n"
    rows, notes = rows_of(above + written(separator), ".csv")
    assert values(rows) == ROWS
    assert [line for line, _ in rows] == [6, 7, 8, 9, 10]
    assert "3 rows above the header ignored" in notes


def test_title_lines_that_a_spreadsheet_ends_with_its_empty_columns_are_ignored(rows_of):
    rows, notes = rows_of("Products of the spring,,,\nprinted,by Ann,,\n,,,\n" + written(), ".csv")
    assert values(rows) == ROWS
    assert {"2 rows above the header ignored", "1 empty row ignored"} <= set(notes)


def test_a_single_title_line_may_be_as_wide_as_the_header(rows_of):
    rows, notes = rows_of("Spring list,Ann,2026,v1\n" + written(","), ".csv")
    assert values(rows) == ROWS and "1 row above the header ignored" in notes


def test_rows_as_wide_as_a_later_header_are_no_title_lines(rows_of):
    table = written()
    joined = table.partition("\n")[2] + table
    rows, notes = rows_of(joined, ".csv")
    assert not any("above the header" in note for note in notes)
    assert len(rows) == 2 * len(ROWS)  # one line less as a header, and the real header as a row


def test_lines_in_quotes_are_refused_as_what_they_are(rows_of):
    with pytest.raises(UnreadableFile, match="each line is one value in quotes"):
        rows_of('"item_id,title"\n"s1,Cup"\n', ".csv")


def test_quotes_escaped_by_backslashes_are_read_where_the_file_is_no_csv_without(rows_of):
    rows, notes = rows_of('item_id,title\ns1,"A 15\\" screen, wide"\ns2,"C:\\\\cups"\ns3,\\N\n', ".csv")
    assert values(rows) == [
        {"item_id": "s1", "title": 'A 15" screen, wide'},
        {"item_id": "s2", "title": "C:\\cups"},
        {"item_id": "s3", "title": "\\N"},
    ]
    assert notes == ["quotes are escaped by backslashes"]
    rows, notes = rows_of('item_id,title\ns1,"C:\\cups\\"\ns2,15\\" wide\ns3,"a ""b"" c"\n', ".csv")
    assert values(rows) == [
        {"item_id": "s1", "title": "C:\\cups\\"},
        {"item_id": "s2", "title": '15\\" wide'},
        {"item_id": "s3", "title": 'a "b" c'},
    ]
    assert not notes


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_are_detected(rows_of, encoding):
    rows = [{"item_id": "s1", "title": "Ein grüner Becher 🍵"}]
    text = written(rows=rows)
    if encoding in {"utf-16-le", "utf-16-be"}:
        assert values(rows_of(text.encode(encoding), ".csv")[0]) == rows  # without a mark
        text = "\ufeff" + text
    assert values(rows_of(text.encode(encoding), ".csv")[0]) == rows


def test_the_index_of_pandas_is_ignored_and_reported(rows_of):
    rows, notes = rows_of(",item_id,title\n0,s1,Cup\n1,s2,Pot\n", ".csv")
    assert values(rows) == [{"item_id": "s1", "title": "Cup"}, {"item_id": "s2", "title": "Pot"}]
    assert notes == ["column 1 has no name (an index that pandas wrote?): ignored"]
    rows, notes = rows_of("Unnamed: 0,item_id\n0,s1\n", ".csv")
    assert values(rows) == [{"item_id": "s1"}]
    assert notes == ["column Unnamed: 0 (an index that pandas wrote) ignored"]


def test_empty_columns_and_rows_of_a_spreadsheet_are_ignored_and_reported(rows_of):
    rows, notes = rows_of("item_id,title,,\ns1,Cup,,\n,,,\ns2,Pot,,,,,\n", ".csv")
    assert values(rows) == [{"item_id": "s1", "title": "Cup"}, {"item_id": "s2", "title": "Pot"}]
    assert notes == ["2 empty columns without a name ignored", "1 empty row ignored"]


def test_a_value_in_a_column_without_a_name_is_not_lost_silently(rows_of):
    assert values(rows_of("item_id,title,\ns1,Cup, large\n", ".csv")[0]) == ["wrong_fields"]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_in_the_middle_is_no_item(rows_of, mark):
    text = f"{mark}{written()}{mark}{written()}"
    assert values(rows_of(text, ".csv")[0]) == [*ROWS, "repeated_header", *ROWS]


def test_a_cr_inside_a_field_is_part_of_it(rows_of):
    rows, _ = rows_of('item_id,title\ns1,one\rtwo\ns2,"three\rfour"\n', ".csv")
    assert values(rows) == [{"item_id": "s1", "title": "one\rtwo"}, {"item_id": "s2", "title": "three\rfour"}]


def test_a_header_that_names_a_column_twice_is_refused(rows_of):
    with pytest.raises(UnreadableFile, match="line 1: columns 2 and 3 have one name"):
        rows_of("item_id,title,title\na,b,c\n", ".csv")


def test_no_value_of_a_row_is_shown_where_a_header_is_missing(landed):
    rows = list(read(landed(b"ann@example.org,s1\nbob,\xff\n", ".csv")).rows)
    assert rows[0].fault.detail.startswith("column 2 is not UTF-8")


@given(
    st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=5),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_what_csv_writes_is_read_again(tmp_path_factory, table, separator):
    rows = [{"item_id": f"s{n}", "title": a, "note": b} for n, (a, b) in enumerate(table)]
    sink = io.StringIO()
    csv.writer(sink, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(
        [["item_id", "title", "note"], *(list(row.values()) for row in rows)]
    )
    path = tmp_path_factory.mktemp("any") / "batch.csv"
    path.write_bytes(sink.getvalue().encode("utf-8", "surrogatepass"))
    reading = read(LandedFile(path, "batch.csv", ".csv", 200, 64))
    for row, wanted in zip(reading.rows, rows, strict=True):
        broken = any(
            "\0" in text or "\ud800" <= char <= "\udfff" for text in wanted.values() for char in text
        )
        assert bool(row.fault) == broken
        if not broken:
            plain = {k: v.replace("\n\ufeff", "\n") for k, v in wanted.items() if v}
            assert row.values == plain


@pytest.mark.parametrize(
    "drawn",
    [
        " item_id | title \n---------+-------\n s1      | Shoe\n s2      | Pan\n(2 rows)\n",
        "+----+----+\n| item_id | title |\n+----+----+\n| s1 | Shoe |\n| s2 | Pan |\n+----+----+\n",
        "| item_id | title |\n|:--- | ---|\n| s1 | Shoe |\n| s2 | Pan |\n",
    ],
)
def test_tables_that_psql_mysql_and_markdown_draw_are_read(rows_of, drawn):
    rows, notes = rows_of(drawn, ".txt")
    assert [values for _, values in rows] == [
        {"item_id": "s1", "title": "Shoe"},
        {"item_id": "s2", "title": "Pan"},
    ]
    assert any("drawn line" in note for note in notes)


def test_texts_that_spreadsheets_hold_as_formulas_are_their_text(rows_of):
    rows, notes = rows_of('item_id,title\n="007","=""Say """"hi"""""""\n8,"=1+1"\n', ".csv")
    assert [values for _, values in rows] == [
        {"item_id": "007", "title": 'Say "hi"'},
        {"item_id": "8", "title": "=1+1"},
    ]
    assert notes == ['values written as ="…", a formula of spreadsheets, were read as their text']


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("1::Toy Story (1995)::Animation|Comedy\n", "'::'"),
        ("item_id\x01title\ns1\x01Shoe\n", "control-A"),
        ("item_id~title\ns1~Shoe\n", "'~'"),
        ("user_id item_id rating\n1 2 3\n", "blanks"),
    ],
)
def test_other_separators_are_refused_by_name(rows_of, text, separator):
    with pytest.raises(UnreadableFile, match=f"separated by {re.escape(separator)}"):
        rows_of(text, ".txt")


def test_a_row_of_many_dashes_is_no_drawn_line(rows_of):
    dashes = "-" * 1_000_000 + "x"
    assert rows_of(f"title,item_id\n{dashes},1\n", ".csv")[0] == [(2, {"title": dashes, "item_id": "1"})]
