"""Byte ranges and conditions of HTTP requests (RFC 9110, sections 13 and 14), as plain functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CONDITIONS: Final = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"})
"""Headers whose meaning depends on what there is: an object is looked up before it is read."""

_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII | re.IGNORECASE)
_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')


class UnsatisfiableRangeError(ValueError):
    """A range lies outside of an object."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the range lies outside of an object of {size} bytes")
        self.size = size


@dataclass(frozen=True, slots=True)
class ByteRange:
    """One range, as it was asked for."""

    first: int | None
    """First byte; None: the range counts from the end."""
    last: int | None
    """Last byte, included, None: to the end; without `first` the number of bytes at the end."""

    def within(self, size: int) -> tuple[int, int]:
        """Return first byte and byte after the last in an object of a size.

        Raises
        ------
        UnsatisfiableRangeError
            If no byte of the object is in the range.
        """
        if self.first is None:
            start, stop = max(size - (self.last or 0), 0), size
        else:
            start, stop = self.first, size if self.last is None else min(self.last + 1, size)
        if start >= stop:
            raise UnsatisfiableRangeError(size)
        return start, stop


@dataclass(frozen=True, slots=True)
class Entity:
    """What HTTP wants to know of an object."""

    size: int
    """Bytes."""
    tag: str
    """Strong entity tag, quoted."""
    modified: datetime
    """When it was written."""

    @property
    def last_modified(self) -> str:
        """Its time as HTTP writes it, in whole seconds."""
        return format_datetime(self.modified.astimezone(UTC), usegmt=True)


def parse_range(text: str | None) -> ByteRange | None:
    """Return the range of a ``Range`` header, or None if the whole object is to be sent.

    That is so too for what is no range, and for several ranges at once: a server may ignore the header, and objects
    are small.
    """
    found = _RANGE.fullmatch(text or "")
    if found is None or not (found[1] or found[2]):
        return None
    first, last = (int(part) if part else None for part in found.groups())
    if first is not None and last is not None and last < first:
        return None
    return ByteRange(first, last)


def refusal(headers: Mapping[str, str], entity: Entity) -> int | None:
    """Return the status that a request's conditions call for instead of the object: 304, 412, or None.

    Parameters
    ----------
    headers : mapping
        Of the request, names in lower case.
    entity : Entity
        What there is.
    """
    if "if-match" in headers:
        if not _names(headers["if-match"], entity.tag, weak=False):
            return 412
    elif _later(entity, headers.get("if-unmodified-since")):
        return 412
    if "if-none-match" in headers:
        return 304 if _names(headers["if-none-match"], entity.tag, weak=True) else None
    since = headers.get("if-modified-since")
    return 304 if since is not None and _later(entity, since) is False else None


def range_holds(headers: Mapping[str, str], entity: Entity) -> bool:
    """Whether a range may be served: there is no ``If-Range``, or it names exactly what there is."""
    wanted = headers.get("if-range")
    return wanted is None or wanted.strip() in (entity.tag, entity.last_modified)


def _names(text: str, tag: str, *, weak: bool) -> bool:
    if text.strip() == "*":
        return True
    return any(found[1] == tag and (weak or not found[0].startswith("W/")) for found in _TAG.finditer(text))


def _later(entity: Entity, text: str | None) -> bool | None:
    """Whether an object is younger than a date of HTTP; None if there is no date, or what is none."""
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return entity.modified.replace(microsecond=0) > date
