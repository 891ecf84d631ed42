"""Made-up SAFE products hold what the scene shows, and have the structure of real ones."""

from __future__ import annotations

import ast
import hashlib
import zipfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from defusedxml import ElementTree
from rasterio.features import rasterize

import abut.testing
from abut.lattice import Bounds
from abut.layout import BAND, BANDS
from abut.metadata import ANGLE_NODES
from abut.testing import Scene, Swath, make_multi_granule_safe, make_safe, nudged, safe_pixels
from abut.tiling import Tile, tile
from ingest.safe import find_granules

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

SHARED = Path(__file__).parents[2] / "shared" / "data"
GML = "{http://www.opengis.net/gml/3.2}"
EOP = "{http://www.opengis.net/eop/2.0}"


def scene_at(name: str, other: str, **details: str) -> Scene:
    """A narrow swath through the overlap of two tiles."""
    shared = tile(name).footprint.intersection(tile(other).footprint)
    assert shared is not None
    middle = Swath(
        zone=shared.zone,
        easting=(shared.left + shared.right) // 2,
        northing=(shared.bottom + shared.top) // 2,
        width=4_000,
    )
    return replace(Scene(swath=middle), **details)  # type: ignore[arg-type]  # only fields that are text


MODERN = scene_at("32TMT", "32TNT")
SOUTH = replace(
    scene_at("53HPA", "53HPV", spacecraft="Sentinel-2A", baseline="02.04", station="SGS"),
    datatake_start=datetime(2016, 9, 5, 0, 57, 12, 26_000, tzinfo=UTC),
    relative_orbit=2,
    absolute_orbit=6291,
)
FIRST_RASTER = replace(SOUTH, baseline="04.00").split(tile("53HPV").uly - 20_000)


@dataclass(frozen=True)
class Made:
    """A product and what went into it."""

    safe: Path
    scene: Scene
    tiles: tuple[Tile, ...]
    strip: int = 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("safe")


@pytest.fixture(scope="module")
def modern(folder: Path) -> Made:
    return Made(make_safe(MODERN, "32TMT", folder), MODERN, (tile("32TMT"),))


@pytest.fixture(scope="module")
def old(folder: Path) -> Made:
    return Made(make_safe(SOUTH, tile("53HPV"), folder), SOUTH, (tile("53HPV"),))


@pytest.fixture(scope="module")
def oldest(folder: Path) -> Made:
    tiles = (tile("53HPV"), tile("53HPA"))
    return Made(make_multi_granule_safe(SOUTH, tiles, folder), SOUTH, tiles)


@pytest.fixture(scope="module")
def zipped(folder: Path) -> Made:
    safe = make_safe(FIRST_RASTER, "53HPV", folder, strip=1, zipped=True)
    return Made(safe, FIRST_RASTER, (tile("53HPV"),), strip=1)


@pytest.fixture(params=["modern", "old", "oldest", "zipped"])
def made(request: pytest.FixtureRequest) -> Made:
    product: Made = request.getfixturevalue(request.param)
    return product


def contents(safe: Path) -> dict[str, bytes]:
    """Every file of a SAFE by its path inside."""
    if safe.suffix == ".zip":
        with zipfile.ZipFile(safe) as archive:
            return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    return {path.relative_to(safe).as_posix(): path.read_bytes() for path in safe.rglob("*") if path.is_file()}


def one(files: dict[str, bytes], *parts: str) -> str:
    (found,) = [path for path in files if all(part in path for part in parts)]
    return found


@pytest.mark.parametrize("name", ["B01", "B02", "B8A"])
def test_rasterio_reads_exactly_what_the_scene_shows(made: Made, name: str) -> None:
    band = BAND[name]
    for t in made.tiles:
        expected = made.scene.pixels(band, t.footprint, strip=made.strip)
        assert np.any(expected)
        assert np.array_equal(safe_pixels(made.safe, name, t.id), expected)


def test_all_thirteen_bands_are_there(modern: Made) -> None:
    footprint = modern.tiles[0].footprint
    for band in BANDS:
        assert np.array_equal(safe_pixels(modern.safe, band), modern.scene.pixels(band, footprint))


def test_images_lie_on_the_tile(modern: Made, oldest: Made) -> None:
    for product in (modern, oldest):
        for path in product.safe.rglob("*.jp2"):
            (t,) = [t for t in product.tiles if t.id in str(path)]
            with rasterio.open(path) as image:
                assert image.crs.to_epsg() == t.zone.epsg
                assert (image.transform.c, image.transform.f) == (t.ulx, t.uly)
                assert image.transform.a * image.width == pytest.approx(109_800, abs=40)


def test_gdal_opens_products_with_its_own_driver(modern: Made, old: Made) -> None:
    for product in (modern, old):
        (t,) = product.tiles
        for resolution, first in ((10, "B04"), (20, "B05"), (60, "B01")):
            name = f"SENTINEL2_L1C:{product.safe / 'MTD_MSIL1C.xml'}:{resolution}m:EPSG_{t.zone.epsg}"
            with rasterio.open(name) as image:
                assert (image.transform.c, image.transform.f) == (t.ulx, t.uly)
                assert np.array_equal(image.read(1), product.scene.pixels(BAND[first], t.footprint))


def test_the_manifest_lists_every_file_with_its_size_and_checksum(made: Made) -> None:
    files = contents(made.safe)
    manifest = ElementTree.fromstring(files["manifest.safe"])
    modern = made.scene.baseline >= "04.00"
    listed = set()
    for item in manifest.iter("dataObject"):
        (stream,), (place,), (checksum,) = (list(item.iter(tag)) for tag in ("byteStream", "fileLocation", "checksum"))
        path = place.attrib["href"].removeprefix("./")
        digest = hashlib.sha3_256(files[path]) if modern else hashlib.md5(files[path], usedforsecurity=False)
        assert checksum.attrib["checksumName"] == ("SHA3-256" if modern else "MD5")
        assert checksum.text == digest.hexdigest()
        assert int(stream.attrib["size"]) == len(files[path])
        listed.add(path)
    missing = {path for path in set(files) - listed if "AUX_DATA" not in path or modern}
    assert missing == {"manifest.safe", "rep_info/S2_User_Product_Level-1C_Metadata.xsd"}
    ids = [item.get("ID") for item in manifest.iter("dataObject")]
    assert len(set(ids)) == len(ids)
    pointed = {pointer.get("dataObjectID") for pointer in manifest.iter("dataObjectPointer")}
    assert pointed == set(ids)


def test_names_follow_the_conventions_of_their_time(modern: Made, old: Made, oldest: Made, zipped: Made) -> None:
    assert modern.safe.name == "S2B_MSIL1C_20250801T101559_N0511_R065_T32TMT_20250801T121559.SAFE"
    assert old.safe.name == "S2A_MSIL1C_20160905T005712_N0204_R002_T53HPV_20160905T010012.SAFE"
    assert zipped.safe.name == "S2A_MSIL1C_20160905T005712_N0400_R002_T53HPV_20160905T025812.zip"
    assert oldest.safe.name.startswith("S2A_OPER_PRD_MSIL1C_PDMC_20160905T025712_R002_V20160905T005712_20160905T0100")
    granule = "S2A_OPER_MSI_L1C_TL_SGS__20160905T025712_A006291_T53HPA_N02.04"
    image = granule.replace("_N02.04", "_B8A.jp2")
    assert (oldest.safe / "GRANULE" / granule / "IMG_DATA" / image).is_file()
    assert (modern.safe / "DATASTRIP/DS_2BPS_20250801T121559_S20250801T101859/MTD_DS.xml").is_file()
    assert (modern.safe / "GRANULE/L1C_T32TMT_A043885_20250801T101859/QI_DATA/MSK_QUALIT_B8A.jp2").is_file()
    assert (old.safe / "GRANULE/L1C_T53HPV_A006291_20160905T010012/QI_DATA/MSK_NODATA_B09.gml").is_file()


def test_raster_masks_hold_what_the_scene_shows(modern: Made) -> None:
    footprint = modern.tiles[0].footprint
    folder = next(modern.safe.glob("GRANULE/*/QI_DATA"))
    for name in ("B01", "B03", "B8A", "B12"):
        for kind, expected in (
            ("DETFOO", modern.scene.detector(BAND[name], footprint)[np.newaxis]),
            ("QUALIT", None if name == "B03" else modern.scene.quality(BAND[name], footprint)),
        ):
            with rasterio.open(folder / f"MSK_{kind}_{name}.jp2") as mask:
                assert mask.count == (1 if kind == "DETFOO" else 8)
                assert mask.dtypes[0] == "uint8"
                if expected is not None:
                    assert np.array_equal(mask.read(), expected)
    with rasterio.open(folder / "MSK_CLASSI_B00.jp2") as mask:
        assert np.array_equal(mask.read(), modern.scene.classification(footprint))
        assert mask.read().any()


def burnt(root: Element, bounds: Bounds, resolution: int, kinds: dict[str, int]) -> NDArray[np.uint8]:
    """The features of a GML mask as pixels, by the number that their type (or id) stands for."""
    shapes = []
    for feature in root.iter(f"{EOP}MaskFeature"):
        name = feature.findtext(f"{EOP}maskType") or ""
        value = kinds.get(name) or int(str(feature.get(f"{GML}id")).split("-")[2])
        ring = next(feature.iter(f"{GML}posList"))
        numbers = np.array(str(ring.text).split(), dtype=float).reshape(-1, int(str(ring.get("srsDimension"))))
        shapes.append(({"type": "Polygon", "coordinates": [numbers[:, :2].tolist()]}, value))
    shape = bounds.shape(resolution)
    transform = rasterio.Affine(resolution, 0, bounds.left, 0, -resolution, bounds.top)
    pixels = rasterize(shapes, shape, transform=transform) if shapes else np.zeros(shape)
    return pixels.astype(np.uint8)


def test_gml_masks_hold_the_same_as_raster_masks_would(old: Made) -> None:
    scene, bounds, files = old.scene, old.tiles[0].footprint, contents(old.safe)

    def read(kind: str, band: str, kinds: dict[str, int]) -> NDArray[np.uint8]:
        root = ElementTree.fromstring(files[one(files, f"MSK_{kind}_{band}.gml")])
        return burnt(root, bounds, 60 if band == "B00" else BAND[band].resolution, kinds)

    for name in ("B01", "B11"):
        detectors = read("DETFOO", name, {})
        assert np.array_equal(detectors, scene.detector(BAND[name], bounds))
    opaque, cirrus, _ = scene.classification(bounds)
    assert np.array_equal(read("CLOUDS", "B00", {"OPAQUE": 1, "CIRRUS": 2}), opaque + 2 * cirrus)
    quality = scene.quality(BAND["B10"], bounds)
    assert np.array_equal(read("DEFECT", "B10", {"QT_DEFECTIVE_PIXELS": 1}), quality[4])
    kinds = {"QT_NODATA_PIXELS": 1, "QT_PARTIALLY_CORRECTED_PIXELS": 2}
    assert np.array_equal(read("NODATA", "B10", kinds), quality[5] + 2 * quality[6])
    assert np.array_equal(read("SATURA", "B10", {"QT_SATURATED_PIXELS_L1A": 1}), quality[7])
    lost = {"ANC_LOST": 1, "ANC_DEG": 2, "MSI_LOST": 3, "MSI_DEG": 4}
    technical = sum(number * quality[number - 1] for number in lost.values())
    assert np.array_equal(read("TECQUA", "B10", lost), technical)
    assert quality.any()
    assert len([path for path in files if path.endswith(".gml")]) == 66


def test_true_colours_and_preview_follow_the_bands(modern: Made) -> None:
    red = safe_pixels(modern.safe, "B04").astype(int)
    with rasterio.open(next(modern.safe.rglob("*_TCI.jp2"))) as image:
        colours = image.read()
    assert colours.shape == (3, 10980, 10980)
    assert np.array_equal(colours[0] == 0, red == 0)
    assert np.array_equal(colours[0][red > 0], (((red[red > 0] - 1000) * 255 + 1779) // 3558).clip(1, 255))
    with rasterio.open(next(modern.safe.rglob("*_PVI.jp2"))) as image:
        assert np.array_equal(image.read(), colours[:, 16::32, 16::32][:, :343, :343])


def test_weather_can_be_read(modern: Made, old: Made) -> None:
    for product, kind, names in (
        (old, "ECMWFT", ["PWC", "TCO3", "MSL"]),
        (modern, "ECMWFT", ["PWC", "TCO3", "MSL", "10U", "10V", "R"]),
        (modern, "CAMSFO", ["AOD469", "AOD550"]),
    ):
        with rasterio.open(next(product.safe.glob(f"GRANULE/*/AUX_DATA/AUX_{kind}"))) as fields:
            assert fields.driver == "GRIB"
            assert fields.shape == (9, 9)
            elements = [fields.tags(i)["GRIB_ELEMENT"] for i in fields.indexes]
            assert elements[: len(names)] == names
            pressure = fields.read(3) if kind == "ECMWFT" else None
        if pressure is not None:
            assert 98_000 < pressure.min() < pressure.max() < 105_000


def test_overlaps_differ_where_they_are_told_to(folder: Path, modern: Made) -> None:
    west, east = tile("32TMT"), tile("32TNT")
    x, y = MODERN.swath.easting // 60 * 60, MODERN.swath.northing // 60 * 60
    spot = Bounds(west.zone, x, y, x + 600, y + 300)
    other = make_safe(MODERN, east, folder, alter=nudged(spot, 3, bands=("B02", "B11")))
    shared = west.footprint.intersection(east.footprint)
    assert shared is not None
    for name, changed in (("B02", 60 * 30), ("B11", 30 * 15), ("B12", 0)):
        size = BAND[name].resolution
        ours = safe_pixels(modern.safe, name)[west.footprint.slices(shared, size)].astype(int)
        theirs = safe_pixels(other, name)[east.footprint.slices(shared, size)].astype(int)
        assert np.count_nonzero(ours != theirs) == changed
        inside = shared.slices(spot, size)
        if changed:
            assert np.all(theirs[inside] - ours[inside] == 3)


def test_a_tile_that_the_swath_misses_is_a_product_without_data(folder: Path) -> None:
    safe = make_safe(replace(SOUTH, seed=1), "53HLA", folder)
    (granule,) = find_granules(safe)
    assert np.isnan(granule.metadata.view_angles).all()
    assert granule.metadata.cloud_percentage == 0
    assert not safe_pixels(safe, "B09").any()


def test_a_zip_holds_the_folder(zipped: Made) -> None:
    assert zipped.safe.suffix == ".zip"
    assert not zipped.safe.with_suffix(".SAFE").exists()
    with zipfile.ZipFile(zipped.safe) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {f"{zipped.safe.stem}.SAFE"}


def test_what_is_there_is_not_overwritten(modern: Made, zipped: Made) -> None:
    with pytest.raises(FileExistsError):
        make_safe(modern.scene, "32TMT", modern.safe.parent)
    with pytest.raises(FileExistsError, match="is there already"):
        make_safe(zipped.scene, "53HPV", zipped.safe.parent, strip=1, zipped=True)


def test_only_old_baselines_have_the_multi_granule_layout(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"05\.11 has no multi-granule layout"):
        make_multi_granule_safe(MODERN, ["32TMT"], tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_image_that_is_not_there_or_not_alone_is_refused(oldest: Made) -> None:
    with pytest.raises(FileNotFoundError, match="has 2 images of B02"):
        safe_pixels(oldest.safe, "B02")
    with pytest.raises(FileNotFoundError, match="has 0 images of B02 T32TNM"):
        safe_pixels(oldest.safe, "B02", "T32TNM")


def test_the_reader_of_safe_finds_the_values_of_the_scene(made: Made) -> None:
    granules = find_granules(made.safe)
    assert [granule.metadata.tile for granule in granules] == list(made.tiles)
    scene, strip = made.scene, made.scene.strip(made.strip)
    for granule in granules:
        found = granule.metadata
        assert found.safe_format == ("multi-granule" if len(made.tiles) > 1 else "compact")
        assert found.spacecraft == scene.spacecraft
        assert found.datatake_start == scene.datatake_start
        assert found.datastrip_start == strip.start
        assert found.processing_baseline == scene.baseline
        assert (found.relative_orbit, found.absolute_orbit) == (scene.relative_orbit, scene.absolute_orbit)
        assert found.orbit_direction == scene.orbit_direction
        assert {band.radio_add_offset for band in found.bands} == {scene.offset}
        assert found.view_angles.shape == (13, 12, 2, ANGLE_NODES, ANGLE_NODES)
        seen = {int(i) + 1 for i in np.flatnonzero(~np.isnan(found.view_angles[1]).all(axis=(1, 2, 3)))}
        assert seen == set(scene.detectors)
        assert 0 < found.mean_sun_zenith < 90
        assert found.cloud_percentage is not None
        assert 0 < found.cloud_percentage < 50


@pytest.mark.parametrize(
    ("fixture", "real", "known"),
    [
        ("modern", "S2B_MSIL1C_20230823T095559_N0509_R122_T34UCF_20230823T120234.SAFE", set()),
        ("old", "S2A_MSIL1C_20170226T102021_N0204_R065_T32TNM_20170226T102458.SAFE", set()),
        (
            "oldest",
            "S2A_OPER_PRD_MSIL1C_PDMC_20160905T104813_R002_V20160905T005712_20160905T010424.SAFE",
            {"Area_Of_Interest", "Bbox", "LOWER_CORNER", "UPPER_CORNER", "Aux_List", "aux", "GIPP", "IERS"},
        ),
    ],
)
def test_product_metadata_have_the_elements_of_real_ones(
    request: pytest.FixtureRequest, fixture: str, real: str, known: set[str]
) -> None:
    if not (SHARED / "safe" / real).is_dir():
        pytest.skip(f"needs the real product {real} in ../shared/data/safe")
    product: Made = request.getfixturevalue(fixture)
    for pattern in ("*MTD_*L1C*.xml", "manifest.safe"):
        ours, theirs = (
            _elements(next(iter(sorted(root.glob(pattern))))) for root in (product.safe, SHARED / "safe" / real)
        )
        assert not ours - theirs - {"HTML", "Datastrip1", "Tile1"}
        assert not theirs - ours - known - {"metadataReference"}


def _elements(path: Path) -> set[str]:
    return {element.tag.split("}")[-1] for element in ElementTree.fromstring(path.read_bytes()).iter()}


def test_products_for_tests_share_no_code_with_their_reader() -> None:
    sources = Path(abut.testing.__file__).parent.glob("*.py")
    imported = {
        name.split(".")[0]
        for source in sources
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert "abut" in imported
    assert not imported & {"ingest", "catalog", "services", "cli", "workflows"}
