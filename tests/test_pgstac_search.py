"""Searches in PostgreSQL find what the slow, obvious reference finds, and page through it in its order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given, settings

from catalog.cql2 import COMPARISONS, SPATIAL, TEMPORAL, parsed
from catalog.item import COLLECTION_ID
from catalog.pgstac import open_pgstac
from catalog.places import Places
from catalog.search import Search
from services.stac.pgstac import PgstacBackend
from tests import test_catalog_filters as embedded
from tests.catalog_scene import COLLECTION, GEOMETRIES, PLOTS, SCENE, found
from tests.postgres import new_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.from_thread import BlockingPortal

    from catalog.search import Page
    from tests.postgres import Cluster

type Find = Callable[[Search], Page]

PLACES = Places("https://h/stac", "https://h/zarr/products")
GROUND = {"property": "geometry"}
ALPS = {"type": "Polygon", "coordinates": [[[5.0, 44.0], [12.0, 44.0], [12.0, 48.0], [5.0, 48.0], [5.0, 44.0]]]}


def cases(test: Any, argument: str) -> list[Any]:
    """What a test of the embedded catalogue is tried with: here it is tried with the same."""
    values: list[Any] = next(mark.args[1] for mark in test.pytestmark if mark.args[0] == argument)
    return values


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as opened:
        yield opened


@pytest.fixture(scope="module")
def backend(postgres: Cluster, portal: BlockingPortal) -> Iterator[PgstacBackend]:
    with new_database(postgres) as url:
        with open_pgstac(url) as catalogue:
            for name in (COLLECTION_ID, PLOTS):
                catalogue.put_collection({**COLLECTION, "id": name})
            assert catalogue.upsert_many(SCENE) == len(SCENE)
        made = PgstacBackend(url)
        with portal.wrap_async_context_manager(made.running()):
            yield made


@pytest.fixture(scope="module")
def find(backend: PgstacBackend, portal: BlockingPortal) -> Find:
    return lambda search: portal.call(backend.search, search, PLACES)


@pytest.fixture(scope="module")
def everything(backend: PgstacBackend) -> list[dict[str, Any]]:
    """All items as they are listed: versions know of each other."""
    with open_pgstac(backend.url) as catalogue:
        return list(catalogue.items(withdrawn=True))


def names(items: list[Any]) -> list[tuple[str, str]]:
    return [(item["collection"], item["id"]) for item in items]


def assert_equal_to_reference(find: Find, everything: list[dict[str, Any]], condition: Any) -> None:
    language = "cql2-text" if isinstance(condition, str) else "cql2-json"
    search = Search(filter=parsed(condition, language), limit=1000)  # type: ignore[arg-type]  # one of its two
    assert names([json.loads(one) for one in find(search).features]) == names(found(everything, search))


# --- filters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", sorted(COMPARISONS))
def test_comparison(find: Find, everything: list[dict[str, Any]], operator: str) -> None:
    for arguments in cases(embedded.test_comparison, "arguments"):
        condition = {"op": operator, "args": arguments}
        assert_equal_to_reference(find, everything, condition)
        assert_equal_to_reference(find, everything, {"op": "not", "args": [condition]})


@pytest.mark.parametrize("text", cases(embedded.test_condition_as_text, "text"))
def test_condition_as_text(find: Find, everything: list[dict[str, Any]], text: str) -> None:
    assert_equal_to_reference(find, everything, text)


@pytest.mark.parametrize("operator", sorted(SPATIAL))
@pytest.mark.parametrize("geometry", [ALPS, embedded.SMALL, *filter(None, GEOMETRIES)], ids=lambda one: one["type"])
def test_spatial_relation(
    find: Find, everything: list[dict[str, Any]], operator: str, geometry: dict[str, Any]
) -> None:
    if geometry["type"] == "GeometryCollection" and operator not in {"s_intersects", "s_disjoint"}:
        pytest.skip("GEOS defines the other relations of collections in its newer versions only")
    for arguments in ([GROUND, geometry], [geometry, GROUND]):
        condition = {"op": operator, "args": arguments}
        assert_equal_to_reference(find, everything, condition)
        assert_equal_to_reference(find, everything, {"op": "not", "args": [condition]})


def test_spatial_relations_without_an_item_or_without_a_literal(find: Find, everything: list[dict[str, Any]]) -> None:
    for operator in ("s_intersects", "s_disjoint"):
        for arguments in ([ALPS, ALPS], [GROUND, GROUND]):
            condition = {"op": operator, "args": arguments}
            assert_equal_to_reference(find, everything, condition)
            assert_equal_to_reference(find, everything, {"op": "not", "args": [condition]})


@pytest.mark.parametrize("operator", sorted(TEMPORAL))
def test_temporal_relation(find: Find, everything: list[dict[str, Any]], operator: str) -> None:
    for second in cases(embedded.test_temporal_relation, "second"):
        for arguments in ([{"property": "datetime"}, second], [second, {"property": "datetime"}]):
            condition = {"op": operator, "args": arguments}
            assert_equal_to_reference(find, everything, condition)
            assert_equal_to_reference(find, everything, {"op": "not", "args": [condition]})


@settings(deadline=None, max_examples=100)
@given(condition=embedded.conditions)
def test_any_filter(find: Find, everything: list[dict[str, Any]], condition: dict[str, Any]) -> None:
    try:
        parsed(condition, "cql2-json")
    except ValueError:
        return  # text compared with numbers, and the like
    assert_equal_to_reference(find, everything, condition)
