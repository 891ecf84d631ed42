"""A filter's products and the holders of their blocks, found together: `abut.complete`."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, override

import httpx
import numpy as np
import odc.stac
import pystac
import pystac_client
import pytest
from odc.geo.geobox import GeoBox

import abut
from abut import completion, http_json
from abut.archive import open_archive
from abut.errors import CatalogueError, ProductNotFoundError
from abut.layout import BAND
from abut.product import NEIGHBOUR
from catalog import absolute
from cli.main import run
from ingest.purge import purge
from ingest.settle import settle
from tests.listed import Listed, make_listed
from tests.neighbours import WEST, Neighbours
from tests.servers import web_server
from tests.serving import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.archive import Archive

pytestmark = [
    # odc-geo 0.5 with affine 3 and shapely 2.2, as in tests/test_stock_clients.py.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]

WESTERN, EASTERN = "32TMT", "32TNT"


@pytest.fixture(scope="module")
def settled(
    tmp_path_factory: pytest.TempPathFactory, old_archive: Archive, neighbours: tuple[Path, Path]
) -> Neighbours:
    """Two products of old format, settled and purged: each lacks blocks that the other holds."""
    source, folder = Path(old_archive.store.url), tmp_path_factory.mktemp("complete") / "archive"
    shutil.copytree(source / "products", folder / "products", copy_function=os.link)
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("products"))
    archive = open_archive(folder)
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
    return {"rel": NEIGHBOUR, "href": href or f"./{holder}.json", "abut:product": holder}


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


# The STAC API


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Listed:
    return make_listed(tmp_path_factory.mktemp("listed") / "archive")


@pytest.fixture(scope="module")
def service(listed: Listed) -> Iterator[Served]:
    with serving(listed.url) as served:
        yield served


def asked(service: Served, since: int = 0, count: int = 0) -> list[str]:
    """Requests to the service after the first so many; waits for a number of them, as they are logged when done."""
    deadline = time.monotonic() + 5
    while True:
        lines = [line for line in service.log() if line["logger"] == "abut.requests" and "status" in line]
        if len(lines) >= since + count or time.monotonic() > deadline:
            return [f"{line['method']} {line['path']}" for line in lines[since:]]
        time.sleep(0.02)


def settled_log(service: Served) -> int:
    """Number of requests so far, the last of which was asked for here."""
    httpx.get(f"{service.url}/healthz", headers={"X-Request-ID": (name := secrets.token_hex(8))})
    service.logged(name)
    return len(asked(service))


def found(service: Served, *names: str) -> list[pystac.Item]:
    return list(pystac_client.Client.open(f"{service.url}/stac").search(ids=names, sortby="id").items())


def test_items_that_pystac_client_found_are_completed_by_a_search(listed: Listed, service: Served) -> None:
    (west,), (east,) = listed.named("N0509", "20230823T0955", "32TMM"), listed.named("20230823T0955", "32TNM")
    (empty,) = listed.named("32TPM")
    items = found(service, west, empty)
    before = settled_log(service)
    whole = abut.complete(items)
    assert [item.id for item in whole] == [west, empty, east], "one holder of two products"
    assert whole[-1].assets["B02"].href.startswith(f"{service.url}/zarr/products/{east}")
    assert asked(service, before, 1) == ["POST /stac/search"]


def test_holders_are_searched_for_in_batches(listed: Listed, service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_BATCH", 2)
    item = found(service, *listed.named("32TPM"))[0]
    names = [name for name in listed.live if name != item.id]
    for name in names:
        item.add_link(pystac.Link(NEIGHBOUR, f"{service.url}/{name}", extra_fields={"abut:product": name}))
    before = settled_log(service)
    assert [one.id for one in abut.complete([item])] == [item.id, *names]
    assert asked(service, before, 3) == ["POST /stac/search"] * 3


def test_items_of_an_api_without_its_client_are_completed_by_their_links(listed: Listed, service: Served) -> None:
    (west,), (east,) = listed.named("N0509", "20230823T0955", "32TMM"), listed.named("20230823T0955", "32TNM")
    plain = found(service, west)[0].to_dict()
    before = settled_log(service)
    assert [item.id for item in abut.complete([plain])] == [west, east]
    assert asked(service, before, 1) == [f"GET /stac/collections/sentinel-2-l1c/items/{east}"]


def test_a_holder_that_was_withdrawn_completes_others_through_an_api_as_from_the_archive(
    listed: Listed, service: Served
) -> None:
    """No search shows it, but the archive has it for as long as others need its blocks."""
    (later,), (hidden,) = listed.named("20231002T0955", "32TNM"), listed.named("20231002T0955", "32TMM")
    asked_for: list[Any] = []
    client = pystac_client.Client.open(
        f"{service.url}/stac", headers={"X-Token": "mine"}, request_modifier=lambda one: asked_for.append(one.url)
    )
    items = list(client.search(ids=[later]).items())
    whole = abut.complete(items)
    assert asked_for[-1].endswith(f"/items/{hidden}"), "by the client, with its headers"
    for found_by_api in (whole, abut.complete([items[0].to_dict()])):
        assert [item.id for item in found_by_api] == [later, hidden]
        assert found_by_api[1].properties["abut:withdrawn"] is True
        assert found_by_api[1].assets["B02"].href.startswith(f"{service.url}/zarr/products/{hidden}")
    stored = pystac.Item.from_file(f"{listed.url}/products/{later}.json")
    assert [item.id for item in abut.complete([stored])] == [later, hidden]
    assert [item.id for item in abut.complete(whole)] == [later, hidden]
    assert list(client.search(ids=[hidden]).items()) == []


def test_a_holder_that_an_api_does_not_list_is_said_by_name(listed: Listed, service: Served) -> None:
    (item,) = found(service, *listed.named("20231002T0955", "32TNM"))
    href = f"{service.url}/stac/collections/sentinel-2-l1c/items/S2X"
    item.add_link(pystac.Link(NEIGHBOUR, href, extra_fields={"abut:product": "S2X"}))
    with pytest.raises(
        ProductNotFoundError, match=f"{item.id}: product S2X, which holds blocks of it, is not at {href}"
    ):
        abut.complete([item])


# Servers in trouble


@contextmanager
def busy(body: bytes, failures: int) -> Iterator[tuple[str, list[str]]]:
    """Serve something, after so many answers that say that the server is busy; yields URL and requests."""
    seen: list[str] = []

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            data = b"" if len(seen) <= failures else body
            self.send_response(200 if data else 503)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def named(settled: Neighbours, url: str) -> dict[str, Any]:
    """An item whose neighbour is at a URL."""
    item = stored(settled, WESTERN)
    item["links"] = [link(stored(settled, EASTERN)["id"], url)]
    return item


def test_a_busy_server_is_asked_again(settled: Neighbours, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_json, "WAITS", (0.0, 0.0))
    east = stored(settled, EASTERN)
    with busy(json.dumps(east).encode(), 2) as (url, seen):
        assert [item.id for item in abut.complete([named(settled, f"{url}/x")])][1:] == [east["id"]]
        assert seen == ["/x"] * 3


def test_a_server_that_stays_busy_or_is_gone_is_an_error_that_names_item_and_address(
    settled: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_json, "WAITS", (0.0,))
    with busy(b"{}", 9) as (url, seen):
        item = named(settled, f"{url}/x")
        with pytest.raises(CatalogueError, match=rf"{item['id']}: {url}/x can't be read \(status 503\)"):
            abut.complete([item])
        assert len(seen) == 2
    with pytest.raises(CatalogueError, match=rf"{item['id']}: {url}/x can't be read \(.*refused"):
        abut.complete([item])


# The page about it


def test_examples_of_the_documentation_run(
    settled: Neighbours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "catalogue.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    monkeypatch.chdir(tmp_path)
    for target in ("stac", "l1c.parquet"):
        assert run(["catalog", "export", "--archive", settled.archive.store.url, target]) == 0
    names: dict[str, Any] = {}
    with serving(settled.archive.store.url) as served:
        for block in blocks:
            exec(block.replace("http://localhost:8000", served.url), names)  # noqa: S102 - our own page
        loaded = odc.stac.load(names["whole"], bands=["coastal"], like=box60())["coastal"].values[0]
    assert np.array_equal(loaded, settled.ground("B01", WEST.footprint))
    assert (len(names["found"]), len(names["whole"]), len(names["items"])) == (1, 2, 2)
    assert len(names["table"]["features"]) == 2
    assert set(names["data"].data_vars) == {"red", "green", "blue"}


def test_the_library_is_imported_without_it() -> None:
    script = (
        "import sys, abut; assert 'pystac' not in sys.modules; abut.complete; assert 'pystac_client' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
    script = "import abut.completion, abut; assert abut.complete([]) == []"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
    with pytest.raises(AttributeError, match="no attribute 'completed'"):
        abut.completed  # noqa: B018 - the access is what is tested
