"""Map tiles over HTTP: what each route answers, of an archive of toys with three dates."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import jsonschema
import morecantile
import numpy as np
import pytest
import rasterio
from defusedxml.ElementTree import fromstring
from rasterio.io import MemoryFile
from rio_tiler.models import ImageData
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from abut.connection import connect
from services.tiles.frame import Frame
from tests.tiles.pictures import archive_of, dates
from tests.tiles.reference import picture
from tests.tiles.serving import BAND, TILE, app_of, tiles
from tests.toy import CORNER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from httpx2 import Response

    from abut.archive import Archive
    from tests.shots import Shot

pytestmark = pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning")  # rio-tiler of affine

NEWEST, LATER, OLDEST = dates()
ITEM = OLDEST[0].id
INSIDE = (10.2, 44.19)
"""Longitude and latitude of a place that the first tile has at all dates."""
OWS = "{http://www.opengis.net/ows/1.1}"
WMTS = "{http://www.opengis.net/wmts/1.0}"
TILEJSON = {
    "type": "object",
    "required": ["tilejson", "tiles", "bounds", "minzoom", "maxzoom"],
    "properties": {
        "tilejson": {"const": "3.0.0"},
        "scheme": {"const": "xyz"},
        "tiles": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"\{z\}/\{x\}/\{y\}"}},
        "bounds": {"type": "array", "minItems": 4, "maxItems": 4, "items": {"type": "number"}},
        "minzoom": {"type": "integer", "minimum": 0, "maximum": 30},
        "maxzoom": {"type": "integer", "minimum": 0, "maximum": 30},
    },
}
"""What TileJSON 3.0 demands of what is here."""


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return archive_of(tmp_path_factory.mktemp("http") / "archive", *NEWEST, *LATER, *OLDEST)


@pytest.fixture(name="client", scope="module")
def _client(archive: Archive) -> Iterator[TestClient]:
    with tiles(archive) as client:
        yield client


def raster(answer: Response) -> tuple[np.ndarray, np.ndarray, Any]:
    """Pixels, mask and profile of a GeoTIFF."""
    assert answer.status_code == 200, answer.text
    with MemoryFile(answer.content) as file, file.open() as opened:
        pixels = opened.read()
        mask = ~np.isnan(pixels).any(axis=0) if pixels.dtype == np.float32 else (pixels > 0).any(axis=0)
        assert np.array_equal(opened.dataset_mask() > 0, mask)
        return pixels, mask, opened.profile


def seen(answer: Response) -> np.ma.MaskedArray:
    """Channels of a picture, without its mask."""
    assert answer.status_code == 200, answer.text
    return ImageData.from_bytes(answer.content).array


def tile_at(zoom: int, lon: float, lat: float) -> str:
    tile = morecantile.tms.get("WebMercatorQuad").tile(lon, lat, zoom)
    return f"WebMercatorQuad/{zoom}/{tile.x}/{tile.y}"


def frame_of_tile(path: str) -> Frame:
    z, x, y = map(int, path.split("/")[1:])
    box = morecantile.tms.get("WebMercatorQuad").xy_bounds(morecantile.Tile(x, y, z))
    return Frame("EPSG:3857", (box.left, box.bottom, box.right, box.top), 256, 256)


# Tiles


@pytest.mark.parametrize(
    ("query", "groups"),
    [
        ({}, [NEWEST, LATER, OLDEST]),
        ({"order": "earliest"}, [OLDEST, LATER, NEWEST]),
        ({"order": "least-cloudy"}, [LATER, OLDEST, NEWEST]),
        ({"datetime": "2023-08-23"}, [OLDEST]),
        ({"cloud": "60"}, [LATER, OLDEST]),
        ({"filter": "\"eo:cloud_cover\" < 60 AND datetime < TIMESTAMP('2023-08-24T00:00:00Z')"}, [OLDEST]),
        ({"filter": json.dumps({"op": "<", "args": [{"property": "eo:cloud_cover"}, 30]})}, [LATER]),
        ({"ids": f"{LATER[0].id},{OLDEST[1].id}", "order": "given"}, [[LATER[0]], [OLDEST[1]]]),
        ({"tiles": "32TNP", "datetime": "2023-08-23"}, [[OLDEST[0]]]),
    ],
    ids=["latest", "earliest", "least cloudy", "a day", "cloud", "CQL2 text", "CQL2 JSON", "given", "tile"],
)
def test_a_mosaic_shows_what_a_search_finds(
    client: TestClient, query: dict[str, str], groups: Sequence[Sequence[Shot]]
) -> None:
    expected = picture(groups, frame_of_tile(TILE), "B01")
    answer = client.get(f"/mosaic/tiles/{TILE}.tif", params={**BAND, **query})
    pixels, mask, profile = raster(answer)
    dn = np.rint(np.nan_to_num(pixels[0]) * 10_000.0)
    unlike = (mask != ~np.isnan(expected.dn)) | (mask & (dn != np.nan_to_num(expected.dn)))
    assert mask.any()
    assert not (unlike & expected.certain).any()
    assert profile["crs"].to_epsg() == 3857
    shown = set(answer.headers["abut-products"].split(","))
    assert shown <= {one.id for group in groups for one in group}


def test_an_item_shows_its_own_ground_alone(client: TestClient) -> None:
    pixels, mask, profile = raster(client.get(f"/items/{ITEM}/preview.tif", params={**BAND, "max_size": 1830}))
    assert profile["crs"].to_epsg() == 32632
    assert profile["transform"][:6] == (60, 0, 499_980, 0, -60, 4_900_020)
    expected = OLDEST[0].arrays["B01"]
    assert np.array_equal(mask, expected > 0)
    assert np.array_equal(np.rint(pixels[0][mask] * 10_000.0), expected[mask] - 1_000.0)


def test_formats_hold_the_same_pixels(client: TestClient) -> None:
    asked: dict[str, Any] = {**BAND, "rescale": "0,1"}
    answers = {
        form: client.get(f"/mosaic/tiles/{TILE}.{form}", params=asked) for form in ("png", "jpeg", "webp", "jp2")
    }
    kinds = {form: answer.headers["content-type"] for form, answer in answers.items()}
    assert kinds == {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "jp2": "image/jp2"}
    array = np.load(io.BytesIO(client.get(f"/mosaic/tiles/{TILE}.npy", params=BAND).content))
    pixels, mask, _ = raster(client.get(f"/mosaic/tiles/{TILE}.tif", params=BAND))
    assert np.array_equal(array, pixels, equal_nan=True)
    with_mask = np.load(
        io.BytesIO(client.get(f"/mosaic/tiles/{TILE}.npy", params={**BAND, "return_mask": True}).content)
    )
    assert with_mask.shape == (2, 256, 256)
    grey = seen(answers["png"])[0]
    assert np.array_equal(~grey.mask, mask)
    assert np.abs(grey.data[mask] - np.clip(pixels[0][mask], 0, 1) * 255).max() < 1.01


def test_a_format_is_chosen_where_none_is_asked_for(client: TestClient) -> None:
    inner = client.get(f"/mosaic/tiles/{tile_at(14, *INSIDE)}", params=BAND)
    rim = client.get(f"/mosaic/tiles/{TILE}", params=BAND)
    assert [one.headers["content-type"] for one in (inner, rim)] == ["image/jpeg", "image/png"]


def test_the_buffer_of_a_tile_is_what_its_neighbours_show(client: TestClient) -> None:
    z, x, y = map(int, TILE.split("/")[1:])
    asked: dict[str, Any] = {**BAND, "buffer": 4}
    plain = raster(client.get(f"/mosaic/tiles/{TILE}.tif", params=BAND))[0]
    wide = raster(client.get(f"/mosaic/tiles/{TILE}.tif", params=asked))[0]
    right = raster(client.get(f"/mosaic/tiles/WebMercatorQuad/{z}/{x + 1}/{y}.tif", params=BAND))[0]
    assert wide.shape == (1, 264, 264)
    assert np.array_equal(wide[0, 4:-4, 4:-4], plain[0], equal_nan=True)
    assert np.array_equal(wide[0, 4:-4, -4:], right[0, :, :4], equal_nan=True)
    padded = raster(client.get(f"/mosaic/tiles/{TILE}.tif", params={**BAND, "padding": 2}))
    assert np.array_equal(padded[0], plain, equal_nan=True)


def test_tile_sizes(client: TestClient) -> None:
    large = raster(client.get(f"/mosaic/tiles/{TILE}.tif", params={**BAND, "tilesize": 512}))[0]
    assert large.shape == (1, 512, 512)


def test_nothing_is_said_with_a_reason(client: TestClient) -> None:
    far = client.get("/mosaic/tiles/WebMercatorQuad/10/0/0", params=BAND)
    assert (far.status_code, far.content) == (204, b"")
    assert far.headers["abut-reason"] == "outside of what there is"
    hole = client.get(f"/mosaic/tiles/{tile_at(12, 9.5, 43.6)}", params=BAND)
    assert (hole.status_code, hole.headers["abut-reason"]) == (204, "no data")
    none = client.get(f"/mosaic/tiles/{TILE}", params={**BAND, "datetime": "1999"})
    assert none.status_code == 204
    clear = client.get("/mosaic/tiles/WebMercatorQuad/10/0/0.png", params={**BAND, "empty": "transparent"})
    assert clear.headers["content-type"] == "image/png"
    assert clear.headers["abut-reason"] == far.headers["abut-reason"]
    assert seen(clear).shape == (1, 256, 256)
    assert seen(clear).mask.all()


def test_tiles_that_are_too_wide_say_what_helps(archive: Archive) -> None:
    with tiles(archive, tile_objects=3) as client:
        wide = client.get("/mosaic/tiles/WebMercatorQuad/7/67/46.png", params={"bands": "B01,B09"})
        assert wide.status_code == 204
        assert wide.headers["abut-reason"].startswith("too wide: ")
        told = client.get("/mosaic/WebMercatorQuad/tilejson.json", params=BAND).json()
        assert wide.headers["abut-reason"].endswith("ask for a higher zoom or a shorter period")
        assert told["minzoom"] > 7
        crop = client.get("/mosaic/preview.png", params={"bands": "B01,B09"})
        assert crop.status_code == 413


def test_expressions_and_named_pictures(client: TestClient) -> None:
    ratio = raster(client.get(f"/mosaic/tiles/{TILE}.tif", params={"expression": "B01/(B01+B09)"}))
    plain = raster(client.get(f"/mosaic/tiles/{TILE}.tif", params={"bands": "B01,B09"}))
    both = ratio[1]
    first, second = plain[0][:, both]
    assert np.allclose(ratio[0][0][both], first / (first + second), rtol=1e-4, atol=1e-6)
    shown = client.get(f"/mosaic/tiles/{TILE}.png", params={"expression": "B01-B09", "colormap_name": "viridis"})
    assert seen(shown).shape == (3, 256, 256)
    summed = client.get(f"/mosaic/tiles/{TILE}.tif", params={"bands": "B01,B09", "algorithm": "sum"})
    assert raster(summed)[0].shape == (1, 256, 256)


# Documents


def test_tilejson(client: TestClient, archive: Archive) -> None:
    for place in ("/mosaic", f"/items/{ITEM}"):
        told = client.get(f"{place}/WebMercatorQuad/tilejson.json", params={**BAND, "tile_format": "png"}).json()
        jsonschema.validate(told, TILEJSON)
        assert (told["minzoom"], told["maxzoom"]) == (0, 14)
        x, y = tile_at(9, *INSIDE).split("/")[2:]
        url = told["tiles"][0].replace("{z}", "9").replace("{x}", str(x)).replace("{y}", str(y))
        assert url.startswith(f"http://testserver{place}/tiles/WebMercatorQuad/9/{x}/{y}.png?")
        picture_of = client.get(url)
        assert (picture_of.status_code, picture_of.headers["content-type"]) == (200, "image/png")
        assert seen(picture_of).shape[1:] == (512, 512)  # QGIS and MapLibre take the size from the document
    footprint = connect(archive.store.url).archive.product(ITEM).tile.footprint
    assert footprint.area == 109_800**2


@pytest.mark.parametrize(
    "name", ["WebMercatorQuad", "WorldCRS84Quad", "WorldMercatorWGS84Quad", "EuropeanETRS89_LAEAQuad"]
)
def test_tiles_lie_where_the_standard_says(client: TestClient, name: str) -> None:
    tms = morecantile.tms.get(name)
    told = client.get(f"/tileMatrixSets/{name}").json()
    assert told["id"] == name
    zoom = 9 if name != "WorldCRS84Quad" else 8
    tile = tms.tile(10.33, 44.3, zoom)
    answer = client.get(f"/mosaic/tiles/{name}/{tile.z}/{tile.x}/{tile.y}.tif", params=BAND)
    _, mask, profile = raster(answer)
    box = tms.xy_bounds(tile)
    assert mask.any()
    assert [float(edge) for edge in answer.headers["content-bbox"].split(",")] == pytest.approx(list(box))
    assert profile["transform"].c == pytest.approx(box.left)
    assert profile["transform"].f == pytest.approx(box.top)
    limits = client.get(f"/mosaic/tiles/{name}", params=BAND).json()["tileMatrixSetLimits"]
    (mine,) = [one for one in limits if one["tileMatrix"] == str(zoom)]
    assert mine["minTileCol"] <= tile.x <= mine["maxTileCol"]
    assert mine["minTileRow"] <= tile.y <= mine["maxTileRow"]


def test_wmts_capabilities(client: TestClient) -> None:
    answer = client.get(
        "/mosaic/WMTSCapabilities.xml", params={**BAND, "SERVICE": "WMTS", "REQUEST": "GetCapabilities"}
    )
    assert answer.headers["content-type"] == "application/xml"
    root = fromstring(answer.content)
    assert (root.tag, root.get("version")) == (f"{WMTS}Capabilities", "1.0.0")
    layers = root.findall(f"{WMTS}Contents/{WMTS}Layer")
    sets = {one.findtext(f"{OWS}Identifier"): one for one in root.findall(f"{WMTS}Contents/{WMTS}TileMatrixSet")}
    assert set(sets) == {"WebMercatorQuad", "WorldCRS84Quad", "WorldMercatorWGS84Quad", "EuropeanETRS89_LAEAQuad"}
    assert len(layers) == len(sets)
    for layer in layers:
        link = layer.find(f"{WMTS}TileMatrixSetLink")
        assert link is not None
        known = {one.findtext(f"{OWS}Identifier") for one in sets[link.findtext(f"{WMTS}TileMatrixSet")].iter()}
        limits = link.findall(f"{WMTS}TileMatrixSetLimits/{WMTS}TileMatrixLimits")
        assert limits
        assert {one.findtext(f"{WMTS}TileMatrix") for one in limits} <= known
        resource = layer.find(f"{WMTS}ResourceURL")
        assert resource is not None
        deep = limits[-1]
        url = resource.get("template", "")
        for name, value in (
            ("TileMatrix", deep.findtext(f"{WMTS}TileMatrix")),
            ("TileCol", deep.findtext(f"{WMTS}MinTileCol")),
            ("TileRow", deep.findtext(f"{WMTS}MinTileRow")),
        ):
            url = url.replace(f"{{{name}}}", str(value))
        assert client.get(url).status_code in (200, 204)


def test_lists_of_tiles_and_information(client: TestClient) -> None:
    listed = client.get("/mosaic/tiles", params=BAND).json()["tilesets"]
    assert len(listed) == 4
    for one in listed:
        (here,) = [link["href"] for link in one["links"] if link["rel"] == "self"]
        assert client.get(here).status_code == 200
    info = client.get(f"/items/{ITEM}/info").json()
    assert info["products"] == 1
    assert len(info["band_descriptions"]) == 13
    feature = client.get(f"/items/{ITEM}/info.geojson").json()
    assert feature["geometry"]["type"] == "Polygon"


def test_links_are_right_where_it_is_mounted(archive: Archive) -> None:
    inner = app_of(archive)
    outer = Starlette(routes=[Mount("/abut/tiles", inner)], lifespan=inner.router.lifespan_context)
    with TestClient(outer, base_url="https://example.org") as client:
        told = client.get("/abut/tiles/mosaic/WebMercatorQuad/tilejson.json", params=BAND).json()
        assert told["tiles"][0].startswith("https://example.org/abut/tiles/mosaic/tiles/WebMercatorQuad/{z}/{x}/{y}?")
        assert client.get(told["tiles"][0].format(z=10, x=541, y=370)).status_code == 200
        page = client.get("/abut/tiles/").json()
        for link in page["links"]:
            assert client.get(link["href"]).status_code == 200, link
        assert client.head("/abut/tiles/").status_code == 200


# Crops, statistics, values


def test_a_box_has_the_pixels_of_the_products(client: TestClient, archive: Archive) -> None:
    place = f"{CORNER.left},{CORNER.bottom},{CORNER.right},{CORNER.top}"
    answer = client.get(
        f"/mosaic/bbox/{place}.tif", params={**BAND, "coord_crs": "EPSG:32632", "datetime": "2023-08-23"}
    )
    profile = raster(answer)[2]
    rows, columns = CORNER.shape(60)
    assert abs(profile["height"] - rows) <= 3  # as long along the ellipsoid as on the map, about
    sized = client.get(
        f"/mosaic/bbox/{place}/{columns}x{rows}.tif",
        params={**BAND, "coord_crs": "EPSG:32632", "datetime": "2023-08-23", "unscale": "false"},
    )
    cube: Any = connect(archive.store.url).cube(window=CORNER, bands="B01", resolution=60, datetime="2023-08-23")
    assert np.array_equal(raster(sized)[0][0], cube["b01"].to_numpy()[0])
    assert answer.headers["content-crs"] == "<http://www.opengis.net/def/crs/EPSG/0/32632>"


def test_a_feature_is_cut_out(client: TestClient) -> None:
    ring = [[10.15, 44.2], [10.35, 44.2], [10.25, 44.4], [10.15, 44.2]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    pixels, mask, _ = raster(client.post("/mosaic/feature.tif", params={**BAND, "max_size": 200}, json=feature))
    assert 0.4 < mask.mean() < 0.6
    assert not mask[0, :50].any()
    told = client.post("/mosaic/statistics", params={**BAND, "max_size": 200}, json=feature).json()
    counted = told["properties"]["statistics"]["b1"]
    assert counted["valid_pixels"] == pytest.approx(mask.sum(), rel=0.1)
    assert counted["description"] == "B01"
    assert np.nanmax(pixels) > 0


def test_statistics_are_those_of_a_preview(client: TestClient) -> None:
    asked: dict[str, Any] = {**BAND, "max_size": 300}
    pixels, mask, _ = raster(client.get(f"/items/{ITEM}/preview.tif", params=asked))
    told = client.get(f"/items/{ITEM}/statistics", params={**asked, "histogram_range": "0,1"}).json()["b1"]
    assert told["mean"] == pytest.approx(float(pixels[0][mask].mean()), rel=1e-5)
    assert told["valid_pixels"] == mask.sum()
    assert len(told["histogram"][0]) == 10


def test_a_point_has_the_value_of_its_pixel(client: TestClient) -> None:
    dn = OLDEST[0].arrays["B01"]
    row, column = 33, 1500
    x, y = 499_980 + 60 * column + 7, 4_900_020 - 60 * row - 53
    lon, lat = rasterio.warp.transform("EPSG:32632", "EPSG:4326", [x], [y])
    answer = client.get(f"/items/{ITEM}/point/{lon[0]},{lat[0]}", params={"bands": "B01,B09"}).json()
    assert answer["values"][0] == pytest.approx((int(dn[row, column]) - 1_000) / 10_000, abs=1e-6)
    assert answer["band_descriptions"] == ["B01", "B09"]
    in_metres = client.get(f"/items/{ITEM}/point/{x},{y}", params={**BAND, "coord_crs": "EPSG:32632"}).json()
    assert in_metres["values"] == answer["values"][:1]
    nothing = client.get(f"/items/{ITEM}/point/9.0,43.9", params=BAND).json()
    assert nothing["values"] == [None]


def test_a_series_has_all_steps_of_a_point(client: TestClient) -> None:
    row, column = 33, 1500
    x, y = 499_980 + 60 * column + 7, 4_900_020 - 60 * row - 53
    (lon,), (lat,) = rasterio.warp.transform("EPSG:32632", "EPSG:4326", [x], [y])
    url = f"/mosaic/point/{lon},{lat}/series"
    told = client.get(url, params={"bands": "B01,B09"}).json()
    groups = [OLDEST, LATER, NEWEST]
    assert [one["datetime"] for one in told["steps"]] == sorted(one["datetime"] for one in told["steps"])
    assert [one["cloud_cover"] for one in told["steps"]] == [50.0, 20.0, 80.0]
    for step, group in zip(told["steps"], groups, strict=True):
        assert step["product"] in {one.id for one in group}
    for step, group in zip(told["steps"], groups, strict=True):
        for band in ("B01", "B09"):
            dn = int(group[0].arrays[band][row, column])
            expected = None if dn == 0 else pytest.approx((dn + group[0].offset) / 10_000, abs=1e-6)
            assert step["values"][band] == expected
    raw = client.get(url, params={"bands": "B01", "unscale": "false", "format": "csv"})
    assert raw.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(raw.text)))
    assert [int(one["B01"]) for one in rows] == [int(group[0].arrays["B01"][row, column]) for group in groups]
    single = client.get(f"/items/{ITEM}/point/{lon},{lat}/series", params=BAND).json()
    assert [one["product"] for one in single["steps"]] == [ITEM]
    few = client.get(url, params={**BAND, "datetime": "2023-08-23"})
    assert len(few.json()["steps"]) == 1
    assert client.get(url, params=BAND).headers["etag"] != few.headers["etag"]


def test_a_series_has_no_more_steps_than_it_may(archive: Archive) -> None:
    with tiles(archive, tile_series_steps=2) as client:
        answer = client.get("/mosaic/point/10.33,44.25/series", params=BAND)
    assert answer.status_code == 413
    assert answer.json()["description"].startswith("3 steps, more than the limit of 2")


# Tiles of the grid


@pytest.mark.parametrize("buffer", [0, 10_000])
def test_a_grid_has_the_cubes_dn(client: TestClient, archive: Archive, buffer: int) -> None:
    asked: dict[str, Any] = {"bands": "B01,B09", "buffer": buffer, "datetime": "2023-08-23"}
    cube: Any = connect(archive.store.url).tile("32TNP", buffer, bands="B01,B09", resolution=60, datetime="2023-08-23")
    expected = np.stack([cube["b01"].to_numpy()[0], cube["b09"].to_numpy()[0]])
    answer = client.get("/grid/32TNP.tif", params=asked)
    pixels, _, profile = raster(answer)
    assert np.array_equal(pixels, expected)
    assert profile["nodata"] == 0
    assert expected.any()
    array = np.load(io.BytesIO(client.get("/grid/32TNP.npy", params=asked).content))
    assert np.array_equal(array, expected)
    left, bottom, right, top = map(float, answer.headers["content-bbox"].split(","))
    assert (right - left, top - bottom) == (expected.shape[2] * 60, expected.shape[1] * 60)
    assert profile["transform"].c == left


def test_a_grid_shows_the_step_that_comes_first(client: TestClient, archive: Archive) -> None:
    asked: dict[str, Any] = {"bands": "B01", "datetime": "2023-08-23/2023-08-29"}
    latest, earliest = (
        raster(client.get("/grid/32TNP.tif", params={**asked, "order": order}))[0][0]
        for order in ("latest", "earliest")
    )
    cube: Any = connect(archive.store.url).tile("32TNP", bands="B01", resolution=60, datetime=asked["datetime"])
    first, second = cube["b01"].to_numpy()
    assert np.array_equal(latest, np.where(second > 0, second, first))
    assert np.array_equal(earliest, np.where(first > 0, first, second))
    mixed = client.get("/grid/32TNP.tif", params=BAND)
    assert mixed.status_code == 409
    assert "radio_add_offset" in mixed.json()["description"]


def test_a_grid_as_a_picture(client: TestClient) -> None:
    answer = client.get("/grid/32TNP.png", params={**BAND, "max_size": 183, "buffer": 9_000, "rescale": "0,1"})
    assert answer.headers["content-type"] == "image/png"
    assert seen(answer).shape == (1, 183, 183)
    refused = client.get("/grid/32TNP.tif", params={"expression": "B01-B09"})
    assert refused.status_code == 400
    flags = client.get("/grid/32TNP.npy", params={"bands": "classification"})
    assert (flags.status_code, "classification" in flags.json()["description"]) == (400, True)


def test_a_grid_is_not_larger_than_it_may(archive: Archive) -> None:
    with tiles(archive, tile_grid_bytes=10_000_000) as client:
        answer = client.get("/grid/32TNP.tif", params={"bands": "B02"})
    assert answer.status_code == 413
    assert "241,120,800 bytes" in answer.json()["description"]


def test_dn_of_different_offsets_are_not_mixed(client: TestClient) -> None:
    answer = client.get(f"/mosaic/tiles/{TILE}.tif", params={**BAND, "unscale": "false"})
    assert answer.status_code == 409
    assert "B01" in answer.json()["description"]
