"""The lattice over HTTP: what the ledgers of an archive of toys say, as GeoJSON."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
import shapely
from fastapi import FastAPI
from pyproj import Geod
from starlette.testclient import TestClient

from abut.archive import Archive, create_archive
from abut.product import holding
from abut.tiling import owner, tile
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from services.cubes.execution import Workshop
from services.tiles import saved
from services.tiles.answers import add_handlers
from services.tiles.lattice import lattice_routes
from tests.toy import START, TILES, ToySource

if TYPE_CHECKING:
    from httpx2 import Response

    from abut.lattice import Block

SOURCES = tuple(ToySource(name) for name in TILES)
GEOD = Geod(ellps="WGS84")
OTHER = ToySource("32TNP", label="1", datastrip_start=START + timedelta(seconds=40))
"""The same ground of another datastrip, which shares nothing with the others."""


def client_of(archive: Archive, **limits: float) -> TestClient:
    app = FastAPI()
    app.state.place = archive.store.url
    shop = Workshop(
        **cast("Any", {"threads": 1, "waiting": 8, "per_user": 8, "seconds": 60, "name": "crops", **limits})
    )
    app.include_router(lattice_routes(archive, shop), prefix="/lattice")
    add_handlers(app)
    return TestClient(app)


@pytest.fixture(name="archive", scope="module")
def archive_fixture(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    archive = create_archive(tmp_path_factory.mktemp("lattice") / "archive")
    for source in (*SOURCES, OTHER):
        ingest(archive, source, threads=1)
    settle(archive)
    return archive


@pytest.fixture(name="client", scope="module")
def client_fixture(archive: Archive) -> TestClient:
    return client_of(archive)


def asked(client: TestClient, path: str, **query: str) -> dict[str, Any]:
    answer = client.get(f"/lattice/{path}", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/")
    found: dict[str, Any] = answer.json()
    return found


def by_block(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["properties"]["block"]: one["properties"] for one in found["features"]}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.tile_id)
def test_states_of_blocks_are_those_of_the_ledger(archive: Archive, client: TestClient, source: ToySource) -> None:
    member, ledger = holding(archive.store, archive.product(source.id))
    found = asked(client, "blocks", item=source.id)
    assert found["revision"] == ledger.revision
    assert found["layer"] == ledger.layer
    told = by_block(found)
    assert len(told) == len(found["features"]) == len(source.tile.hull)

    def truth(block: Block) -> tuple[str, str | None]:
        return "held" if block in member.held else "released" if block in member.released else "empty", member.holder(
            block
        )

    for block in source.tile.hull:
        properties = told[str(block)]
        assert (properties["state"], properties["holder"]) == truth(block)
        assert (properties["row"], properties["column"]) == source.tile.hull.position(block)
        best = owner(block)
        assert best is not None
        assert properties["owner"] == best.id
        assert (properties["rank"] == 0) == (best == source.tile)
    assert found["counts"] == {
        state: sum(one["state"] == state for one in told.values()) for state in ("held", "released", "empty")
    }


def test_every_block_that_some_product_sees_is_held_by_one_of_them(client: TestClient) -> None:
    """The toys agree on their pixels, so nothing is stored twice."""
    held: Counter[str] = Counter()
    seen: set[str] = set()
    for source in SOURCES:
        for block, properties in by_block(asked(client, "blocks", item=source.id)).items():
            held[block] += properties["state"] == "held"
            seen |= {block} if properties["state"] != "empty" else set()
    assert {held[block] for block in seen} == {1}
    assert len(seen) == 16


def test_a_product_that_was_not_settled_holds_all_it_sees(tmp_path: Any) -> None:
    archive = create_archive(tmp_path / "archive")
    for source in SOURCES[:2]:
        ingest(archive, source, threads=1)
    found = asked(client_of(archive), "blocks", item=SOURCES[0].id)
    assert found["counts"]["released"] == 0
    assert found["counts"]["held"] > 0
    assert asked(client_of(archive), "overlap", item=SOURCES[0].id)["features"] == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.tile_id)
def test_overlap_of_a_product_adds_up(archive: Archive, client: TestClient, source: ToySource) -> None:
    product = archive.product(source.id)
    member, _ = holding(archive.store, product)
    found = asked(client, "overlap", item=source.id)
    held, released = found["held"], found["released"]
    assert held["blocks"] == len(member.held)
    assert released["blocks"] == len(member.released)
    assert held["bytes"] + released["bytes"] == product.record.data_bytes
    for name in ("blocks", "bytes", "km2"):
        assert sum(one["properties"][name] for one in found["features"]) == pytest.approx(released[name])
    assert {one["properties"]["holder"] for one in found["features"]} == {one.to for one in member.released.values()}
    blocks = by_block(asked(client, "blocks", item=source.id))
    assert sum(one["km2"] for one in blocks.values()) == pytest.approx(109.8**2)
    assert sum(one["km2"] for one in blocks.values() if one["state"] == "released") == pytest.approx(released["km2"])


def test_the_ground_of_an_overlap_is_that_of_the_released_blocks(client: TestClient) -> None:
    source = next(one for one in SOURCES if asked(client, "overlap", item=one.id)["features"])
    blocks = asked(client, "blocks", item=source.id)["features"]
    for one in asked(client, "overlap", item=source.id)["features"]:
        ground = shapely.geometry.shape(one["geometry"])
        assert ground.is_valid
        lent = [block for block in blocks if block["properties"]["holder"] == one["properties"]["holder"]]
        union = shapely.union_all([shapely.geometry.shape(block["geometry"]) for block in lent])
        area = sum(abs(GEOD.geometry_area_perimeter(part)[0]) for part in shapely.get_parts(ground))
        assert area / 1e6 == pytest.approx(one["properties"]["km2"], rel=3e-3)  # but for the scale of the zone
        assert ground.difference(union.buffer(1e-4)).is_empty, "within the blocks, but for the chords of its edges"


def test_totals_of_a_selection_are_the_sum_of_its_products(client: TestClient) -> None:
    of_each = [asked(client, "overlap", item=source.id) for source in (*SOURCES, OTHER)]
    found = asked(client, "overlap", bbox="9,43,11,45", datetime="2023-08")
    assert found["products"] == 5
    assert found["released_by"] == sum(bool(one["released"]["blocks"]) for one in of_each)
    for state in ("held", "released"):
        for name in ("blocks", "km2", "bytes"):
            assert found[state][name] == pytest.approx(sum(one[state][name] for one in of_each))


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"bbox": "9,43,11,45"}, 5),
        ({"bbox": "9,43,11,45", "datetime": "2023-08-23"}, 5),
        ({"bbox": "9,43,11,45", "datetime": "2024"}, 0),
        ({"bbox": "9.05,43.5,9.1,43.6"}, 2),
        ({"bbox": "19,43,19.1,43.1"}, 0),
    ],
    ids=str,
)
def test_a_selection_is_of_a_box_and_a_period(client: TestClient, query: dict[str, str], number: int) -> None:
    assert asked(client, "overlap", **query)["products"] == number


def test_bytes_of_many_products_are_not_told(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = asked(client, "overlap", bbox="9,43,11,45")
    monkeypatch.setattr(saved, "RECORDS_LIMIT", 4)
    found = asked(client, "overlap", bbox="9,43,11,45")
    assert found["released"] == {**whole["released"], "bytes": None}


def test_what_purge_dropped_is_told(tmp_path: Any) -> None:
    archive = create_archive(tmp_path / "archive")
    for source in SOURCES:
        ingest(archive, source, threads=1)
    settle(archive)
    client = client_of(archive)
    giver = next(one for one in SOURCES if asked(client, "overlap", item=one.id)["features"])
    before = asked(client, "overlap", item=giver.id)
    assert {one["properties"]["dropped"] for one in before["features"]} == {0}
    purge(archive, grace=timedelta(0))
    for one in asked(client, "overlap", item=giver.id)["features"]:
        assert one["properties"]["dropped"] == one["properties"]["blocks"]
    states = by_block(asked(client, "blocks", item=giver.id)).values()
    assert all(one["dropped"] == (one["state"] == "released") for one in states)


def test_a_withdrawn_product_is_not_found(tmp_path: Any) -> None:
    archive = create_archive(tmp_path / "archive")
    ingest(archive, SOURCES[0], threads=1)
    withdraw(archive, SOURCES[0].id)
    client = client_of(archive)
    assert client.get("/lattice/blocks", params={"item": SOURCES[0].id}).status_code == 404
    assert asked(client, "overlap", bbox="9,43,11,45")["products"] == 0


def revalidated(client: TestClient, path: str, query: dict[str, str]) -> tuple[Response, Response]:
    first = client.get(f"/lattice/{path}", params=query)
    return first, client.get(f"/lattice/{path}", params=query, headers={"if-none-match": first.headers["etag"]})


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("grid", {"bbox": "9,43,10,44"}),
        ("blocks", {"item": SOURCES[0].id}),
        ("overlap", {"item": SOURCES[0].id}),
        ("overlap", {"bbox": "9,43,10,44"}),
    ],
    ids=["grid", "blocks", "overlap-item", "overlap-box"],
)
def test_who_has_an_answer_gets_none(client: TestClient, path: str, query: dict[str, str]) -> None:
    first, second = revalidated(client, path, query)
    assert first.status_code == 200
    assert "cache-control" in first.headers
    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["etag"] == first.headers["etag"]


def test_a_change_of_the_ledger_is_noticed(tmp_path: Any) -> None:
    archive = create_archive(tmp_path / "archive")
    for source in SOURCES:
        ingest(archive, source, threads=1)
    client = client_of(archive)
    before = client.get("/lattice/blocks", params={"item": SOURCES[0].id}).headers["etag"]
    settle(archive)
    after = client.get("/lattice/blocks", params={"item": SOURCES[0].id}, headers={"if-none-match": before})
    assert after.status_code == 200
    assert after.headers["etag"] != before


def test_the_grid_has_footprints_with_their_zone(client: TestClient) -> None:
    found = asked(client, "grid", bbox="8.9,45.9,9.1,46.1")
    names = {one["id"]: one for one in found["features"]}
    ground = tile("32TNS").footprint
    assert names["32TNS"]["properties"] == {
        "tile": "32TNS",
        "epsg": 32632,
        "bounds": [ground.left, ground.bottom, ground.right, ground.top],
    }


@pytest.mark.parametrize(
    ("path", "query", "status", "value"),
    [
        ("grid", {"bbox": "1,2,3"}, 400, "1,2,3"),
        ("grid", {"bbox": ""}, 400, "bbox"),
        ("grid", {"bbox": "a,b,c,d"}, 400, "a,b,c,d"),
        ("grid", {"bbox": "0,50,1,40"}, 400, "0,50,1,40"),
        ("grid", {"bbox": "0,0,nan,1"}, 400, "nan"),
        ("grid", {"bbox": "-180,-90,180,90"}, 413, "tiles"),
        ("grid", {}, 400, "bbox"),
        ("blocks", {}, 400, "item"),
        ("blocks", {"item": "no-such"}, 404, "no-such"),
        ("blocks", {"item": "../archive"}, 404, "archive"),
        ("blocks", {"item": "x" * 300}, 400, "xxx"),
        ("overlap", {}, 400, "bbox"),
        ("overlap", {"item": "a", "bbox": "0,0,1,1"}, 400, "item"),
        ("overlap", {"bbox": "0,0,1,1", "datetime": "yesterday"}, 400, "yesterday"),
        ("overlap", {"bbox": "-180,-90,180,90"}, 413, "tiles"),
    ],
    ids=str,
)
def test_bad_requests_are_answered_with_the_value(
    client: TestClient, path: str, query: dict[str, str], status: int, value: str
) -> None:
    answer = client.get(f"/lattice/{path}", params=query)
    assert answer.status_code == status, answer.text
    assert value in answer.json()["description"]


def test_too_many_ledgers_or_products_are_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "PRODUCTS_LIMIT", 4)
    answer = client.get("/lattice/overlap", params={"bbox": "9,43,11,45"})
    assert (answer.status_code, "5 products" in answer.text) == (413, True)
    monkeypatch.setattr(saved, "LAYERS_LIMIT", 1)
    answer = client.get("/lattice/overlap", params={"bbox": "9,43,11,45"})
    assert (answer.status_code, "2 datastrips" in answer.text) == (413, True)


@pytest.mark.parametrize(
    ("limit", "status"), [({"seconds": 1e-6}, 503), ({"per_user": 0}, 429)], ids=["time", "number"]
)
def test_requests_have_limits(archive: Archive, limit: dict[str, float], status: int) -> None:
    answer = client_of(archive, **limit).get("/lattice/grid", params={"bbox": "10,44,11,45"})
    assert answer.status_code == status
    assert answer.headers["retry-after"]
