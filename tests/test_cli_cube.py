"""`abut cube`, `abut explain` and `abut recreate --buffer`: files in all formats, refusals in one line."""

from __future__ import annotations

import json
import socket
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.warp import transform

import cli.cube
from abut.archive import create_archive
from abut.errors import BadRequestError, InvalidWindowError
from abut.export.cube import format_of
from abut.lattice import Bounds
from abut.length import parse_length
from abut.tiling import tile
from cli.main import run
from ingest.ingest import ingest
from tests.toy import CORNER, TILES, ToySource, ground

if TYPE_CHECKING:
    from abut.archive import Archive

BOX = Bounds(CORNER.zone, 594_000, 4_896_000, 618_000, 4_914_000)
"""Inside of what the toys have, over the corner of four tiles."""
SAID = ("--crs", "EPSG:32632", "--bbox", f"{BOX.left},{BOX.bottom},{BOX.right},{BOX.top}")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four tiles around a corner, B01 and B09."""
    made = create_archive(tmp_path_factory.mktemp("corner") / "archive")
    for name in TILES:
        ingest(made, ToySource(name))
    return made.store.url


def refused(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that refuses; return its one line."""
    capfd.readouterr()
    assert run([str(argument) for argument in arguments]) == 2
    output, errors = capfd.readouterr()
    assert output == ""
    (line,) = errors.splitlines()
    return line


def test_all_formats_hold_the_pixels_of_the_safes(archive: str, tmp_path: Path) -> None:
    for name in ("a.zarr", "a.zarr.zip", "a.nc", "a"):
        assert run(["cube", "-a", archive, *SAID, "--bands", "B01,B09", "--out", str(tmp_path / name)]) == 0
    trees = [
        xr.open_datatree(tmp_path / "a.zarr", engine="zarr"),
        xr.open_datatree(tmp_path / "a.nc", engine="h5netcdf"),
    ]
    with zipfile.ZipFile(tmp_path / "a.zarr.zip") as packed:
        assert packed.testzip() is None
        packed.extractall(tmp_path / "unpacked")
    trees.append(xr.open_datatree(tmp_path / "unpacked", engine="zarr"))
    for band in ("B01", "B09"):
        truth = ground(band, BOX)
        for tree in trees:
            found = tree["r60m"][band.lower()]
            assert (found.dims, found.dtype) == (("time", "y", "x"), np.uint16)
            assert (found.to_numpy()[0] == truth).all()
        with rasterio.open(next((tmp_path / "a").glob(f"*_{band}.tif"))) as image:
            assert (image.read(1) == truth).all()
            assert image.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert (image.nodata, image.crs.to_epsg(), image.descriptions) == (0, 32632, (band,))
            assert tuple(image.bounds) == (BOX.left, BOX.bottom, BOX.right, BOX.top)
            tags = image.tags()
            assert image.scales == (1 / int(tags["QUANTIFICATION_VALUE"]),)
            assert image.offsets == (int(tags["RADIO_ADD_OFFSET"]) / int(tags["QUANTIFICATION_VALUE"]),)
    assert xr.open_zarr(tmp_path / "a.zarr", group="r60m")["b01"].attrs == trees[1]["r60m"]["b01"].attrs
    for tree in trees:
        tree.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.nc", "a.zarr", "a.zarr.zip", "unpacked"]


def test_a_common_pixel_size_gives_one_dataset(archive: str, tmp_path: Path) -> None:
    arguments = ["cube", "-a", archive, *SAID, "--bands", "B01", "--resolution", "20", "--reflectance"]
    assert run([*arguments, "--out", str(tmp_path / "b.zarr")]) == 0
    found = xr.open_zarr(tmp_path / "b.zarr")
    expected = np.repeat(np.repeat(ground("B01", BOX), 3, axis=0), 3, axis=1)
    offset, quantification = int(found["radio_add_offset"][0, 0]), int(found["quantification_value"][0])
    assert found["b01"].dtype == np.float32
    assert (found["b01"].to_numpy()[0] == (expected.astype(np.float32) + offset) / np.float32(quantification)).all()


def test_pixels_of_any_coordinate_system(archive: str, tmp_path: Path) -> None:
    arguments = ["cube", "-a", archive, *SAID, "--bands", "B01", "--to", "EPSG:3035", "--resolution", "100"]
    assert run([*arguments, "--out", str(tmp_path / "b")]) == 0
    (file,) = (path for path in (tmp_path / "b").iterdir() if path.name.endswith("_B01.tif"))
    with rasterio.open(file) as image:
        assert (image.crs.to_epsg(), image.res) == (3035, (100, 100))
        assert (image.bounds.left % 100, image.bounds.top % 100) == (0, 0)
        pixels = image.read(1)
        assert set(np.unique(pixels)) <= {0, *np.unique(ground("B01", CORNER))}, "nearest makes no new values"
        x, y = transform("EPSG:32632", "EPSG:3035", [BOX.left + 12_000], [BOX.bottom + 9_000])
        assert pixels[image.index(x[0], y[0])] > 0


def test_large_cubes_are_written_piece_by_piece_and_are_the_same(
    archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, folder in ((10**9, "whole"), (1_000, "pieces")):
        monkeypatch.setattr(cli.cube, "_AT_ONCE", limit)
        for name in ("a.zarr", "a.nc", "a"):
            assert (
                run(["cube", "-a", archive, *SAID, "--bands", "B01,B09", "--out", str(tmp_path / folder / name)]) == 0
            )
    for engine, name in (("zarr", "a.zarr"), ("h5netcdf", "a.nc")):
        with (
            xr.open_datatree(tmp_path / "whole" / name, engine=engine) as whole,
            xr.open_datatree(tmp_path / "pieces" / name, engine=engine) as pieces,
        ):
            xr.testing.assert_identical(whole.load(), pieces.load())
    for image in (tmp_path / "whole" / "a").iterdir():
        with rasterio.open(image) as one, rasterio.open(tmp_path / "pieces" / "a" / image.name) as other:
            assert (one.read() == other.read()).all()


def test_tile_geometry_and_box_name_the_same_ground(
    archive: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ring = [[10.2, 44.2], [10.3, 44.2], [10.3, 44.3], [10.2, 44.3], [10.2, 44.2]]
    polygon = {"type": "Polygon", "coordinates": [ring]}
    forms = {
        "plain": polygon,
        "feature": {"type": "Feature", "properties": {}, "geometry": polygon},
        "collection": {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": polygon}]},
    }
    said = []
    for name, form in forms.items():
        (tmp_path / name).write_text(json.dumps(form))
        assert run(["explain", "-a", archive, "--geometry", str(tmp_path / name), "--bands", "B01", "--json"]) == 0
        said.append(json.loads(capfd.readouterr().out))
    assert run(["explain", "-a", archive, "--bbox", "10.2,44.2,10.3,44.3", "--bands", "B01", "--json"]) == 0
    said.append(json.loads(capfd.readouterr().out))
    assert all(one == said[0] for one in said)
    assert run(["explain", "-a", archive, "--tile", "32TNP", "--buffer", "10km", "--bands", "B01", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["window"]["width"] == 109_800 + 20_040
    assert len(found["products"]) == 4


def test_explain_says_in_a_few_lines_what_is_read(archive: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "-a", archive, *SAID, "--bands", "B01,B09"]) == 0
    first, header, zone, requests, safe = capfd.readouterr().out.splitlines()
    assert first == "24 x 18 km of EPSG:32632, 1 step, B01, B09"
    assert header.split() == ["zone", "products", "blocks", "objects", "bytes"]
    assert zone.split()[:3] == ["EPSG:32632", "4", "8"]
    assert requests.startswith("requests: ")
    assert safe.startswith("from SAFE: ")


def test_json_says_what_was_written(archive: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["cube", "-a", archive, *SAID, "--bands", "B01", "--out", str(tmp_path / "a.nc"), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["path"], found["format"]) == (str(tmp_path / "a.nc"), "netcdf")
    assert found["groups"]["/r60m"]["variables"] == ["b01"]
    assert found["groups"]["/r60m"]["sizes"] | {"time": 1, "y": 300, "x": 400} == found["groups"]["/r60m"]["sizes"]


@pytest.mark.parametrize("name", ["a.zarr", "a.nc", "a"])
def test_what_is_there_is_never_replaced(
    archive: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_text("mine")
    line = refused(capfd, "cube", "-a", archive, *SAID, "--bands", "B01", "--out", tmp_path / name)
    assert line == f"abut: error: {tmp_path / name}: is there already"
    assert (tmp_path / name).read_text() == "mine"


def test_what_fails_leaves_nothing(archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("abut.export.cube._write_netcdf", full)
    monkeypatch.setattr("abut.export.cube.write_tiffs", full)
    for name in ("a.nc", "a"):
        assert run(["cube", "-a", archive, *SAID, "--bands", "B01", "--out", str(tmp_path / name)]) == 2
    assert list(tmp_path.iterdir()) == []


TILE = ("--tile", "32TNP")
REFUSALS: list[tuple[tuple[str, ...], str]] = [
    ((), "name one of --tile, --bbox and --geometry"),
    ((*TILE, "--bbox", "1,2,3,4"), "name one of --tile, --bbox and --geometry"),
    (("--tile", "32TZZ"), "'32TZZ' is not a tile"),
    ((*TILE, "--buffer", "200km"), "buffer 200000 m is not between 0 and 100,000 m"),
    ((*TILE, "--buffer", "ten"), "'ten' is no length; write 10km, 500m or 10000"),
    ((*TILE, "--buffer", "-5"), "'-5' is no length"),
    ((*TILE, "--crs", "EPSG:3035"), "--crs and --zone are for --bbox and --geometry"),
    (("--bbox", "10,46,11,47", "--buffer", "1km"), "--buffer is for --tile"),
    (("--bbox", "10,46,11"), "is not four numbers"),
    (("--bbox", "a,b,c,d"), "--bbox 'a,b,c,d' is not W,S,E,N"),
    (("--bbox", "10,47,11,46"), "is empty or reversed"),
    (("--bbox", "11,46,10,47"), "are west and east swapped?"),
    (("--bbox", "10,46,10,47"), "is empty or reversed"),
    (("--bbox", "10,46,11,47", "--crs", "EPSG:99999"), "'EPSG:99999' is not a coordinate system that is known"),
    (("--bbox", "10,46,11,47", "--zone", "99"), "--zone '99' is not a UTM zone"),
    ((*TILE, "--bands", "B99"), "'B99' is not a band"),
    ((*TILE, "--bands", "B1"), "did you mean B"),
    ((*TILE, "--bands", "nir"), "nir is B08"),
    ((*TILE, "--resolution", "15"), "resolution 15 is not 10, 20 or 60 m"),
    ((*TILE, "--resolution", "ten"), "'ten' is not a valid float"),
    ((*TILE, "--to", "EPSG:3035"), "--to needs --resolution"),
    ((*TILE, "--to", "EPSG:99999", "--resolution", "10"), "'EPSG:99999' is not a coordinate system that is known"),
    ((*TILE, "--to", "EPSG:3035", "--resolution", "-1"), "resolution -1 is not a positive number"),
    ((*TILE, "--datetime", "2025-13"), "'2025-13' is no period"),
    ((*TILE, "--datetime", "2026/2025"), "ends before it starts"),
    ((*TILE, "--bands", "B01", "--datetime", "2001"), "no product"),
    (("--bbox", "-50,10,-49,11", "--bands", "B01"), "no product"),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: " ".join(case[0])[:50])
def test_bad_requests_are_refused_in_one_line(
    archive: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], case: tuple[tuple[str, ...], str]
) -> None:
    arguments, reason = case
    assert reason in refused(capfd, "cube", "-a", archive, *arguments, "--out", tmp_path / "a.zarr")
    assert reason in refused(capfd, "explain", "-a", archive, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["no-such-folder", "s3:/wrong", "ftp://example.org/a"])
def test_an_archive_that_is_not_there_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str], where: str) -> None:
    assert where.rpartition("/")[2] in refused(capfd, "cube", "-a", where, *TILE, "--out", tmp_path / "a.zarr")


def test_a_service_that_can_not_be_reached_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abut.http_json.WAITS", ())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # taken, and nobody listens
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert url in refused(capfd, "cube", "-a", url, *TILE, "--out", tmp_path / "a.zarr")
        assert url in refused(capfd, "explain", "-a", url, *TILE)


def test_files_that_are_no_geometry_are_refused(
    archive: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text("{")
    assert "a.json: not JSON" in refused(capfd, "explain", "-a", archive, "--geometry", tmp_path / "a.json")
    (tmp_path / "a.json").write_text("[]")
    assert "geometry [] is not GeoJSON" in refused(capfd, "explain", "-a", archive, "--geometry", tmp_path / "a.json")


@pytest.mark.parametrize(
    ("name", "form"), [("x.zarr", "zarr"), ("x.zarr.zip", "zip"), ("x.nc", "netcdf"), ("x", "cog")]
)
def test_the_suffix_says_the_format(name: str, form: str) -> None:
    assert format_of(Path(name)) == form


@pytest.mark.parametrize("name", ["x.tif", "x.zip", "x.hdf", "a.b.c"])
def test_other_suffixes_are_refused(name: str) -> None:
    with pytest.raises(BadRequestError, match=r"write to x\.zarr, x\.zarr\.zip or x\.nc"):
        format_of(Path(name))


LENGTHS = [("10km", 10_000), ("0.5 km", 500), ("500m", 500), ("10000", 10_000), ("0", 0), ("1.5KM", 1_500)]


@pytest.mark.parametrize(("text", "metres"), LENGTHS)
def test_lengths_are_metres_or_kilometres(text: str, metres: float) -> None:
    assert parse_length(text) == metres


@pytest.mark.parametrize("text", ["", "km", "-1", "1mi", "1e3", "1,5km", "nan"])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(InvalidWindowError, match="is no length"):
        parse_length(text)


def test_an_enlarged_tile_is_the_legacy_tile_and_its_neighbours(old_archive: Archive, tmp_path: Path) -> None:
    url, (west, east) = old_archive.store.url, sorted(old_archive.product_ids())
    common = ["--archive", url, "--band", "B01", "--out", str(tmp_path)]
    assert run(["recreate", west, *common, "--buffer", "10km"]) == 0
    assert run(["recreate", west, east, *common]) == 0
    grown = tmp_path / f"{west}_10020m"
    names = sorted(path.name for path in grown.iterdir())
    assert names == sorted(path.name for path in (tmp_path / west).iterdir()), "names as of the legacy tile"
    with rasterio.open(next((tmp_path / west).glob("*9_B01.tif"))) as image:
        seen = image.read(1) > 0
    for name in names:
        with rasterio.open(grown / name) as large, rasterio.open(tmp_path / west / name) as legacy:
            step = round(10_020 / large.res[0])
            inner, whole = large.read(1)[step:-step, step:-step], legacy.read(1)
            assert large.bounds.left == legacy.bounds.left - 10_020
            assert (large.nodata, large.scales, large.offsets) == (legacy.nodata, legacy.scales, legacy.offsets)
            assert large.tags() == legacy.tags()
        if "MSK" in name:  # masks come from the product that supplied the pixel: there is none where DN is 0
            assert (inner[seen] == whole[seen]).all()
        else:
            assert (inner == whole).all()
    bounds, east_tile = tile("32TMT").footprint.buffered(10_020), tile("32TNT").footprint
    shared = east_tile.intersection(bounds)
    assert shared is not None
    with (
        rasterio.open(next(grown.glob("*9_B01.tif"))) as large,
        rasterio.open(next((tmp_path / east).glob("*9_B01.tif"))) as image,
    ):
        rim = image.read(1)[east_tile.slices(shared, 60)]
        assert (large.read(1)[bounds.slices(shared, 60)] == rim).all()
        assert rim[:, -100:].any(), "beyond the legacy tile"


def test_a_safe_has_no_buffer(old_archive: Archive, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments: list[Any] = ["recreate", "x", "-a", old_archive.store.url, "--out", tmp_path, "--buffer", "10km"]
    assert "--buffer is for GeoTIFF" in refused(capfd, *arguments, "--format", "safe")
