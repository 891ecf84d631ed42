"""The extensions of STAC API that are implemented, and the conformance classes that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stac_fastapi.extensions import (
    CollectionSearchExtension,
    FieldsExtension,
    FilterExtension,
    FreeTextExtension,
    QueryExtension,
    SortExtension,
    TokenPaginationExtension,
)
from stac_fastapi.extensions.collection_search import CollectionSearchConformanceClasses
from stac_fastapi.extensions.fields import FieldsConformanceClasses
from stac_fastapi.extensions.filter import FilterConformanceClasses
from stac_fastapi.extensions.free_text import FreeTextConformanceClasses
from stac_fastapi.extensions.query import QueryConformanceClasses
from stac_fastapi.extensions.sort.sort import ItemCollectionSortExtension, SearchSortExtension, SortConformanceClasses

from services.stac.aggregation import AggregationClient, Aggregations
from services.stac.queryables import QueryablesClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from stac_fastapi.types.extension import ApiExtension
    from starlette.requests import Request

    from catalog.places import Places
    from services.stac.collections import Shelf

SORT_1_0: Final = "https://api.stacspec.org/v1.0.0/item-search#sort"
"""Conformance class that pystac-client 0.9 looks for; it does not know version 1.1 of the extension."""

CQL2: Final = [
    FilterConformanceClasses.CQL2_TEXT,
    FilterConformanceClasses.CQL2_JSON,
    FilterConformanceClasses.BASIC_CQL2,
    FilterConformanceClasses.ADVANCED_COMPARISON_OPERATORS,
    FilterConformanceClasses.BASIC_SPATIAL_FUNCTIONS,
    FilterConformanceClasses.BASIC_SPATIAL_FUNCTIONS_PLUS,
    FilterConformanceClasses.SPATIAL_FUNCTIONS,
    FilterConformanceClasses.TEMPORAL_FUNCTIONS,
    FilterConformanceClasses.ARRAY_FUNCTIONS,
    FilterConformanceClasses.ARITHMETIC,
    FilterConformanceClasses.PROPERTY_PROPERTY,
    FilterConformanceClasses.CASE_INSENSITIVE_COMPARISON,
    FilterConformanceClasses.ACCENT_INSENSITIVE_COMPARISON,
]
"""Conformance classes of CQL2: all but functions of one's own. Both databases answer them, with the same items."""


def extensions(shelf: Shelf, places: Callable[[Request], Places]) -> list[ApiExtension]:
    """Return the extensions that read."""
    queryables = QueryablesClient(shelf=shelf, places=places)
    aggregation = AggregationClient(backend=shelf.backend, shelf=shelf, places=places)
    return [
        TokenPaginationExtension(),
        FieldsExtension(conformance_classes=[*map(str, FieldsConformanceClasses)]),
        QueryExtension(conformance_classes=[str(QueryConformanceClasses.SEARCH), str(QueryConformanceClasses.ITEMS)]),
        SearchSortExtension(
            client=queryables,
            conformance_classes=[
                str(SortConformanceClasses.ITEM_SEARCH_SORT),
                str(SortConformanceClasses.ITEM_SEARCH_SORTABLES),
                SORT_1_0,
            ],
        ),
        ItemCollectionSortExtension(client=queryables),
        SortExtension(conformance_classes=[str(SortConformanceClasses.COLLECTION_SEARCH_SORT)]),
        FilterExtension(
            client=queryables,
            conformance_classes=[
                str(FilterConformanceClasses.FILTER),
                str(FilterConformanceClasses.SEARCH),
                str(FilterConformanceClasses.ITEMS),
                str(FilterConformanceClasses.COLLECTIONS),
                *map(str, CQL2),
            ],
        ),
        FreeTextExtension(conformance_classes=[str(FreeTextConformanceClasses.COLLECTIONS)]),
        CollectionSearchExtension(conformance_classes=[*map(str, CollectionSearchConformanceClasses)]),
        Aggregations(client=aggregation),
    ]
