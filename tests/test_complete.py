"""A filter's products and the holders of their blocks, found together: `abut.complete`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, override
from urllib.parse import urlsplit

import numpy as np
import odc.stac
import pystac
import pytest
from odc.geo.geobox import GeoBox

import abut
from abut import completion
from abut.archive import create_archive
from abut.errors import CatalogueError, ProductNotFoundError
from abut.layout import BAND
from catalog import absolute
from catalog.places import Places, served
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.safe_source import safe_sources
from ingest.settle import settle
from tests.neighbours import WEST, Neighbours
from tests.servers import web_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    # odc-geo 0.5 with affine 3 and shapely 2.2, as in tests/test_stock_clients.py.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]

WESTERN, EASTERN = "32TMT", "32TNT"


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory, neighbours: tuple[Path, Path]) -> Neighbours:
    """Two products of old format, settled and purged: each lacks blocks that the other holds."""
    archive = create_archive(tmp_path_factory.mktemp("complete") / "archive")
    for safe in neighbours:
        for source in safe_sources(safe):
            ingest(archive, source)
    settle(archive)
    (purged,) = purge(archive, grace=timedelta(0))
    assert purged.objects > 0
    return Neighbours(archive, neighbours)


def stored(settled: Neighbours, tile: str) -> dict[str, Any]:
    """An item as it lies in the archive."""
    (name,) = [name for name in settled.archive.product_ids() if f"_T{tile}_" in name]
    found: dict[str, Any] = json.loads(settled.archive.store.get(f"products/{name}.json"))
    return found


def from_file(settled: Neighbours, tile: str, base: str | None = None) -> pystac.Item:
    """An item read by pystac from where it lies."""
    return pystac.Item.from_file(f"{base or settled.archive.store.url}/products/{stored(settled, tile)['id']}.json")


def pixels(items: list[pystac.Item], band: str) -> Any:
    """What stock odc-stac makes of the legacy tile in the west."""
    ground = WEST.footprint
    box = GeoBox.from_bbox(
        (ground.left, ground.bottom, ground.right, ground.top), crs=str(ground.zone), resolution=BAND[band].resolution
    )
    return odc.stac.load(items, bands=[band], geobox=box)[band].values[0]


@pytest.fixture(params=["folder", "http"])
def base(request: pytest.FixtureRequest, settled: Neighbours) -> Iterator[str]:
    folder = settled.archive.store.url
    if request.param == "folder":
        yield folder
    else:
        with web_server(Path(folder)) as url:
            yield url


@pytest.mark.parametrize("band", ["B01", "B05"])
def test_one_tile_alone_has_a_hole_and_is_complete_with_its_holders(settled: Neighbours, base: str, band: str) -> None:
    item = from_file(settled, WESTERN, base)
    expected = settled.ground(band, WEST.footprint)
    alone = pixels([item], band)
    assert np.count_nonzero(alone) < np.count_nonzero(expected)
    whole = abut.complete([item])
    assert [one.id for one in whole] == [item.id, stored(settled, EASTERN)["id"]]
    assert np.array_equal(pixels(whole, band), expected)


def test_bands_go_by_common_names_too(settled: Neighbours) -> None:
    whole = abut.complete([from_file(settled, WESTERN)])
    assert np.array_equal(pixels(whole, "B01"), odc.stac.load(whole, bands=["coastal"], like=box60())["coastal"][0])
    red_edge = odc.stac.load(whole, bands=["rededge071", "rededge075", "rededge078"], like=box60())
    plain = odc.stac.load(whole, bands=["B05", "B06", "B07"], like=box60())
    assert [bool((a == b).all() and a.any()) for a, b in zip(red_edge.values(), plain.values(), strict=True)] == 3 * [
        True
    ]


def box60() -> GeoBox:
    ground = WEST.footprint
    return GeoBox.from_bbox((ground.left, ground.bottom, ground.right, ground.top), crs=str(ground.zone), resolution=60)


def test_items_of_a_catalogue_are_completed_from_the_archive(settled: Neighbours, base: str) -> None:
    """Such items have no self link: their own links must be absolute."""
    item = absolute(stored(settled, WESTERN), base)
    whole = abut.complete([item])
    assert np.array_equal(pixels(whole, "B01"), settled.ground("B01", WEST.footprint))


def test_what_is_there_already_is_neither_fetched_nor_doubled(
    settled: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "_data", None)  # reading would fail
    west, east = from_file(settled, WESTERN), from_file(settled, EASTERN)
    assert abut.complete([east, west]) == [east, west]
    assert abut.complete([west, east, west]) == [west, east]
    assert abut.complete([]) == []


def test_collections_of_items_and_dicts_are_taken_as_they_come(settled: Neighbours) -> None:
    west = from_file(settled, WESTERN)
    expected = [west.id, stored(settled, EASTERN)["id"]]
    features = [absolute(stored(settled, WESTERN), settled.archive.store.url)]
    for items in (
        pystac.ItemCollection([west]),
        features,
        {"type": "FeatureCollection", "features": features},
        iter([west]),
    ):
        assert [one.id for one in abut.complete(items)] == expected


def test_added_items_come_after_the_given_ones_by_id(tmp_path: Path, settled: Neighbours) -> None:
    folder = tmp_path / "products"
    folder.mkdir()
    holders = ["Z", "A", "M"]
    for name in ("first", *holders):
        made = {**stored(settled, WESTERN), "id": name}
        made["links"] = [link(holder) for holder in holders] if name == "first" else []
        (folder / f"{name}.json").write_text(json.dumps(made))
    given = pystac.Item.from_file(str(folder / "first.json"))
    assert [item.id for item in abut.complete([given])] == ["first", "A", "M", "Z"]
    assert given.assets["B02"].href.startswith("./"), "given items are not changed"


def link(holder: str, href: str = "") -> dict[str, str]:
    return {"rel": completion.NEIGHBOUR, "href": href or f"./{holder}.json", "abut:product": holder}


def test_an_item_of_unknown_origin_is_refused(settled: Neighbours) -> None:
    item = stored(settled, WESTERN)
    with pytest.raises(ValueError, match=rf"{item['id']}: its link './.*json' is relative"):
        abut.complete([item])


def test_a_single_item_is_refused(settled: Neighbours) -> None:
    with pytest.raises(ValueError, match="'Feature' is no FeatureCollection"):
        abut.complete(stored(settled, WESTERN))


def test_a_holder_that_is_not_there_is_an_error_that_names_both(settled: Neighbours, tmp_path: Path) -> None:
    item = stored(settled, WESTERN)
    (tmp_path / "west.json").write_text(json.dumps(item))
    lonely = pystac.Item.from_file(str(tmp_path / "west.json"))
    holder = stored(settled, EASTERN)["id"]
    with pytest.raises(ProductNotFoundError, match=f"{item['id']}: product {holder}, which holds blocks of it, is not"):
        abut.complete([lonely])
    with web_server(tmp_path) as url, pytest.raises(ProductNotFoundError, match=f"is not at {url}/{holder}.json"):
        abut.complete([pystac.Item.from_file(f"{url}/west.json")])


@pytest.mark.parametrize("content", ["<html>", "{}", '{"id": "other"}', '{"id": "HOLDER"}', "[]", ""])
def test_something_else_in_the_place_of_a_holder_is_an_error(settled: Neighbours, tmp_path: Path, content: str) -> None:
    item, holder = stored(settled, WESTERN), stored(settled, EASTERN)["id"]
    (tmp_path / "west.json").write_text(json.dumps(item))
    (tmp_path / f"{holder}.json").write_text(content.replace("HOLDER", holder))
    with pytest.raises(CatalogueError, match=rf"{item['id']}: .*{holder}.json is not the item {holder}"):
        abut.complete([pystac.Item.from_file(str(tmp_path / "west.json"))])


# A server that answers as a STAC API does


@contextmanager
def api(items: dict[str, dict[str, Any]], *, hidden: str = "", failing: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Serve items as `catalog.places.served` makes them; yields the URL and the requests that came in."""
    seen: list[str] = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"GET {self.path}")
            url = f"http://127.0.0.1:{server.server_port}"
            parts = urlsplit(self.path)
            places = Places(url, f"{url}/zarr/products")
            if len(seen) <= failing:
                self._send(503, {})
            elif parts.path == "/":
                search = {"rel": "search", "href": f"{url}/search", "type": "application/geo+json", "method": "POST"}
                self._send(
                    200, {**LANDING, "links": [search, {"rel": "self", "href": url}, {"rel": "root", "href": url}]}
                )
            elif (name := parts.path.rpartition("/")[2]) in items:
                self._send(200, served(items[name], places))
            else:
                self._send(404, {"code": "NotFoundError"})

        def do_POST(self) -> None:
            seen.append(f"POST {self.path}")
            url = f"http://127.0.0.1:{server.server_port}"
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            names = [name for name in asked["ids"] if name in items and name != hidden]
            assert asked["limit"] >= len(asked["ids"])
            found = [served(items[name], Places(url, f"{url}/zarr/products")) for name in names]
            self._send(200, {"type": "FeatureCollection", "features": found, "links": []})

        def _send(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


LANDING = {
    "type": "Catalog",
    "stac_version": "1.1.0",
    "id": "test",
    "description": "Test",
    "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
}


def row_of_tiles(settled: Neighbours, count: int) -> dict[str, dict[str, Any]]:
    """Items of which each names the next as the holder of a block."""
    made = {}
    for number in range(count):
        item = {**stored(settled, WESTERN), "id": f"P{number:03d}"}
        item["links"] = [link(f"P{number + 1:03d}")] if number + 1 < count else []
        made[item["id"]] = item
    return made


def test_items_that_pystac_client_found_are_completed_by_few_searches(settled: Neighbours) -> None:
    from pystac_client import Client  # noqa: PLC0415 - an extra

    items = row_of_tiles(settled, 241)
    with api(items) as (url, seen):
        found = Client.open(url).search(ids=sorted(items)[:240:2], limit=240).item_collection()
        del seen[:]
        whole = abut.complete(found)
    assert [item.id for item in whole] == sorted(items)[:240:2] + sorted(items)[1:241:2]
    assert seen == ["POST /search"] * 2, "120 holders in searches of 100"
    assert whole[-1].assets["B02"].href.startswith(f"{url}/zarr/products/")


def test_a_withdrawn_holder_that_no_search_finds_is_read_by_its_link(settled: Neighbours) -> None:
    from pystac_client import Client  # noqa: PLC0415 - an extra

    with api(row_of_tiles(settled, 2), hidden="P001") as (url, seen):
        found = list(Client.open(url).search(ids=["P000"], limit=1).items())
        assert [item.id for item in abut.complete(found)] == ["P000", "P001"]
    assert seen[-1] == "GET /collections/sentinel-2-l1c/items/P001"


def test_items_of_an_api_without_its_client_are_completed_by_their_links(settled: Neighbours) -> None:
    items = row_of_tiles(settled, 3)
    with api(items, failing=1) as (url, seen):
        given = served(items["P000"], Places(url, f"{url}/zarr/products"))
        assert [item.id for item in abut.complete([given])] == ["P000", "P001"]
    assert seen == ["GET /collections/sentinel-2-l1c/items/P001"] * 2, "asked again after a 503"


def test_a_server_that_is_gone_is_an_error_that_names_item_and_address(
    settled: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "_WAITS", (0.0,))
    items = row_of_tiles(settled, 2)
    with api(items, failing=9) as (url, seen):
        given = served(items["P000"], Places(url, f"{url}/zarr/products"))
        with pytest.raises(CatalogueError, match=r"P000: http.*/items/P001 can't be read \(status 503\)"):
            abut.complete([given])
        assert len(seen) == 2
    with pytest.raises(CatalogueError, match=r"P000: http.*/items/P001 can't be read \(.*refused\)"):
        abut.complete([given])


def test_the_library_is_imported_without_it() -> None:
    script = (
        "import sys, abut; assert 'pystac' not in sys.modules; abut.complete; assert 'pystac_client' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
    script = "import abut.completion, abut; assert abut.complete([]) == []"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
    with pytest.raises(AttributeError, match="no attribute 'completed'"):
        abut.completed  # noqa: B018 - the access is what is tested
