"""Map tiles over HTTP: what clients may keep, what is refused with which words, and what damage does."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingest.ingest import ingest
from ingest.withdraw import withdraw
from services.tiles.scene import Scene
from tests.shots import shot_days_later
from tests.tiles.pictures import FOUR, archive_of
from tests.tiles.serving import BAND, TILE, tiles
from tests.toy import TILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

    from abut.archive import Archive

ITEM = FOUR[0].id
ITEM_TILE = f"/items/{ITEM}/tiles/{TILE}.png"
MOSAIC_TILE = f"/mosaic/tiles/{TILE}.png"


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return archive_of(tmp_path_factory.mktemp("asking") / "archive", *FOUR)


@pytest.fixture(name="client", scope="module")
def _client(archive: Archive) -> Iterator[TestClient]:
    with tiles(archive) as client:
        yield client


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans are believed for no time."""
    monkeypatch.setattr("services.tiles.scenes.FRESH", 0.0)
    monkeypatch.setattr("services.tiles.scenes.EFFORT", 0.0)


# What clients keep


@pytest.mark.parametrize("path", [ITEM_TILE, MOSAIC_TILE, f"/items/{ITEM}/preview.png", "/mosaic/point/10.2,44.19"])
def test_what_a_client_has_is_not_read_again(client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    answer = client.get(path, params=BAND)
    assert answer.status_code == 200
    monkeypatch.setattr(Scene, "read", lambda *_, **__: pytest.fail("pixels are read"))
    again = client.get(path, params=BAND, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]
    assert again.headers["cache-control"] == answer.headers["cache-control"]


@pytest.mark.parametrize("path", [f"/items/{ITEM}/info", "/mosaic/WebMercatorQuad/tilejson.json", "/renders", "/"])
def test_documents_are_not_sent_again(client: TestClient, path: str) -> None:
    tag = client.get(path).headers["etag"]
    assert client.get(path, headers={"if-none-match": tag}).status_code == 304


def test_tags_tell_pictures_apart(client: TestClient) -> None:
    asked: list[dict[str, Any]] = [
        {"bands": "B01"},
        {"bands": "B09"},
        {"bands": "B01", "resampling": "bilinear"},
        {"bands": "B01", "rescale": "0,1"},
        {"bands": "B01", "unscale": "false"},
        {"bands": "B01", "colormap_name": "viridis"},
    ]
    tags = [client.get(ITEM_TILE, params=one).headers["etag"] for one in asked]
    assert len(set(tags)) == len(asked)
    assert client.get(f"{ITEM_TILE}?rescale=0%2C1&bands=B01").headers["etag"] == tags[3]


def test_how_long_pictures_may_be_kept(client: TestClient) -> None:
    assert client.get(ITEM_TILE, params=BAND).headers["cache-control"] == "public, max-age=600"
    assert client.get(MOSAIC_TILE, params=BAND).headers["cache-control"] == "public, max-age=30"
    assert client.get(MOSAIC_TILE, params={"bands": "B77"}).headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("at_once")
def test_tags_change_with_what_is_shown(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "archive", *FOUR[:2])
    later = shot_days_later(5, TILES[0])
    with tiles(archive) as client:
        first = client.get(MOSAIC_TILE, params=BAND)
        item = client.get(ITEM_TILE, params=BAND)
        ingest(archive, later, threads=1)
        second = client.get(MOSAIC_TILE, params=BAND, headers={"if-none-match": first.headers["etag"]})
        assert second.status_code == 200
        assert later.id in second.headers["abut-products"]
        assert client.get(ITEM_TILE, params=BAND).headers["etag"] == item.headers["etag"]
        withdraw(archive, later.id)
        third = client.get(MOSAIC_TILE, params=BAND, headers={"if-none-match": first.headers["etag"]})
        assert third.status_code == 304
        withdraw(archive, ITEM)
        gone = client.get(ITEM_TILE, params=BAND, headers={"if-none-match": item.headers["etag"]})
        assert gone.status_code == 404


def test_heads_options_and_other_sites(client: TestClient) -> None:
    answer, head = client.get(ITEM_TILE, params=BAND), client.head(ITEM_TILE, params=BAND)
    assert head.content == b""
    assert {name: head.headers[name] for name in ("etag", "content-length", "content-type")} == {
        name: answer.headers[name] for name in ("etag", "content-length", "content-type")
    }
    assert client.options(ITEM_TILE).headers["allow"] == "GET, HEAD, OPTIONS"
    wrong = client.delete(ITEM_TILE)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    seen = client.get(ITEM_TILE, params=BAND, headers={"origin": "https://example.org"})
    assert seen.headers["access-control-allow-origin"] == "*"
    told = seen.headers["access-control-expose-headers"]
    assert {"Abut-Products", "Abut-Reason", "Abut-Unreadable", "ETag"} <= set(told.split(", "))


# What is refused


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/mosaic/tiles/WebMercatorQuad/99/0/0", 400, "z 99"),
        ("/mosaic/tiles/WebMercatorQuad/-1/0/0", 400, "z -1"),
        ("/mosaic/tiles/WebMercatorQuad/3/8/0", 400, "x 8"),
        ("/mosaic/tiles/WebMercatorQuad/3/0/-1.png", 400, "y -1"),
        ("/mosaic/tiles/WebMercatorQuad/3/0/99999999999999999999.png", 400, "y 99999999999999999999"),
        ("/mosaic/tiles/WebMercatorQuad/a/0/0", 400, "z: 'a'"),
        ("/mosaic/tiles/Flat/3/0/0", 400, "'Flat'"),
        (f"/mosaic/tiles/{TILE}.gif", 400, "'gif'"),
        ("/items/nothing/info", 404, "'nothing'"),
        (f"/items/nothing/tiles/{TILE}.png", 404, "'nothing'"),
        ("/items/..%2F..%2Fetc/info", 404, ""),
        (f"{MOSAIC_TILE}?bands=B77", 400, "'B77'"),
        (f"{MOSAIC_TILE}?bands=B01&assets=B02", 400, "bands and assets"),
        (f"{MOSAIC_TILE}?expression=__import__('os')", 400, "__import__"),
        (f"{MOSAIC_TILE}?expression=9**9**9", 400, "9**9**9"),
        (f"{MOSAIC_TILE}?render=pretty", 400, "'pretty'"),
        (f"{MOSAIC_TILE}?bands=B01&colormap_name=pretty", 400, "'pretty'"),
        (f"{MOSAIC_TILE}?bands=B01&colormap=%5B", 400, "colormap"),
        (f"{MOSAIC_TILE}?bands=B01&rescale=nan,1", 400, "nan"),
        (f"{MOSAIC_TILE}?bands=B01&rescale=0,1&rescale=0,1", 400, "2 ranges for 1 bands"),
        (f"{MOSAIC_TILE}?bands=B01&color_formula=pretty", 400, "'pretty'"),
        (f"{MOSAIC_TILE}?bands=B01&color_formula=gamma%20RGB%200", 400, "gamma"),
        (f"{MOSAIC_TILE}?bands=B01,B09&colormap_name=viridis", 400, "for one band"),
        (f"{MOSAIC_TILE}?bands=B01,B09,B01,B09,B01", 400, "(5,256,256)"),
        (f"{MOSAIC_TILE}?bands=B01&algorithm=pretty", 400, "'pretty'"),
        (f"{MOSAIC_TILE}?bands=B01&algorithm=normalizedIndex", 400, "normalizedIndex"),
        (f"{MOSAIC_TILE}?bands=B01&algorithm=hillshade&algorithm_params={'[' * 3000}", 400, "algorithm_params"),
        (f"{MOSAIC_TILE}?bands=B01&algorithm=hillshade&algorithm_params=%7B%22azimuth%22:1e99%7D", 400, "azimuth"),
        (f"{MOSAIC_TILE}?bands=B01&resampling=pretty", 400, "'pretty'"),
        (f"{MOSAIC_TILE}?bands=B01&buffer=0.3", 400, "buffer 0.3"),
        (f"{MOSAIC_TILE}?bands=B01&buffer=inf", 400, "buffer inf"),
        (f"{MOSAIC_TILE}?bands=B01&padding=999999", 400, "padding 999999"),
        (f"{MOSAIC_TILE}?bands=B01&tilesize=1000000", 400, "1000000"),
        (f"{MOSAIC_TILE}?bands=B01&tilesize=16000", 413, "16000 x 16000"),
        (f"{MOSAIC_TILE}?banks=B01", 400, "'banks'"),
        (f"{MOSAIC_TILE}?bands=B01&datetime=yesterday", 400, "'yesterday'"),
        (f"{MOSAIC_TILE}?bands=B01&datetime=2023&datetime=2024", 400, "more than once"),
        (f"{MOSAIC_TILE}?bands=B01&tiles=99ZZZ", 400, "99ZZZ"),
        (f"{MOSAIC_TILE}?bands=B01&cloud=nan", 400, "cloud"),
        (f"{MOSAIC_TILE}?bands=B01&cloud=101", 400, "'101'"),
        (f"{MOSAIC_TILE}?bands=B01&orbit=0", 400, "'0'"),
        (f"{MOSAIC_TILE}?bands=B01&order=given", 400, "given"),
        (f"{MOSAIC_TILE}?bands=B01&order=pretty", 400, "'pretty'"),
        (f"{MOSAIC_TILE}?bands=B01&filter=cloud%20%3C%3C%205", 400, "filter"),
        (f"{MOSAIC_TILE}?bands=B01&filter=%7B%22op%22:%22pretty%22%7D", 400, "pretty"),
        (f"{MOSAIC_TILE}?bands=B01&ids=,", 400, "ids"),
        (f"{MOSAIC_TILE}?bands=B01&collections=landsat", 400, "'landsat'"),
        ("/mosaic/bbox/10,44,nan,45.png?bands=B01", 400, "nan"),
        ("/mosaic/bbox/10,44,9,45.png?bands=B01", 400, "10.0,44.0,9.0,45.0"),
        ("/mosaic/bbox/1e300,0,2e300,1.png?bands=B01", 400, "1e+300"),
        ("/mosaic/bbox/9,43,12,46.tif?bands=B02", 413, "limit"),
        ("/mosaic/bbox/10,44,10.1,44.1/0x5.png?bands=B01", 400, "'0'"),
        ("/mosaic/bbox/10,44,10.1,44.1.png?bands=B01&dst_crs=EPSG:999999", 400, "CRS"),
        ("/mosaic/bbox/10,44,10.1,44.1.png?bands=B01&coord_crs=/etc/passwd", 400, "/etc/passwd"),
        ("/mosaic/preview/16000x16000.png?bands=B01", 413, "16000 x 16000"),
        ("/mosaic/preview.png?bands=B01&max_size=0", 400, "'0'"),
        ("/mosaic/point/nan,44?bands=B01", 400, "nan"),
        ("/mosaic/point/10,95?bands=B01", 400, "95"),
        ("/mosaic/point/1e99,44/series?bands=B01", 400, "1e+99"),
        ("/mosaic/point/10.2,44.2/series?bands=B01&format=xml", 400, "'xml'"),
        ("/mosaic/point/10.2,44.2/series?bands=classification", 400, "'classification'"),
        (f"/items/{ITEM}/statistics?bands=B01&p=200", 400, "200"),
        (f"/items/{ITEM}/statistics?bands=B01&histogram_bins=999999999", 400, "999999999"),
        (f"/items/{ITEM}/statistics?bands=B01&histogram_range=5,1", 400, "5,1"),
        ("/mosaic/WebMercatorQuad/tilejson.json?maxzoom=1000000", 400, "1000000"),
        ("/mosaic/tiles/WebMercatorQuad?minzoom=-4", 400, "-4"),
        ("/mosaic/WMTSCapabilities.xml?zooms=WebMercatorQuad::0,99", 400, "0,99"),
        ("/mosaic/tiles?f=html", 400, "'html'"),
        ("/grid/99ZZZ.tif?bands=B01", 400, "99ZZZ"),
        ("/grid/32TNP.tif?bands=B01&buffer=-5", 400, "-5"),
        ("/grid/32TNP.tif?bands=B01&buffer=nan", 400, "nan"),
        ("/grid/32TNP.tif?bands=B01&buffer=1e300", 400, "1e+300"),
        ("/grid/32TNP.tif?bands=B01&order=least-cloudy", 400, "least-cloudy"),
        ("/grid/32TNP.jp2?bands=B01", 400, "'jp2'"),
        ("/nothing", 404, ""),
    ],
)
def test_bad_input_is_refused_with_the_value(client: TestClient, path: str, status: int, words: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert set(told) == {"code", "description"}
    assert words in told["description"]
    assert "\n" not in told["description"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 9_000, "application/json", 400),
        (b'{"type": "Feature"}', "application/json", 400),
        (json.dumps({"type": "Feature", "properties": {}, "geometry": None}).encode(), "application/json", 400),
        (
            json.dumps(
                {
                    "type": "Feature",
                    "properties": {},
                    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1e400, 1], [1, 1], [0, 0]]]},
                }
            ).encode(),
            "application/json",
            400,
        ),
        (b"x" * 2_000_000, "application/json", 413),
        (b"<xml/>", "text/xml", 400),
    ],
    ids=["half", "deep", "no geometry", "empty geometry", "infinite", "large", "XML"],
)
def test_bad_bodies_are_refused(client: TestClient, body: bytes, kind: str, status: int) -> None:
    for path in ("/mosaic/feature.png", "/mosaic/statistics"):
        answer = client.post(path, params=BAND, content=body, headers={"content-type": kind})
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"code", "description"}


# Damage


@pytest.mark.usefixtures("at_once")
def test_a_broken_product_leaves_its_neighbours_working(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = archive_of(tmp_path / "archive", *FOUR)
    store = Path(archive.store.url) / archive.product(ITEM).folder
    for name in ("r60m/b01", "r60m/overviews"):
        for file in (store / "measurements" / "reflectance" / name).rglob("*"):
            if file.is_file() and file.name != "zarr.json":
                file.write_bytes(b"broken")
    with tiles(archive) as client, caplog.at_level(logging.WARNING, logger="abut"):
        seen = client.get(MOSAIC_TILE, params=BAND)
        assert seen.status_code == 200
        assert seen.headers["abut-unreadable"] == ITEM
        assert seen.headers["cache-control"] == "no-store"
        assert "etag" not in seen.headers
        assert ITEM not in seen.headers["abut-products"]
        assert any(ITEM in record.getMessage() for record in caplog.records)
        alone = client.get(ITEM_TILE, params=BAND)
        assert alone.status_code == 424
        assert ITEM in alone.json()["description"]
        assert archive.store.url not in alone.text
        whole = client.get(f"/items/{FOUR[3].id}/tiles/{TILE}.png", params=BAND)
        assert whole.status_code in (200, 204)
        assert "abut-unreadable" not in whole.headers


def test_who_comes_when_all_is_busy_is_told_to_come_back(archive: Archive) -> None:
    with tiles(archive, tile_seconds=1e-6) as client:
        late = client.get(ITEM_TILE, params=BAND)
    assert late.status_code == 503
    assert late.headers["retry-after"]
    assert "ask for less" in late.json()["description"]
