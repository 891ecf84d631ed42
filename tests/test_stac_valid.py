"""Items, collection and exports are valid for pystac and stac-validator, offline, in every form that leaves Abut."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import pystac
import pytest
from stac_validator.validate import StacValidate  # type: ignore[import-untyped] # ships no type information

from catalog import extensions, make_collection
from catalog.export import export_static
from catalog.hrefs import absolute
from catalog.opening import open_catalogue
from catalog.places import ItemLink, Places, served
from catalog.versions import EXTENSION, family, told
from services.stac.collections import served as served_collection
from services.stac.guard import as_stored
from services.stac.shelving import as_stored as collection_as_stored
from services.tiles.links import collection_links, tile_links
from tests.listed import Listed, make_listed, products
from tests.stac_schemas import schemas, validate_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLACES = Places(
    "https://example.org/stac",
    "https://example.org/zarr/products",
    (ItemLink("tilejson", "https://example.org/tiles/{collection}/{id}", "application/json", "Tiles"),),
)

WITH_TILES = Places(
    PLACES.api,
    PLACES.products,
    tile_links("https://example.org"),
    collection_links("https://example.org"),
)


@cache
def stored() -> list[dict[str, Any]]:
    return products()


def listed(item: dict[str, Any]) -> dict[str, Any]:
    """The item as a catalogue has it, which tells versions of each other."""
    versions = told(one for one in stored() if family(one) == family(item))
    return next(one for one in versions if one["id"] == item["id"])


FORMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "as stored": lambda item: item,
    "as listed": listed,
    "as served": lambda item: served(listed(item), PLACES),
    "as served where map tiles are": lambda item: served(listed(item), WITH_TILES),
    "absolute": lambda item: absolute(item, "s3://bucket/l1c"),
}

ITEMS = {
    name: number
    for number, name in enumerate(["released", "whole", "superseded", "holds nothing", "at 180", "later", "withdrawn"])
}


@pytest.fixture(scope="module")
def stac_validator(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], list[Any]]:
    """Validate by stac-validator with copies of the schemas; returns what it complains of."""
    folder, places = tmp_path_factory.mktemp("schemas"), {}
    for number, (address, schema) in enumerate(schemas().items()):
        path = folder / f"{number}.json"
        path.write_text(json.dumps(schema))
        places[address] = places[f"{address}#"] = str(path)

    def judge(document: dict[str, Any]) -> list[Any]:
        validator = StacValidate(schema_map=places)
        valid = validator.validate_dict(json.loads(json.dumps(document)))
        assert valid == all(one["valid_stac"] for one in validator.message)
        return [one for one in validator.message if not one["valid_stac"]]

    return judge


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    listed: Listed = make_listed(tmp_path_factory.mktemp("valid") / "archive")
    target = tmp_path_factory.mktemp("valid") / "stac"
    with open_catalogue(listed.archive.catalogue_url) as catalogue:
        export_static(catalogue, str(target), archive=listed.url)
    return target


def pystac_of(document: dict[str, Any]) -> list[str]:
    """Validate by pystac; returns the schemas that were asked."""
    return validate_document(json.loads(json.dumps(document)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", ITEMS)
def test_items_are_valid_in_every_form(which: str, form: str, stac_validator: Callable[[Any], list[Any]]) -> None:
    item = FORMS[form](stored()[ITEMS[which]])
    assert len(pystac_of(item)) == 1 + len(item["stac_extensions"]) >= 1 + len(extensions.ITEM)
    assert stac_validator(item) == []


def test_versions_are_declared_where_there_are_some() -> None:
    declared = {
        name: EXTENSION in FORMS["as listed"](stored()[number])["stac_extensions"] for name, number in ITEMS.items()
    }
    assert declared == {name: name in {"released", "superseded"} for name in ITEMS}


def test_the_collection_is_valid(stac_validator: Callable[[Any], list[Any]]) -> None:
    collection = make_collection().to_dict(include_self_link=False)
    assert len(pystac_of(collection)) == 1 + len(extensions.COLLECTION)
    assert stac_validator(collection) == []


def test_the_collection_is_valid_as_it_is_served_where_map_tiles_are(
    stac_validator: Callable[[Any], list[Any]],
) -> None:
    collection = served_collection(make_collection().to_dict(include_self_link=False), None, WITH_TILES)
    assert extensions.WEB_MAP_LINKS in collection["stac_extensions"]
    assert len(pystac_of(collection)) == 1 + len(extensions.COLLECTION) + 1
    assert stac_validator(collection) == []


@pytest.mark.parametrize("which", ITEMS)
def test_what_is_served_where_map_tiles_are_is_stored_as_it_was(which: str) -> None:
    item = stored()[ITEMS[which]]
    plain = Places(PLACES.api, PLACES.products)
    assert as_stored(served(item, WITH_TILES), WITH_TILES) == as_stored(served(item, plain), plain)
    assert extensions.WEB_MAP_LINKS not in as_stored(served(item, WITH_TILES), WITH_TILES)["stac_extensions"]


def test_the_collection_is_stored_as_it_was() -> None:
    collection = make_collection().to_dict(include_self_link=False)
    made = collection_as_stored(served_collection(collection, None, WITH_TILES), WITH_TILES)
    kept = [link for link in made["links"] if link["href"].startswith("https://example.org/tiles")]
    assert kept == []
    assert made["stac_extensions"] == collection["stac_extensions"]


def test_items_of_others_lead_to_no_tiles_of_the_archive() -> None:
    item = {**stored()[0], "collection": "of-somebody", "properties": {"datetime": "2025-01-01T00:00:00Z"}}
    made = served(item, WITH_TILES)
    assert not [link for link in made["links"] if "/tiles/" in link["href"]]
    assert made["stac_extensions"] == item["stac_extensions"]
    others = served_collection({"id": "of-somebody", "links": [], "stac_extensions": []}, None, WITH_TILES)
    assert not [link for link in others["links"] if "/tiles/" in link["href"]]
    assert others["stac_extensions"] == []


@pytest.mark.parametrize("missing", ["wmts:layer", "rel"])
def test_the_validators_see_what_is_wrong_with_a_map_link(
    missing: str, stac_validator: Callable[[Any], list[Any]]
) -> None:
    item = served(stored()[0], WITH_TILES)
    for link in item["links"]:
        link.pop(missing, None)
    assert stac_validator(item) != []


def test_every_file_of_an_export_is_valid(exported: Path, stac_validator: Callable[[Any], list[Any]]) -> None:
    kinds = []
    for path in exported.rglob("*.json"):
        document = json.loads(path.read_text())
        kinds.append(document["type"])
        assert pystac_of(document)
        assert stac_validator(document) == [], path
    assert {kind: kinds.count(kind) for kind in kinds} == {"Catalog": 3, "Collection": 1, "Feature": 6}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eo:cloud_cover", 101),
        ("deprecated", "yes"),
        ("proj:code", 32632),
        ("grid:code", "32TNM"),
        ("sat:relative_orbit", 0.5),
        ("datetime", None),
        ("product:acquisition_type", "by chance"),
    ],
)
def test_the_validators_see_what_is_wrong(name: str, value: Any, stac_validator: Callable[[Any], list[Any]]) -> None:
    item = FORMS["as served"](stored()[0])
    item["properties"][name] = value
    assert stac_validator(item) != []
    with pytest.raises(pystac.STACValidationError):
        pystac_of(item)
