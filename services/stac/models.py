"""The parameters of requests, as the OpenAPI document describes them; `services.stac.requests` reads their values.

Without `from __future__ import annotations`: FastAPI and pydantic read the annotations when the program runs.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import Body, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from stac_fastapi.types.search import APIRequest

from catalog.search import DEFAULT_LIMIT, MAX_BYTES, MAX_LIMIT

type FilterLanguage = Literal["cql2-text", "cql2-json"]
"""Encodings of a filter."""

type Format = Literal["json", "geojson", "ndjson", "geojson-seq"]
"""Formats of items: a page with links, or all items one after another."""

_LIMIT: Final = (
    f"Items of a page, {DEFAULT_LIMIT} if not given; more than {MAX_LIMIT:,} are lowered to that, and a page ends "
    f"before its items are larger than {MAX_BYTES // 1_000_000} MB. "
    "Where items are streamed: of all; all if not given."
)

CollectionId = Annotated[str, Path(description="Id of the collection.")]
ItemId = Annotated[str, Path(description="Id of the item.")]

_Names = Annotated[
    str | None, Query(description="Ids, separated by commas; none: all.", openapi_examples={"one": {"value": "a"}})
]
_Box = Annotated[
    str | None,
    Query(
        description="West, south, east, north in degrees (or with heights, six numbers), which the geometry must "
        "touch. West > east crosses 180 degrees.",
        openapi_examples={"Stockholm": {"value": "17.5,59,18.5,59.6"}},
    ),
]
_Datetime = Annotated[
    str | None,
    Query(
        description="Instant in RFC 3339, or interval `start/end`, both ends included; `..` is an open end.",
        openapi_examples={"August 2023": {"value": "2023-08-01T00:00:00Z/2023-08-31T23:59:59Z"}},
    ),
]
_Filter = Annotated[
    str | None,
    Query(
        alias="filter",
        description="Condition in CQL2, text or JSON; the names in it are those of the queryables.",
        openapi_examples={"clear": {"value": "eo:cloud_cover < 20 AND \"grid:code\" = 'MGRS-33VXF'"}},
    ),
]
_FilterLanguage = Annotated[
    FilterLanguage | None,
    Query(alias="filter-lang", description="Encoding of `filter`; without it, JSON is what starts with a brace."),
]
_FilterCrs = Annotated[
    str | None, Query(alias="filter-crs", description="Coordinate system of `filter`: CRS84, longitude and latitude.")
]
_SortBy = Annotated[
    str | None,
    Query(
        description="Properties to sort by, separated by commas, `-` before one: largest first. Items that lack it "
        "come last. Without it: latest first.",
        openapi_examples={"clearest first": {"value": "eo:cloud_cover,-datetime"}},
    ),
]
_Fields = Annotated[
    str | None,
    Query(
        description="Fields to return, separated by commas, `-` before one: to leave out.",
        openapi_examples={"few": {"value": "id,properties.eo:cloud_cover,-links"}},
    ),
]
_Query = Annotated[
    str | None,
    Query(
        description="Conditions on properties, as JSON.",
        openapi_examples={"clear": {"value": '{"eo:cloud_cover": {"lt": 20}}'}},
    ),
]
_Latest = Annotated[bool, Query(description="Leave out products that a later version supersedes.")]
_Complete = Annotated[
    bool,
    Query(
        description="Add to each page the products that hold blocks of its products (links `abut:neighbour`), "
        "whether they match or not, withdrawn ones too; the page names those that were added in `abut:completed`. "
        "They may be on other pages again; a stream has each once, after the matches."
    ),
]
_Limit = Annotated[int | None, Query(ge=1, description=_LIMIT)]
_Token = Annotated[str | None, Query(description="Page to return, from a link `next` or `prev`.")]
_Format = Annotated[
    Format | None,
    Query(description="Format, before the header Accept: `ndjson` and `geojson-seq` stream all matches, item by item."),
]
_Aggregations = Annotated[
    str | None, Query(description="Names of aggregations, separated by commas; without it: all there are.")
]


@dataclass(kw_only=True)
class Root(APIRequest):
    """No parameters."""


@dataclass(kw_only=True)
class Collection(APIRequest):
    """A collection."""

    collection_id: CollectionId


@dataclass(kw_only=True)
class Item(APIRequest):
    """An item."""

    collection_id: CollectionId
    item_id: ItemId


@dataclass(kw_only=True)
class Conditions(APIRequest):
    """What items have to fulfil."""

    bbox: _Box = None
    datetime: _Datetime = None
    filter_expr: _Filter = None
    filter_lang: _FilterLanguage = None
    filter_crs: _FilterCrs = None
    query: _Query = None
    latest: _Latest = False


@dataclass(kw_only=True)
class Presentation(APIRequest):
    """How items are returned."""

    sortby: _SortBy = None
    fields: _Fields = None
    limit: _Limit = None
    token: _Token = None
    complete: _Complete = False
    f: _Format = None


@dataclass(kw_only=True)
class Selection(APIRequest):
    """Conditions that the items of one collection know only in a search."""

    ids: _Names = None
    intersects: Annotated[
        str | None,
        Query(description="GeoJSON geometry in longitude and latitude that the item's must touch; not with `bbox`."),
    ] = None


@dataclass(kw_only=True)
class SearchGet(Presentation, Selection, Conditions):
    """Search of items."""

    collections: _Names = None


@dataclass(kw_only=True)
class ItemsGet(Presentation, Conditions):
    """Items of a collection."""

    collection_id: CollectionId
    collections: _Names = None
    """That collection again: pystac-client says so in `CollectionClient.get_items`."""


@dataclass(kw_only=True)
class AggregateGet(Selection, Conditions):
    """Aggregation of a search."""

    aggregations: _Aggregations = None
    collections: _Names = None


@dataclass(kw_only=True)
class CollectionAggregateGet(Selection, Conditions):
    """Aggregation of a search in a collection."""

    collection_id: CollectionId
    aggregations: _Aggregations = None


@dataclass(kw_only=True)
class CollectionsGet(APIRequest):
    """Search of collections."""

    bbox: _Box = None
    datetime: _Datetime = None
    q: Annotated[
        str | None, Query(description="Words or phrases, separated by commas, one of which the texts must have.")
    ] = None
    filter_expr: _Filter = None
    filter_lang: _FilterLanguage = None
    filter_crs: _FilterCrs = None
    sortby: _SortBy = None
    fields: _Fields = None
    limit: Annotated[int, Query(ge=1, description=f"Collections of a page, at most {MAX_LIMIT:,}.")] = 1_000
    offset: Annotated[int, Query(ge=0, description="Number of collections to skip.")] = 0


class SortBy(BaseModel):
    """One key to sort by."""

    model_config = ConfigDict(extra="forbid", strict=True)

    field: str = Field(description="Name of a property.", examples=["properties.eo:cloud_cover"])
    direction: Literal["asc", "desc"] = "asc"


class FieldsOf(BaseModel):
    """Fields to return or to leave out."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include: list[str] | None = None
    exclude: list[str] | None = None


_Listed = Annotated[list[str] | str | None, Field(examples=[["a", "b"], "a,b"])]


class ConditionsPost(BaseModel):
    """What items have to fulfil."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: _Listed = Field(None, description="Ids of items; none: all.")
    bbox: list[float] | None = Field(
        None, description="West, south, east, north in degrees, or with heights, six numbers.", max_length=6
    )
    intersects: dict[str, Any] | None = Field(None, description="GeoJSON geometry; not with `bbox`.")
    datetime: str | None = Field(None, description="Instant in RFC 3339, or interval `start/end`.")
    filter: dict[str, Any] | str | None = Field(None, description="Condition in CQL2, JSON or text.")
    filter_lang: FilterLanguage | None = Field(None, alias="filter-lang", description="Encoding of `filter`.")
    filter_crs: str | None = Field(None, alias="filter-crs", description="Coordinate system of `filter`: CRS84.")
    query: dict[str, dict[str, Any]] | None = Field(None, description="Conditions on properties.")
    latest: bool | None = Field(None, description="Leave out products that a later version supersedes.")


class SearchPost(ConditionsPost):
    """Search of items."""

    collections: _Listed = Field(None, description="Ids of collections; none: all.")
    sortby: list[SortBy] | None = Field(None, description="Keys in order of weight; none: latest first.")
    fields: FieldsOf = Field(FieldsOf(), description="Fields to return or to leave out.")
    limit: int | None = Field(None, ge=1, description=_LIMIT)
    token: str | None = Field(None, description="Page to return, from a link `next` or `prev`.")
    complete: bool | None = Field(None, description="Add the products that hold blocks of the page's products.")


class CollectionAggregatePost(ConditionsPost):
    """Aggregation of a search in a collection."""

    aggregations: list[str] | None = Field(None, description="Names of aggregations; none: all there are.")


@dataclass(kw_only=True)
class CollectionAggregateBody(APIRequest):
    """Aggregation of a search in a collection, by POST."""

    collection_id: CollectionId
    body: Annotated[CollectionAggregatePost, Body()]


class AggregatePost(CollectionAggregatePost):
    """Aggregation of a search."""

    collections: _Listed = Field(None, description="Ids of collections; none: all.")
