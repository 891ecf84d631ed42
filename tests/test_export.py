"""Legacy tiles given back as SAFE and as GeoTIFF."""

from __future__ import annotations

import errno
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio

from abut.archive import create_archive, open_archive
from abut.errors import DigestMismatchError, ExportError, InvalidArchiveError, InvalidSafeError, MissingObjectError
from abut.export import export_geotiff, export_safe, missing_files
from abut.export.folder import new_folder, write_file
from abut.export.manifest import listed
from abut.export.safe import EXCEPTIONS
from abut.layout import BANDS, QUALITY_BITS
from abut.masks import read_mask
from abut.product import FileRecord
from abut.testing import make_multi_granule_safe, safe_pixels
from abut.tiling import tile
from ingest.ingest import ingest
from ingest.safe_source import safe_sources
from ingest.verify import verify
from tests.conftest import old_scene

if TYPE_CHECKING:
    from abut.archive import Archive
    from abut.product import Product


@pytest.fixture(name="product")
def _product(old_archive: Archive, neighbours: tuple[Path, Path]) -> Product:
    return old_archive.product(neighbours[1].stem)


@pytest.fixture(name="recreated", scope="module")
def _recreated(
    old_archive: Archive, neighbours: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    done: list[str] = []
    out = tmp_path_factory.mktemp("recreated")
    return export_safe(old_archive, old_archive.product(neighbours[1].stem), out, done=done.append), done


def files_of(root: Path) -> dict[str, Path]:
    return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}


def test_a_recreated_safe_has_the_files_of_the_original_byte_for_byte(
    recreated: tuple[Path, list[str]], neighbours: tuple[Path, Path]
) -> None:
    safe, done = recreated
    original = neighbours[1]
    assert safe.name == original.name
    ours, theirs = files_of(safe), files_of(original)
    assert ours.keys() == theirs.keys() == set(done)
    differ = {path for path in ours if ours[path].read_bytes() != theirs[path].read_bytes()}
    assert all(path == "manifest.safe" or "/IMG_DATA/" in path for path in differ)
    assert [entry.name for entry in safe.parent.iterdir()] == [safe.name]  # nothing temporary is left


def test_the_manifest_of_a_recreated_safe_is_true_and_changed_nowhere_else(
    recreated: tuple[Path, list[str]], neighbours: tuple[Path, Path]
) -> None:
    safe, original = recreated[0], neighbours[1]
    for source in safe_sources(safe):
        source.check()
    ours, theirs = ((root / "manifest.safe").read_text() for root in (safe, original))
    sums = re.compile(r'(?<=size=")\d+|(?<=checksumName="MD5">)[0-9a-f]{32}')
    assert sums.sub("", ours) == sums.sub("", theirs)
    changed = sum(a != b for a, b in zip(sums.findall(ours), sums.findall(theirs), strict=True))
    assert 0 < changed <= 2 * 14


def test_a_recreated_safe_verifies_against_the_archive(old_archive: Archive, recreated: tuple[Path, list[str]]) -> None:
    certificate = verify(old_archive, recreated[0], only={"B01", "B8A", "classification", "view_angles"})
    assert [result.name for result in certificate.arrays if result.equal] == [
        "B01",
        "B8A",
        "classification",
        "view_angles",
    ]
    assert [file.path for file in certificate.files if not file.equal] == ["manifest.safe"]


def test_true_colours_look_like_the_original(recreated: tuple[Path, list[str]], neighbours: tuple[Path, Path]) -> None:
    window = ((5_000, 7_000), (0, 3_000))
    (ours,), (theirs,) = (list(root.rglob("*_TCI.jp2")) for root in (recreated[0], neighbours[1]))
    with rasterio.open(ours) as a, rasterio.open(theirs) as b:
        assert (a.shape, a.count, a.crs, a.transform) == (b.shape, b.count, b.crs, b.transform)
        first, second = a.read(window=window).astype(int), b.read(window=window).astype(int)
    valid = first.all(axis=0)
    assert valid.any()
    assert np.abs(first - second)[:, valid].max() <= 1  # the test products round to the nearest


@pytest.mark.parametrize("resolution", ["10m", "20m", "60m"])
def test_gdal_reads_every_band_of_a_recreated_safe_as_of_the_original(
    recreated: tuple[Path, list[str]], neighbours: tuple[Path, Path], resolution: str
) -> None:
    ours, theirs = (
        f"SENTINEL2_L1C:{root}/MTD_MSIL1C.xml:{resolution}:EPSG_32632" for root in (recreated[0], neighbours[1])
    )
    with rasterio.open(ours) as a, rasterio.open(theirs) as b:
        assert (a.profile["transform"], a.crs, a.descriptions) == (b.profile["transform"], b.crs, b.descriptions)
        assert a.tags() == b.tags()
        for index in a.indexes:
            pixels = a.read(index)
            assert pixels.any()
            np.testing.assert_array_equal(pixels, b.read(index))


def test_an_existing_target_is_refused_and_left_alone(old_archive: Archive, product: Product, tmp_path: Path) -> None:
    for export in (export_safe, export_geotiff):
        name = product.id if export is export_geotiff else f"{product.id}.SAFE"
        (tmp_path / name).mkdir()
        with pytest.raises(ExportError, match="is there already"):
            export(old_archive, product, tmp_path)
        assert not list((tmp_path / name).iterdir())
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_is_an_error_in_one_line_and_leaves_nothing(
    old_archive: Archive, product: Product, tmp_path: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(ExportError, match=r"can't be written: .*MB free there\)") as caught:
            export_safe(old_archive, product, tmp_path / "out")
        with pytest.raises(ExportError, match=r"B01\.tif: .*(can't be written|disk full)"):
            export_geotiff(old_archive, product, tmp_path / "out", bands=["B01"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


def test_no_space_left_is_said(tmp_path: Path) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "x") as work:
            write_file(work.content / "a/b", b"1")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fill()
    assert not list(tmp_path.iterdir())


def test_damage_in_the_archive_is_an_error_and_leaves_nothing(
    old_archive: Archive, product: Product, tmp_path: Path
) -> None:
    assert old_archive.store.root is not None
    root = tmp_path / "archive"
    shutil.copytree(old_archive.store.root, root)
    archive = open_archive(root)
    legacy = root / product.folder / "legacy/INSPIRE.xml"
    original = legacy.read_bytes()
    legacy.write_bytes(original + b" ")
    with pytest.raises(DigestMismatchError, match=r"INSPIRE\.xml"):
        export_safe(archive, product, tmp_path / "out")
    legacy.unlink()
    with pytest.raises(MissingObjectError, match=r"INSPIRE\.xml"):
        export_safe(archive, product, tmp_path / "out")
    legacy.write_bytes(original)
    block = next(path for path in (root / product.folder / BANDS[0].path / "c").rglob("*") if path.is_file())
    block.write_bytes(b"broken")
    with pytest.raises(DigestMismatchError, match="b01"):
        export_safe(archive, product, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "path", ["../escape", "/etc/escape", "a/../../escape", "a//b", "", ".", "a\\b", "a\nb", "a/\x00", "x" * 300]
)
def test_paths_that_lead_out_of_the_safe_are_refused(
    old_archive: Archive, product: Product, tmp_path: Path, path: str
) -> None:
    objects = {**product.record.objects, f"legacy/{path}": FileRecord("0" * 64, 1)}
    images = {**product.record.safe["images"], "B01": path}
    hostile: list[dict[str, Any]] = [
        {"objects": objects},
        {"safe": {**product.record.safe, "images": images}},
        {"safe": {**product.record.safe, "tci": path}},
        {"safe": {**product.record.safe, "name": path}},
    ]
    for change in hostile:
        broken = replace(product, record=replace(product.record, **change))
        with pytest.raises(InvalidArchiveError):
            export_safe(old_archive, broken, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_path_that_is_named_twice_is_refused(old_archive: Archive, product: Product, tmp_path: Path) -> None:
    images = {**product.record.safe["images"], "B01": "manifest.safe"}
    broken = replace(product, record=replace(product.record, safe={**product.record.safe, "images": images}))
    with pytest.raises(InvalidArchiveError, match=r"manifest\.safe' twice"):
        export_safe(old_archive, broken, tmp_path)


def test_the_docs_list_every_exception() -> None:
    page = (Path(__file__).parents[1] / "docs/legacy-safe.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert dict(rows[1:]) == dict(EXCEPTIONS)


def test_geotiffs_hold_dn_with_place_scale_and_masks(
    old_archive: Archive, product: Product, neighbours: tuple[Path, Path], tmp_path: Path
) -> None:
    done: list[str] = []
    paths = export_geotiff(old_archive, product, tmp_path, bands=["B01", "B12"], done=done.append)
    stem = next(neighbours[1].rglob("*_B01.jp2")).stem.removesuffix("_B01")
    names = {"MSK_CLASSI_B00", *(f"MSK_{kind}_{band}" for band in ("B01", "B12") for kind in ("DETFOO", "QUALIT"))}
    assert {path.name for path in paths} == {f"{stem}_{name}.tif" for name in {"B01", "B12"} | names}
    assert [path.name for path in paths] == done
    assert {path.parent for path in paths} == {tmp_path / product.id}
    footprint = tile("32TNT").footprint
    with rasterio.open(tmp_path / product.id / f"{stem}_B12.tif") as image:
        np.testing.assert_array_equal(image.read(1), safe_pixels(neighbours[1], "B12"))
        assert tuple(image.bounds) == (footprint.left, footprint.bottom, footprint.right, footprint.top)
        assert (image.crs.to_epsg(), image.nodata, image.dtypes) == (32632, 0, ("uint16",))
        assert (image.scales, image.offsets) == ((1e-4,), (0.0,))
        assert (image.profile["tiled"], image.profile["compress"]) == (True, "deflate")
        assert image.tags()["RADIO_ADD_OFFSET"] == "0"
    with rasterio.open(tmp_path / product.id / f"{stem}_MSK_QUALIT_B12.tif") as image:
        np.testing.assert_array_equal(image.read(1), read_mask(old_archive, product, "quality/B12"))
        assert image.tags()["BIT_MEANINGS"].split() == list(QUALITY_BITS)


def test_a_band_that_a_product_has_not_is_an_error(old_archive: Archive, product: Product, tmp_path: Path) -> None:
    for bands in (["B13"], []):
        with pytest.raises(MissingObjectError, match="has no band"):
            export_geotiff(old_archive, product, tmp_path, bands=bands)
    assert not list(tmp_path.iterdir())


def test_one_granule_of_an_old_safe_comes_back_with_the_files_of_the_product(tmp_path: Path) -> None:
    original = make_multi_granule_safe(old_scene(), ["32TMT", "32TNT"], tmp_path / "in")
    archive = create_archive(tmp_path / "archive")
    source = safe_sources(original)[1]
    ingest(archive, source)
    product = archive.product(source.id)
    safe = export_safe(archive, product, tmp_path / "out")
    assert safe.name == original.name
    ours, theirs = files_of(safe), files_of(original)
    own = {path for path in theirs if not path.startswith("GRANULE/") or "_T32TNT_" in path}
    assert ours.keys() == own
    assert all(
        ours[path].read_bytes() == theirs[path].read_bytes()
        for path in own
        if "/IMG_DATA/" not in path and path != "manifest.safe"
    )
    np.testing.assert_array_equal(safe_pixels(safe, "B04", "T32TNT"), safe_pixels(original, "B04", "T32TNT"))
    missing = missing_files(archive, product)
    with pytest.raises(InvalidSafeError, match="2 granules, choose one"):
        verify(archive, original)
    assert verify(archive, original, product_id=product.id, only={"B10", "quality/B10", "sun_angles"}).equal
    manifest = listed((original / "manifest.safe").read_bytes())
    assert set(missing) == set(manifest) - own
    assert len(missing) > 13
    assert all("_T32TMT_" in path for path in missing)


def test_exporting_without_rasterio_says_what_to_install(
    old_archive: Archive, product: Product, tmp_path: Path
) -> None:
    script = """
import sys
sys.modules["rasterio"] = None
from pathlib import Path
from abut.archive import open_archive
from abut.export import export_safe
archive = open_archive(sys.argv[1])
try:
    export_safe(archive, archive.product(sys.argv[2]), Path(sys.argv[3]))
except Exception as error:
    print(type(error).__name__, error)
"""
    command = [sys.executable, "-c", script, old_archive.store.url, product.id, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "ExportError exporting needs rasterio: pip install 'abut[ingest]'"


def test_files_that_were_missing_stay_missing_and_are_said(old_archive: Archive, product: Product) -> None:
    lost = "legacy/INSPIRE.xml"
    objects = {key: entry for key, entry in product.record.objects.items() if key != lost}
    assert missing_files(old_archive, product) == ()
    without = replace(product, record=replace(product.record, objects=objects))
    assert missing_files(old_archive, without) == ("INSPIRE.xml",)
