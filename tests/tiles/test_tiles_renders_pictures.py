"""Every named picture of every item, over HTTP, and the links by which the STAC API announces them."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from pyproj import Transformer
from starlette.testclient import TestClient

from abut.layout import BAND
from catalog import extensions
from catalog.renders import RENDERS
from services.app import create_app
from services.settings import load_settings
from tests.conftest import old_scene
from tests.stac_schemas import validate_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.testing import Scene


def middle_of(scene: Scene) -> tuple[float, float]:
    swath = scene.swath
    assert swath is not None
    place = swath.easting + swath.width / 2, swath.northing
    lon, lat = Transformer.from_crs(swath.zone.epsg, 4326, always_xy=True).transform(*place)
    return lon, lat


pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

BASE = "http://testserver"
"""Where the test's client thinks it is."""
ZOOM = 9
"""A zoom whose tiles are wider than the swath."""
PLACE = middle_of(old_scene())
"""Longitude and latitude in the middle of the swath."""


@pytest.fixture(name="client", scope="module")
def client_fixture(old_archive: Archive) -> Iterator[TestClient]:
    with TestClient(create_app(load_settings(archive=old_archive.store.url)), base_url=BASE) as client:
        yield client


@pytest.fixture(name="items", scope="module")
def items_fixture(client: TestClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/stac/collections/sentinel-2-l1c/items").json()["features"]
    assert len(found) == 2
    return found


def seen(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGBA"))


@pytest.mark.parametrize("name", RENDERS)
def test_every_picture_of_every_item_shows_something(
    client: TestClient, items: list[dict[str, Any]], name: str
) -> None:
    for item in items:
        answer = client.get(f"/tiles/items/{item['id']}/preview.png?render={name}&max_size=256")
        assert answer.status_code == 200, answer.text
        picture = seen(answer.content)
        shown = picture[picture[..., 3] > 0][:, :3]
        if name == "clouds":
            told = {kind.colour for kind in RENDERS[name].kinds}
            assert {tuple(map(int, one)) for one in np.unique(shown, axis=0)} <= told
            continue
        assert len(shown), name
        assert not picture[..., 3].all(), "ground without data is transparent"
        if RENDERS[name].kinds:
            told = {kind.colour for kind in RENDERS[name].kinds}
            assert {tuple(map(int, one)) for one in np.unique(shown, axis=0)} <= told


def test_a_picture_is_what_its_parts_are_when_they_are_spelled_out(
    client: TestClient, items: list[dict[str, Any]]
) -> None:
    place = f"/tiles/items/{items[0]['id']}/preview.png?max_size=128"
    named = client.get(f"{place}&render=ndvi").content
    spelled = client.get(
        place,
        params={
            "max_size": "128",
            "expression": "(B08-B04)/(B08+B04)",
            "rescale": "-0.2,1",
            "colormap_name": "rdylgn",
            "resampling": "bilinear",
        },
    ).content
    assert np.array_equal(seen(named), seen(spelled))


def test_the_list_of_pictures_is_served(client: TestClient) -> None:
    answer = client.get("/tiles/renders")
    assert [one["name"] for one in answer.json()["renders"]] == list(RENDERS)
    assert client.get("/tiles/renders", headers={"if-none-match": answer.headers["etag"]}).status_code == 304


def links_of(document: dict[str, Any], rel: str) -> list[dict[str, Any]]:
    return [link for link in document["links"] if link["rel"] == rel]


def collection_of(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/stac/collections/sentinel-2-l1c").json()
    return found


def test_items_and_collection_are_valid_as_they_are_served(client: TestClient, items: list[dict[str, Any]]) -> None:
    for document in (*items, collection_of(client)):
        assert extensions.WEB_MAP_LINKS in document["stac_extensions"]
        assert any(extensions.WEB_MAP_LINKS in schema for schema in validate_document(document))


def test_an_item_leads_to_every_picture(client: TestClient, items: list[dict[str, Any]]) -> None:
    for item in items:
        (tilejson,), (wmts,), (preview,) = (links_of(item, rel) for rel in ("tilejson", "wmts", "preview"))
        (xyz, *others) = links_of(item, "xyz")
        assert [xyz["render"], *(link["render"] for link in others)] == list(RENDERS)
        for link in others:
            assert_leads_to_tiles(client, link, tilejson)
        assert xyz["render"] == tilejson["render"] == wmts["render"] == "true-colour"
        assert all(item["id"] in link["href"] for link in (xyz, tilejson, wmts, preview))
        assert preview["type"] == "image/png"
        assert seen(client.get(preview["href"]).content)[..., 3].any()
        assert_leads_to_tiles(client, xyz, tilejson)


def assert_leads_to_tiles(client: TestClient, xyz: dict[str, Any], tilejson: dict[str, Any]) -> None:
    """The tile where the ground of the swath is, by either of both addresses."""
    document = client.get(tilejson["href"]).json()
    lon, lat = PLACE
    west, south, east, north = document["bounds"]
    assert west < lon < east
    assert south < lat < north
    count = 2**ZOOM
    place = {
        "z": ZOOM,
        "x": int((lon + 180) / 360 * count),
        "y": int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * count),
    }
    tiles = [client.get(template.format(**place)) for template in (xyz["href"], document["tiles"][0])]
    for tile in tiles:
        assert tile.status_code == 200, tile.text
        assert seen(tile.content)[..., 3].any() or xyz["render"] == "clouds"


def test_the_collection_leads_to_every_picture(client: TestClient) -> None:
    collection = collection_of(client)
    assert [link["render"] for link in links_of(collection, "wmts")] == ["true-colour"]
    for rel in ("xyz", "tilejson"):
        assert [link["render"] for link in links_of(collection, rel)] == list(RENDERS) == list(collection["renders"])
    for xyz, tilejson in zip(links_of(collection, "xyz"), links_of(collection, "tilejson"), strict=True):
        assert_leads_to_tiles(client, xyz, tilejson)


def test_the_layer_that_a_link_names_is_one_of_wmts(client: TestClient, items: list[dict[str, Any]]) -> None:
    for document in (items[0], collection_of(client)):
        link = links_of(document, "wmts")[0]
        tree = ET.fromstring(client.get(link["href"]).content)  # noqa: S314 - of our own service
        found = {one.text for one in tree.iter("{http://www.opengis.net/ows/1.1}Identifier")}
        assert link["wmts:layer"] in found


def test_a_search_announces_the_same_as_the_item_itself(client: TestClient, items: list[dict[str, Any]]) -> None:
    for item in items:
        alone = client.get(f"/stac/collections/sentinel-2-l1c/items/{item['id']}").json()
        assert alone["links"] == item["links"]
        assert alone["stac_extensions"] == item["stac_extensions"]


def test_what_is_stored_announces_nothing(old_archive: Archive, items: list[dict[str, Any]]) -> None:
    for item in items:
        stored = old_archive.store.get(f"products/{item['id']}.json").decode()
        assert "web-map-links" not in stored
        assert not re.search(r"/tiles/", stored)


@pytest.mark.parametrize("band", ["B02", "B8A", "B09"])
def test_a_single_band_has_a_picture_without_a_range(
    client: TestClient, items: list[dict[str, Any]], band: str
) -> None:
    assert band in BAND
    answer = client.get(f"/tiles/items/{items[0]['id']}/preview.png?bands={band}&max_size=128")
    assert answer.status_code == 200, answer.text
    picture = seen(answer.content)
    assert len(np.unique(picture[picture[..., 3] > 0][:, 0])) > 5
