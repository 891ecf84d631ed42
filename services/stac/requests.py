"""Requests, parsed and checked once: what a client sent becomes a `catalog.search.Search`.

Parameters of a URL and members of a body have the same names, and values that `services.stac.parameters` reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from abut.errors import BadRequestError
from catalog import cql2
from catalog.cql2_values import name_of
from catalog.search import MAX_BYTES, Search
from services.stac import parameters
from services.stac.errors import of_the_client
from services.stac.parameters import CRS84

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from catalog.search import SortKey
    from services.stac.parameters import Box

type Stream = Literal["ndjson", "geojson-seq"]
"""Formats that return all matches, one after another."""

STREAMS: Final[Mapping[str, Stream]] = {
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/geo+json-seq": "geojson-seq",
}
"""Media types that clients ask for streams with."""

PAGES: Final = frozenset({"application/geo+json", "application/json", "application/*", "*/*"})
"""Media types that clients ask for pages with."""

NOT_SUPERSEDED: Final[cql2.Node] = {
    "op": "or",
    "args": [
        {"op": "=", "args": [{"property": "deprecated"}, False]},
        # Items that are no products of the archive have no versions.
        {"op": "isNull", "args": [{"property": "deprecated"}]},
    ],
}
"""Filter of ``latest=true``."""

PAGE_BYTES: Final = MAX_BYTES
"""Bytes of items at which a page ends."""

_ALIASES: Final = {"filter_expr": "filter", "filter_lang": "filter-lang", "filter_crs": "filter-crs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A search, and how its items are to be returned."""

    search: Search
    """What is looked for."""
    complete: bool = False
    """Whether holders of the items' blocks are added."""
    stream: Stream | None = None
    """Format in which all items are returned, or None for one page."""
    total: int | None = None
    """Largest number of items of a stream, without the holders."""


def of_url(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a URL by their names, those that were not given left out."""
    return {_ALIASES.get(name, name): value for name, value in values.items() if value is not None}


async def of_body(request: Request) -> dict[str, Any]:
    """Return the members of a body, those that are null left out.

    The models have seen it before; but Python's own parser, which they use, takes numbers and text that are not JSON.
    """
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"body: not JSON ({error})") from error
    return {name: value for name, value in body.items() if value is not None}


def wanted(values: Mapping[str, Any], accept: str = "", collection: str | None = None) -> Wanted:
    """Return what is wanted of a search.

    Parameters
    ----------
    values : mapping
        Parameters, as `of_url` and `of_body` return them.
    accept : str
        The header of that name.
    collection : str, optional
        The collection whose items are asked for.

    Raises
    ------
    BadRequestError
        If a value has no meaning; the message names the parameter and quotes the value.
    """
    return Wanted(
        search=search(values, collection),
        complete=bool(values.get("complete")),
        stream=_stream(values.get("f"), accept),
        total=parameters.total(values.get("limit")),
    )


@of_the_client()
def search(values: Mapping[str, Any], collection: str | None = None) -> Search:
    """Return a search; the arguments are those of `wanted`."""
    box, area = parameters.bbox(values.get("bbox")), parameters.geometry(values.get("intersects"))
    if box is not None and area is not None:
        raise BadRequestError("bbox and intersects exclude each other")
    start, stop = parameters.interval(values.get("datetime"))
    return Search(
        collections=(collection,) if collection else parameters.names("collections", values.get("collections")),
        ids=parameters.names("ids", values.get("ids")),
        bbox=box,
        intersects=area,
        start=start,
        stop=stop,
        filter=cql2.both(
            condition(values),
            _query(values.get("query")),
            NOT_SUPERSEDED if values.get("latest") else None,
        ),
        sortby=_sortby(values.get("sortby")),
        limit=parameters.limit(values.get("limit")),
        most_bytes=PAGE_BYTES,
        token=values.get("token") or None,
        fields=parameters.fields(values.get("fields")),
    )


def _sortby(value: Any) -> tuple[SortKey, ...]:
    keys = parameters.sortby(value)
    for key in keys:
        name_of({"property": key.property})  # refuses what items can't be sorted by
    return keys


@of_the_client()
def condition(values: Mapping[str, Any]) -> cql2.Node | None:
    """Return the filter of a request, checked."""
    expression, language = values.get("filter"), values.get("filter-lang")
    if values.get("filter-crs", CRS84) != CRS84:
        raise BadRequestError(f"filter-crs: {values['filter-crs']!r} is not {CRS84}")
    if not expression:
        return None
    is_json = not isinstance(expression, str) or expression.lstrip().startswith("{")
    return cql2.parsed(expression, language or ("cql2-json" if is_json else "cql2-text"))


def ground_and_time(values: Mapping[str, Any]) -> tuple[Box | None, Any, Any]:
    """Return box, first and last instant of a search of collections."""
    return parameters.bbox(values.get("bbox")), *parameters.interval(values.get("datetime"))


def _query(value: str | Mapping[str, Any] | None) -> cql2.Node | None:
    try:
        query = parameters.json_object(value) if value else None
    except ValueError as error:
        raise BadRequestError(f"query: {error}") from error
    return cql2.from_query(query) if query else None


def _stream(form: str | None, accept: str) -> Stream | None:
    """Return the format that ``f`` names, or else the one that is best accepted."""
    if form is not None:
        return "ndjson" if form == "ndjson" else "geojson-seq" if form == "geojson-seq" else None
    best, chosen = 0.0, None
    for one in accept.lower().split(","):
        media, _, options = one.partition(";")
        weight = quality(options)
        if (media.strip() in STREAMS or media.strip() in PAGES) and weight > best:
            best, chosen = weight, STREAMS.get(media.strip())
    return chosen


def quality(options: str) -> float:
    """Return the weight ``q`` of one choice of an ``Accept...`` header; what is no number counts nothing."""
    for option in options.split(";"):
        name, _, value = option.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
