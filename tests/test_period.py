"""Periods: what texts and values mean, half open, in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abut.errors import InvalidPeriodError
from abut.period import FIRST, LAST, Period, instant, parse_period


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # year, month, day and so on


MOMENT = utc(2025, 7, 3, 10)
CASES: list[tuple[Any, datetime, datetime]] = [
    ("2025", utc(2025, 1, 1), utc(2026, 1, 1)),
    ("2025-07", utc(2025, 7, 1), utc(2025, 8, 1)),
    ("2025-12", utc(2025, 12, 1), utc(2026, 1, 1)),
    ("2024-02-29", utc(2024, 2, 29), utc(2024, 3, 1)),
    ("2025-07-03T10:00:00Z", MOMENT, MOMENT + timedelta(microseconds=1)),
    ("2025-07-03t12:00:00+02:00", MOMENT, MOMENT + timedelta(microseconds=1)),
    ("2025-07/2025-08", utc(2025, 7, 1), utc(2025, 9, 1)),
    ("2025-07-03/2025", utc(2025, 7, 3), utc(2026, 1, 1)),
    ("../2025-07-03", FIRST, utc(2025, 7, 4)),
    ("2025-07-03/", utc(2025, 7, 3), LAST),
    (None, FIRST, LAST),
    (("2025-07-01", None), utc(2025, 7, 1), LAST),
    ((date(2025, 7, 1), datetime(2025, 7, 3, 10)), utc(2025, 7, 1), MOMENT + timedelta(microseconds=1)),  # noqa: DTZ001 - without a zone on purpose
    (date(2025, 7, 1), utc(2025, 7, 1), utc(2025, 7, 2)),
    (datetime(2025, 7, 3, 12, tzinfo=timezone(timedelta(hours=2))), MOMENT, MOMENT + timedelta(microseconds=1)),
    ("9999", utc(9999, 1, 1), LAST),
    ("9999-12", utc(9999, 12, 1), LAST),
]


@pytest.mark.parametrize(("value", "start", "end"), CASES, ids=[str(case[0]) for case in CASES])
def test_a_period_runs_from_the_start_of_the_first_to_the_end_of_the_last(
    value: Any, start: datetime, end: datetime
) -> None:
    found = parse_period(value)
    assert found == Period(start, end)
    assert parse_period(found) == found


NONE: list[Any] = [
    "", "..", "../..", "x", "2025-13", "2025-02-30", "2025/2026/2027", "2025-7", "2025-07-03T10:00:00",
    "2025-07-03T25:00:00Z", "0000", "\uff12\uff10\uff12\uff15", 5, 1.5, (1, 2), [], ("2025", "2026", "2027"), {"a": 1},
]  # fmt: skip


@pytest.mark.parametrize("value", NONE, ids=ascii)
def test_what_is_no_period_is_refused_by_its_value(value: Any) -> None:
    with pytest.raises(InvalidPeriodError, match="is no period; write 2025"):
        parse_period(value)


BACKWARDS = ["2026/2025", ("2025-07-02", "2025-07-01"), "2025-07-03T10:00:00Z/2025-07-03T09:00:00Z"]


@pytest.mark.parametrize("value", BACKWARDS, ids=str)
def test_a_period_that_ends_before_it_starts_is_refused(value: Any) -> None:
    with pytest.raises(InvalidPeriodError, match="ends before it starts"):
        parse_period(value)


INTERVALS = [
    ("2024-02", "2024-02-01T00:00:00Z/2024-02-29T23:59:59.999999Z"),
    ("2023/2024-02", "2023-01-01T00:00:00Z/2024-02-29T23:59:59.999999Z"),
    ("../2024", "../2024-12-31T23:59:59.999999Z"),
    ("2024/", "2024-01-01T00:00:00Z/.."),
    ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"),
    (None, ".."),
]


@pytest.mark.parametrize(("value", "expected"), INTERVALS)
def test_stac_is_asked_for_first_and_last_instant(value: str | None, expected: str) -> None:
    assert parse_period(value).interval == str(parse_period(value)) == expected


def test_a_period_is_half_open() -> None:
    july = parse_period("2025-07")
    assert utc(2025, 7, 1) in july
    assert utc(2025, 7, 31, 23, 59, 59) in july
    assert utc(2025, 8, 1) not in july


def test_times_of_a_period_have_a_zone() -> None:
    with pytest.raises(InvalidPeriodError, match="without a time zone"):
        Period(datetime(2025, 1, 1))  # noqa: DTZ001 - that is the point


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_stac_intervals_say_the_same_and_come_back(one: datetime, other: datetime) -> None:
    start, end = sorted((one, other))
    if start == end or end > LAST - timedelta(microseconds=1):
        return
    period = Period(start, end)
    assert parse_period(None if period.interval == ".." else period.interval) == period
    first, _, last = period.interval.partition("/")
    if first not in ("..", ""):
        assert instant(first) == start
    assert last in ("", "..") or instant(last) == end - timedelta(microseconds=1)
