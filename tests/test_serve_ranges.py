"""Byte ranges and conditions as RFC 9110 has them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ranges import ByteRange, Entity, UnsatisfiableRangeError, parse_range, range_holds, refusal

THEN = datetime(2026, 3, 1, 12, 0, 0, 600_000, tzinfo=UTC)
ENTITY = Entity(100, '"a"', THEN)
AT = "Sun, 01 Mar 2026 12:00:00 GMT"
BEFORE = "Sun, 01 Mar 2026 11:59:59 GMT"
AFTER = "Sun, 01 Mar 2026 12:00:01 GMT"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-500", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("BYTES= 5-6 ", (5, 7)),
    ],
)
def test_range_of_an_object_of_100_bytes(text: str, part: tuple[int, int]) -> None:
    found = parse_range(text)
    assert found is not None
    assert found.within(100) == part


@pytest.mark.parametrize(
    "text",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "lines=0-1", "bytes=0-1,3-4", "bytes=+1-2"],
)
def test_what_is_no_single_range_is_ignored(text: str | None) -> None:
    assert parse_range(text) is None


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={10**17}-"])
def test_range_outside_of_an_object_is_refused_with_its_size(text: str) -> None:
    found = parse_range(text)
    assert found is not None
    with pytest.raises(UnsatisfiableRangeError) as refused:
        found.within(100)
    assert refused.value.size == 100


@given(st.integers(0, 300), st.integers(0, 300), st.binary(min_size=1, max_size=200))
def test_ranges_cut_as_slices_do(first: int, last: int, data: bytes) -> None:
    wanted = data[first : last + 1]
    found = parse_range(f"bytes={first}-{last}")
    if last < first:
        assert found is None
    elif wanted:
        assert found is not None
        start, stop = found.within(len(data))
        assert data[start:stop] == wanted
    else:
        assert found is not None
        with pytest.raises(UnsatisfiableRangeError):
            found.within(len(data))


@given(st.text(max_size=40))
def test_any_header_is_a_range_or_none(text: str) -> None:
    assert parse_range(text) is None or isinstance(parse_range(text), ByteRange)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, None),
        ({"if-none-match": '"a"'}, 304),
        ({"if-none-match": 'W/"a"'}, 304),
        ({"if-none-match": '"b", "a"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"b"'}, None),
        ({"if-none-match": '"b"', "if-modified-since": AFTER}, None),
        ({"if-modified-since": AT}, 304),
        ({"if-modified-since": AFTER}, 304),
        ({"if-modified-since": BEFORE}, None),
        ({"if-modified-since": "yesterday"}, None),
        ({"if-match": '"a"'}, None),
        ({"if-match": "*"}, None),
        ({"if-match": 'W/"a"'}, 412),
        ({"if-match": '"b"'}, 412),
        ({"if-match": '"a"', "if-unmodified-since": BEFORE}, None),
        ({"if-unmodified-since": AT}, None),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-match": '"b"', "if-none-match": '"a"'}, 412),
    ],
)
def test_conditions(headers: dict[str, str], status: int | None) -> None:
    assert refusal(headers, ENTITY) == status


def test_a_range_is_for_the_object_that_it_was_asked_of() -> None:
    assert range_holds({}, ENTITY)
    assert range_holds({"if-range": '"a"'}, ENTITY)
    assert range_holds({"if-range": AT}, ENTITY)
    assert not range_holds({"if-range": '"b"'}, ENTITY)
    assert not range_holds({"if-range": 'W/"a"'}, ENTITY)
    assert not range_holds({"if-range": AFTER}, ENTITY)
