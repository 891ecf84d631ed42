"""Values of parameters, checked: each function takes what a client sent, as text of a URL or as JSON of a body.

What has no meaning is a ValueError that names the parameter and quotes the value.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from abut.errors import BadRequestError
from abut.messages import quoted
from catalog import literals
from catalog.search import DEFAULT_LIMIT, MAX_LIMIT, Fields, SortKey

if TYPE_CHECKING:
    from collections.abc import Mapping

type Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
"""The only coordinate system of filters: longitude, latitude."""

_INSTANT: Final = re.compile(
    r"(?P<minute>\d{4}-\d\d-\d\d[Tt]\d\d:\d\d):(?P<second>\d\d(?:\.\d+)?)(?P<zone>[Zz]|[+-]\d\d:\d\d)", re.ASCII
)

_PROPERTY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_:.-]{0,127}")

_SORT_KEYS: Final = 8


def names(parameter: str, value: str | list[Any] | None) -> tuple[str, ...] | None:
    """Return the parts of a list, ``a,b`` or JSON; None if there are none: then the parameter asks for nothing."""
    parts = value.split(",") if isinstance(value, str) else value or []
    if not all(isinstance(part, str) for part in parts):
        raise BadRequestError(f"{parameter}: {quoted(value)} is not a list of names")
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in parts)))) or None


def bbox(value: str | list[Any] | None) -> Box | None:
    """Return the box on the ground of four or six numbers; west > east crosses 180 degrees."""
    if not value:
        return None
    try:
        numbers = [_number(part) for part in (value.split(",") if isinstance(value, str) else value)]
    except (TypeError, ValueError):
        raise BadRequestError(f"bbox: {quoted(value)} is not a list of numbers") from None
    if len(numbers) not in {4, 6}:
        raise BadRequestError(f"bbox: {quoted(value)} has {len(numbers)} numbers, not 4 or 6")
    half = len(numbers) // 2
    (west, south), (east, north) = numbers[:2], numbers[half : half + 2]
    if not all(-180 <= longitude <= 180 for longitude in (west, east)):
        raise BadRequestError(f"bbox: {quoted(value)} has a longitude beyond 180 degrees")
    if not -90 <= south <= north <= 90 or numbers[half - 1] > numbers[-1]:
        raise BadRequestError(f"bbox: {quoted(value)} is not in the order west, south, east, north, within 90 degrees")
    return west, south, east, north


def interval(value: str | None) -> tuple[datetime | None, datetime | None]:
    """Return first and last instant of ``datetime``; None where it is open or was not given."""
    if not value:
        return None, None
    parts = value.split("/")
    ends = [None if part in {"", ".."} else _instant(part, value) for part in parts]
    if len(parts) > 2 or not any(ends):
        raise BadRequestError(f"datetime: {quoted(value)} is neither an instant nor an interval")
    start, stop = ends[0], ends[-1]
    if start is not None and stop is not None and start > stop:
        raise BadRequestError(f"datetime: {quoted(value)} ends before it starts")
    return start, stop


def geometry(value: str | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a GeoJSON geometry in longitude and latitude."""
    if not value:
        return None
    try:
        return literals.geometry(json_object(value))
    except ValueError as error:
        raise BadRequestError(f"intersects: {error}") from error


def limit(value: int | None) -> int:
    """Return the number of items of a page: 10 if it is not given, at most 10,000."""
    return min(total(value) or DEFAULT_LIMIT, MAX_LIMIT)


def total(value: int | None) -> int | None:
    """Return the number of items that are wanted in all, or None."""
    if value is not None and value < 1:
        raise BadRequestError(f"limit: {value} is not positive")
    return value


def sortby(value: str | list[Mapping[str, str]] | None) -> tuple[SortKey, ...]:
    """Return the keys of ``+datetime,-eo:cloud_cover``, or of a list of fields and directions."""
    if isinstance(value, str):
        # A plus that was not escaped arrives as a space.
        keys = [(part.lstrip("+- "), part.lstrip(" ").startswith("-")) for part in value.split(",") if part.strip()]
    else:
        keys = [(key["field"], key.get("direction") == "desc") for key in value or []]
    if len(keys) > _SORT_KEYS:
        raise BadRequestError(f"sortby: {len(keys)} keys, more than {_SORT_KEYS}")
    return tuple(SortKey(_sortable(name), descending) for name, descending in keys)


def fields(value: str | Mapping[str, list[str] | None] | None) -> Fields:
    """Return the fields of ``id,-links``, or of an object with ``include`` and ``exclude``."""
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",")]
        exclude = [part.removeprefix("-") for part in parts if part.startswith("-")]
        include = [part.removeprefix("+").strip() for part in parts if not part.startswith("-")]
    else:
        include, exclude = ((value or {}).get(key) or [] for key in ("include", "exclude"))
    return Fields(frozenset(filter(None, include)), frozenset(filter(None, exclude)))


def json_object(value: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object that is JSON, or its text."""
    try:
        made = orjson.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise BadRequestError(f"{quoted(value)} is not JSON") from error
    if not isinstance(made, dict):
        raise BadRequestError(f"{quoted(value)} is not a JSON object")
    return made


def _number(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(number := float(value)):
        raise ValueError
    return number


def _instant(text: str, value: str) -> datetime:
    matched = _INSTANT.fullmatch(text)
    if matched is None:
        raise BadRequestError(f"datetime: {quoted(value)} is not RFC 3339 with a time zone")
    leap = matched["second"].startswith("60")
    second = "59" if leap else matched["second"]
    try:
        moment = datetime.fromisoformat(f"{matched['minute']}:{second}{matched['zone']}".upper())
        return moment.astimezone(UTC) + timedelta(seconds=leap)
    except (ValueError, OverflowError) as error:
        raise BadRequestError(f"datetime: {quoted(value)} is no time there is ({error})") from error


def _sortable(name: str) -> str:
    bare = name.removeprefix("properties.")
    if not _PROPERTY.fullmatch(bare) or bare in {"geometry", "bbox", "links", "assets", "properties"}:
        raise BadRequestError(f"sortby: {quoted(name)} is nothing to sort by")
    return bare
