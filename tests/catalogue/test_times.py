from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue.times import NotFinite, TimeForm

TIMES = st.datetimes(datetime(1990, 1, 2), datetime(2099, 12, 30)).map(lambda t: t.replace(microsecond=0))
EXCEL_EPOCH = datetime(1899, 12, 30)
NUMBERS = {
    "seconds since 1970": lambda t: int(t.replace(tzinfo=UTC).timestamp()),
    "milliseconds since 1970": lambda t: int(t.replace(tzinfo=UTC).timestamp()) * 10**3,
    "microseconds since 1970": lambda t: int(t.replace(tzinfo=UTC).timestamp()) * 10**6,
    "nanoseconds since 1970": lambda t: int(t.replace(tzinfo=UTC).timestamp()) * 10**9,
    "YYYYMMDDhhmmss": lambda t: int(t.strftime("%Y%m%d%H%M%S")),
    "Excel days": lambda t: (t - EXCEL_EPOCH) / timedelta(days=1),
}


def form_of(values):
    form = TimeForm("t")
    for value in values:
        form.observe(value)
    return form


@pytest.mark.parametrize("name", NUMBERS)
@given(times=st.lists(TIMES, min_size=1, max_size=5))
def test_a_column_of_numbers_is_read_back_whatever_its_unit(name, times):
    for write in (NUMBERS[name], lambda t: str(NUMBERS[name](t))):
        column = [write(time) for time in times]
        form = form_of(column)
        assert [form.read(value) for value in column] == [time.replace(tzinfo=UTC) for time in times]
        assert form.of_numbers == name
        assert form.notes() == ([] if name == "seconds since 1970" else [f"t read as {name}"])


@given(days=st.lists(st.dates(date(1990, 1, 2), date(2059, 12, 31)), min_size=1, max_size=5))
def test_days_are_read_back_as_digits_and_as_days_since_1970(days):
    midnights = [datetime(d.year, d.month, d.day, tzinfo=UTC) for d in days]
    for write in (lambda d: int(d.strftime("%Y%m%d")), lambda d: (d - date(1970, 1, 1)).days):
        column = [write(day) for day in days]
        assert [form_of(column).read(value) for value in column] == midnights


@given(st.lists(st.dates(date(1990, 1, 1), date(2100, 12, 31)), min_size=1, max_size=8), st.booleans())
def test_days_and_months_are_never_exchanged(days, is_day_first):
    column = [day.strftime("%d/%m/%Y" if is_day_first else "%m/%d/%Y") for day in days]
    form = form_of(column)
    for day, value in zip(days, column, strict=True):
        try:
            found = form.read(value)
        except ValueError:
            assert all(other.day <= 12 for other in days) and day.day != day.month
        else:
            assert found == datetime(day.year, day.month, day.day, tzinfo=UTC)


def test_dates_with_dots_begin_with_the_day_unless_the_column_shows_otherwise():
    alone = form_of(["02.11.2026", "3.4.2026 10:00"])
    assert alone.read("02.11.2026") == datetime(2026, 11, 2, tzinfo=UTC)
    assert alone.notes() == ["t read as day.month.year"]
    month_first = form_of(["02.11.2026", "11.25.2026"])
    assert month_first.read("02.11.2026") == datetime(2026, 2, 11, tzinfo=UTC)
    assert month_first.notes() == ["t read as month/day/year"]
    both = form_of(["02.11.2026", "11.25.2026", "25.11.2026"])
    with pytest.raises(ValueError, match="the column has both"):
        both.read("02.11.2026")
    mixed = form_of(["02.11.2026", "02/11/2026"])
    assert mixed.read("02.11.2026") == datetime(2026, 11, 2, tzinfo=UTC)
    with pytest.raises(ValueError, match="no value of the column shows which"):
        mixed.read("02/11/2026")


@given(
    st.lists(
        st.none() | st.integers() | st.floats() | st.text() | st.dates() | st.datetimes() | st.binary(),
        max_size=6,
    )
)
def test_every_value_is_a_time_or_an_error_that_says_why(values):
    form = form_of(values)
    for value in values:
        try:
            found = form.read(value)
        except ValueError as error:
            assert str(error)
        else:
            assert found.tzinfo is not None and found.utcoffset() == timedelta(0)


@given(st.integers(-(10**8), 10**8) | st.floats(-1e8, 1e8))
def test_no_number_becomes_a_time_around_1970(number):
    try:
        found = form_of([number]).read(number)
    except ValueError:
        return
    assert 1990 <= found.year <= 2100


@pytest.mark.parametrize(
    "written", ["Sun Nov 01 12:00:00 UTC 2026", "/Date(1793534400000)/", "/Date(1793534400000+0100)/"]
)
def test_times_as_java_and_dot_net_write_them_are_read(written):
    assert form_of([written]).read(written) == datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("column", "wrong", "why"),
    [
        ([1793700000] * 9 + [1793700000000], 1793700000000, "the column is in seconds"),
        ([1793700000, 1793700000000], 1793700000, "mixes milliseconds"),
        (["02/11/2026"], "02/11/2026", "no value of the column shows which"),
        (["13/11/2026", "11/13/2026"] * 5 + ["02/11/2026"], "02/11/2026", "the column has both"),
        (["2026-11-01 10:00:00 EST"], "2026-11-01 10:00:00 EST", "not clearly a time"),
        (["/Date(-62135596800000)/"], "/Date(-62135596800000)/", "not clearly a time"),
        (["/Date(62135596800)/"], "/Date(62135596800)/", "no time from 1990"),
        (["Sun Nov 01 12:00:00 EST 2026"], "Sun Nov 01 12:00:00 EST 2026", "not clearly a time"),
        (["Nov 2026"], "Nov 2026", "lacks a day, a month or a year"),
        (["10:00"], "10:00", "not clearly a time"),
        (["13/11/2026"] * 30 + ["11/13/2026"], "11/13/2026", "is not day/month/year, as the column is"),
        (["2026-02-30"], "2026-02-30", "not a day of the calendar"),
        (["01/02/26"], "01/02/26", "not clearly a time"),
        (["2026-11-01T10:00:00+01:00 UTC"], "2026-11-01T10:00:00+01:00 UTC", "another offset"),
        (["0001-01-01T00:00:00+14:00"], "0001-01-01T00:00:00+14:00", "years 1 to 9999"),
        ([20261399], 20261399, "no time from 1990"),
        ([True], True, "is no time"),
    ],
)
def test_what_is_not_clear_is_refused(column, wrong, why):
    with pytest.raises(ValueError, match=why):
        form_of(column).read(wrong)


def test_an_infinite_time_has_an_error_of_its_own():
    with pytest.raises(NotFinite):
        form_of(["inf"]).read("inf")


def test_a_time_that_says_itself_how_it_is_meant_needs_no_column():
    form = form_of([20261101, 20261102, "2026-11-03", datetime(2026, 11, 4), date(2026, 11, 5)])
    assert [form.read(v).day for v in (20261101, "2026-11-03", datetime(2026, 11, 4), date(2026, 11, 5))] == [
        1,
        3,
        4,
        5,
    ]
