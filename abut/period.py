"""Periods: stretches of time that products are asked for by, written as people and STAC write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from abut.errors import InvalidPeriodError
from abut.messages import quoted

FIRST: Final = datetime.min.replace(tzinfo=UTC)
"""Start of a period that is open."""
LAST: Final = datetime.max.replace(tzinfo=UTC)
"""End of a period that is open."""

_DATE: Final = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_OPEN: Final = frozenset({"", ".."})
_MOMENT: Final = timedelta(microseconds=1)
_EXAMPLES: Final = "write 2025, 2025-07, 2025-07-03, 2025-07-03T10:00:00Z, or two of them as a/b (.. is open)"


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A stretch of time, half open: its start belongs to it, its end does not.

    Raises
    ------
    InvalidPeriodError
        If it has no length, or a time has no zone.
    """

    start: datetime = FIRST
    """First instant, UTC; the smallest there is if open."""
    end: datetime = LAST
    """First instant after it, UTC; the largest there is if open."""

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise InvalidPeriodError(f"period {self.start} to {self.end}: times without a time zone")
        if self.start >= self.end:
            raise InvalidPeriodError(f"period {self.start.isoformat()} to {self.end.isoformat()} ends before it starts")

    @property
    def interval(self) -> str:
        """STAC's ``datetime`` of it: first and last instant, both included; ``..`` where it is open, or is all."""
        start = ".." if self.start == FIRST else _rfc3339(self.start)
        end = ".." if self.end == LAST else _rfc3339(self.end - _MOMENT)
        return start if start == end else f"{start}/{end}"

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def __str__(self) -> str:
        return self.interval


_ALWAYS: Final = Period()


def parse_period(value: Any) -> Period:
    """Return the period that a value says.

    Parameters
    ----------
    value : str, date, datetime, Period, pair of these, or None
        A year, month or day (all of it, UTC), an instant with time zone (itself alone), or two of them, ``a/b`` or
        ``(a, b)``: from the start of the first to the end of the second. ``..``, an empty text or None is an open
        end; None alone is all time. A datetime without a time zone is UTC, as in xarray.

    Raises
    ------
    InvalidPeriodError
        If it is none of these, no calendar has it, or it ends before it starts.
    """
    if value is None:
        return _ALWAYS
    if isinstance(value, Period):
        return value
    ends = _ends(value)
    if len(ends) > 2 or not ends or (isinstance(value, str) and all(end is None for end in ends)):
        raise InvalidPeriodError(f"{quoted(value)} is no period; {_EXAMPLES}")
    first, last = _span(ends[0], value), _span(ends[-1], value)
    if first.start >= last.end:
        raise InvalidPeriodError(f"period {quoted(value)} ends before it starts")
    return Period(first.start, last.end)


def instant(text: Any) -> datetime:
    """Return an RFC 3339 time as a datetime in UTC.

    Raises
    ------
    ValueError
        If it is not RFC 3339 with time and time zone.
    """
    if isinstance(text, str) and "T" in text.upper()[:11]:
        try:
            moment = datetime.fromisoformat(text.strip().upper())
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"{quoted(text)} is not an RFC 3339 time such as 2025-08-01T00:00:00Z")


def _ends(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [None if part.strip() in _OPEN else part.strip() for part in value.split("/")]
    if isinstance(value, Sequence):
        return [None if isinstance(end, str) and end.strip() in _OPEN else end for end in value]
    return [value]


def _span(end: Any, whole: Any) -> Period:
    """Return all that one end of an interval covers."""
    if end is None:
        return _ALWAYS
    if isinstance(end, Period):
        return end
    if isinstance(end, datetime):
        return _at(end if end.tzinfo else end.replace(tzinfo=UTC))
    if isinstance(end, date):
        end = end.isoformat()
    if not isinstance(end, str):
        raise InvalidPeriodError(f"{quoted(whole)} is no period; {_EXAMPLES}")
    found = _DATE.fullmatch(end)
    try:
        return _days(*found.groups()) if found else _at(instant(end))
    except ValueError as error:
        raise InvalidPeriodError(f"{quoted(whole)} is no period; {_EXAMPLES}") from error


def _days(year: str, month: str | None, day: str | None) -> Period:
    start = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    try:
        if day:
            return Period(start, start + timedelta(days=1))
        if month and start.month < 12:
            return Period(start, start.replace(month=start.month + 1))
        return Period(start, start.replace(year=start.year + 1, month=1))
    except (ValueError, OverflowError):
        return Period(start)  # the last there is


def _at(moment: datetime) -> Period:
    start = moment.astimezone(UTC)
    return Period(start, start + _MOMENT if start < LAST - _MOMENT else LAST)


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
