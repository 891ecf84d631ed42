"""The certificate finds every difference between SAFE and archive, and finds none where there is none."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from abut.archive import create_archive, open_archive
from abut.codec import decode_block, encode_block
from abut.errors import InvalidSafeError, ProductNotFoundError
from abut.lattice import Bounds, Zone
from abut.layout import BAND, DETECTOR_FOOTPRINT, QUALITY, block_key
from abut.masks import read_mask
from ingest.compare import compare
from ingest.ingest import ingest
from ingest.overlap import overlap_differences
from ingest.safe_source import safe_sources
from ingest.verify import verify, verify_all
from tests.toy import CORNER, ToySource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.product import Product

WHERE = Bounds(Zone(32632), 600_000, 4_890_240, 709_800, 5_000_040)


@pytest.fixture(name="copy")
def _copy(old_archive: Archive, tmp_path: Path) -> Archive:
    """An archive that a test may damage."""
    assert old_archive.store.root is not None
    shutil.copytree(old_archive.store.root, tmp_path / "archive")
    return open_archive(tmp_path / "archive")


def product_of(archive: Archive, safe: Path) -> Product:
    return archive.product(safe.stem)


def change_block(
    archive: Archive, product: Product, band: str, change: Callable[[NDArray[np.uint16]], NDArray[np.uint16]]
) -> tuple[int, int]:
    """Replace an object that holds data by another block, well encoded; return its place in the legacy array."""
    of_band = BAND[band]
    size = of_band.block_pixels
    root = archive.store.root
    assert root is not None
    footprint = product.tile.footprint
    block = next(block for block in sorted(product.record.valid) if footprint.contains(block.bounds))
    row, column = product.tile.hull.position(block)
    path = root / product.folder / block_key(of_band.path, row, column)
    changed = change(decode_block(path.read_bytes(), size).copy())
    path.unlink()
    path.write_bytes(encode_block(changed))
    rows, columns = footprint.slices(block.bounds, of_band.resolution)
    return int(rows.start), int(columns.start)


def test_an_archive_equals_its_safe_in_every_band_mask_angle_and_file(
    old_archive: Archive, neighbours: tuple[Path, Path]
) -> None:
    lines: list[str] = []
    certificate = verify(old_archive, neighbours[0], done=lines.append)
    assert certificate.equal
    assert certificate.differing == 0
    names = {result.name for result in certificate.arrays}
    assert len(names) == 13 + 13 + 13 + 1 + 2
    assert all(result.safe_digest == result.archive_digest for result in certificate.arrays)
    assert certificate.pixels > 13 * 1830**2
    assert len(certificate.files) > 70
    (left_out,) = certificate.left_out
    assert "TCI" in left_out
    assert len(lines) == len(names) + 1
    assert certificate.lines()[-1].startswith(f"{certificate.product}: EQUAL")


def test_the_certificate_as_json_names_versions_digests_and_result(
    old_archive: Archive, neighbours: tuple[Path, Path]
) -> None:
    certificate = verify(old_archive, neighbours[0], only={"B01", "sun_angles"})
    document = json.loads(certificate.to_json())
    assert document["result"] == "equal"
    assert document["product"] == neighbours[0].stem
    assert document["archive"] == old_archive.store.url
    assert {"abut", "python", "gdal", "rasterio", "numpy", "zarr"} <= document["versions"].keys()
    first = document["arrays"][0]
    assert (first["name"], first["shape"], first["equal"]) == ("B01", [1830, 1830], True)
    assert len(first["safe_digest"]) == 64
    assert "B02" in document["not_compared"]


def test_one_changed_dn_is_found_where_it_is(copy: Archive, neighbours: tuple[Path, Path]) -> None:
    product = product_of(copy, neighbours[0])

    def change(block: NDArray[np.uint16]) -> NDArray[np.uint16]:
        block[17, 5] += 3
        return block

    top, left = change_block(copy, product, "B01", change)
    certificate = verify(copy, neighbours[0], only={"B01", "B09"})
    assert not certificate.equal
    b01, b09 = certificate.arrays
    assert b09.equal
    found = b01.difference
    assert found is not None
    assert (found.count, found.first_row, found.first_column) == (1, top + 17, left + 5)
    assert (found.minimum, found.maximum, found.mean) == (3, 3, 3.0)
    footprint = product.tile.footprint
    assert found.easting == footprint.left + 60 * (left + 5) + 30
    assert found.northing == footprint.top - 60 * (top + 17) - 30
    assert "1 pixels differ" in str(b01)
    assert "NOT EQUAL" in certificate.lines()[-1]


def test_a_row_shifted_by_one_pixel_is_found(copy: Archive, neighbours: tuple[Path, Path]) -> None:
    product = product_of(copy, neighbours[0])
    row = -1

    def change(block: NDArray[np.uint16]) -> NDArray[np.uint16]:
        nonlocal row
        row = int(np.argmax((np.diff(block.astype(np.int64), axis=1) != 0).sum(axis=1)))
        block[row] = np.roll(block[row], 1)
        return block

    top, left = change_block(copy, product, "B01", change)
    found = verify(copy, neighbours[0], only={"B01"}).arrays[0].difference
    assert found is not None
    assert found.rows == (top + row, top + row)
    assert found.count > 1
    assert left <= found.columns[0] < found.columns[1] < left + 160


@pytest.mark.parametrize(("mask", "group"), [("quality/B01", QUALITY), ("detector_footprint/B10", DETECTOR_FOOTPRINT)])
def test_one_flipped_bit_of_a_mask_is_found(
    copy: Archive, neighbours: tuple[Path, Path], mask: str, group: str
) -> None:
    product = product_of(copy, neighbours[0])
    before = read_mask(copy, product, mask)
    rows, columns = product.tile.hull.bounds.slices(product.tile.footprint, 60)
    root = copy.store.root
    assert root is not None
    array = zarr.open_array(root / product.folder / group / "r60m", mode="r+")
    index = ("B01", "B09", "B10").index(mask[-3:])
    array[index, rows.start + 1000, columns.start + 7] = before[1000, 7] ^ 16
    certificate = verify(copy, neighbours[0], only={mask})
    found = certificate.arrays[0].difference
    assert found is not None
    assert (found.count, found.first_row, found.first_column) == (1, 1000, 7)
    assert abs(found.maximum) == 16


def test_missing_objects_and_damaged_files_are_findings(copy: Archive, neighbours: tuple[Path, Path]) -> None:
    product = product_of(copy, neighbours[0])
    root = copy.store.root
    assert root is not None
    folder = root / product.folder
    next(path for path in sorted((folder / BAND["B09"].path / "c").rglob("*")) if path.is_file()).unlink()
    (folder / "legacy/INSPIRE.xml").write_bytes(b"<broken/>")
    (folder / "legacy/MTD_MSIL1C.xml").unlink()
    certificate = verify(copy, neighbours[0], only={"B09"})
    assert not certificate.equal
    assert "no such object" in str(certificate.arrays[0])
    unequal = {file.path: str(file) for file in certificate.files if not file.equal}
    assert unequal.keys() == {"INSPIRE.xml", "MTD_MSIL1C.xml"}
    assert "bytes differ" in unequal["INSPIRE.xml"]
    assert "not in the archive" in unequal["MTD_MSIL1C.xml"]


def test_a_truncated_safe_is_refused_rather_than_compared(
    old_archive: Archive, neighbours: tuple[Path, Path], tmp_path: Path
) -> None:
    safe = tmp_path / neighbours[0].name
    shutil.copytree(neighbours[0], safe)
    image = next(safe.rglob("*_B01.jp2"))
    image.write_bytes(image.read_bytes()[:-1000])
    with pytest.raises(InvalidSafeError, match="B01"):
        verify(old_archive, safe, only={"B01"})


def test_a_product_that_is_not_there_is_an_error(neighbours: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ProductNotFoundError):
        verify(create_archive(tmp_path / "empty"), neighbours[0])


def test_a_granule_is_chosen_by_its_id(old_archive: Archive, neighbours: tuple[Path, Path]) -> None:
    with pytest.raises(InvalidSafeError, match="has no granule another"):
        verify(old_archive, neighbours[0], product_id="another")
    (certificate,) = verify_all(old_archive, neighbours[0], only={"B09"})
    assert certificate.product == neighbours[0].stem
    assert certificate.equal


def test_differences_are_signed_bounded_and_counted() -> None:
    ours = np.full((2000, 100), 100, np.uint16)
    theirs = ours.copy()
    theirs[10, 40], theirs[1500, 3], theirs[1500, 90] = 90, 101, 65_535
    found = compare(ours, theirs, WHERE, 60)
    assert found is not None
    assert (found.count, found.rows, found.columns) == (3, (10, 1500), (3, 90))
    assert (found.minimum, found.maximum) == (-10, 65_435)
    assert found.mean == pytest.approx((-10 + 1 + 65_435) / 3)
    assert compare(ours, ours.copy(), WHERE, 60) is None
    with pytest.raises(ValueError, match="can't be compared"):
        compare(ours, theirs[1:], WHERE, 60)


def test_overlaps_of_one_scene_do_not_differ(old_archive: Archive) -> None:
    (layer,) = old_archive.layers()
    found = list(overlap_differences(old_archive, layer))
    assert [entry.band for entry in found] == list(BAND)
    assert all(entry.pixels > 0 for entry in found)
    assert sum(entry.differing + entry.one_sided for entry in found) == 0


def test_overlaps_that_differ_are_counted_by_the_size_of_the_difference(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive")
    first, second = ToySource("32TNP"), ToySource("32TPP", added={"B01": 3})
    for source in (first, second):
        ingest(archive, source)
    found = {entry.band: entry for entry in overlap_differences(archive, first.layer)}
    shared = first.tile.footprint.intersection(second.tile.footprint)
    seen = shared.intersection(CORNER) if shared else None
    assert seen is not None
    pixels = seen.area // 3600
    assert (found["B01"].pixels, found["B01"].histogram, found["B01"].one_sided) == (pixels, {3: pixels}, 0)
    assert (found["B09"].pixels, found["B09"].differing) == (pixels, 0)
    assert {found["B01"].first, found["B01"].second} == {first.id, second.id}


def test_data_in_only_one_of_two_overlapping_tiles_is_counted_apart(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive")
    hole = Bounds(CORNER.zone, CORNER.left, CORNER.bottom, CORNER.right, CORNER.bottom + 9_600)
    first, second = ToySource("32TNP"), ToySource("32TPP", hole=hole)
    for source in (first, second):
        ingest(archive, source)
    (_, b09) = overlap_differences(archive, first.layer)
    shared = first.tile.footprint.intersection(second.tile.footprint)
    missing = shared.intersection(hole) if shared else None
    assert missing is not None
    assert (b09.one_sided, b09.differing) == (missing.area // 3600, 0)


def test_one_flipped_bit_of_a_raster_quality_mask_is_found(
    modern_neighbours: tuple[Path, Path], tmp_path: Path
) -> None:
    archive = create_archive(tmp_path)
    [source] = safe_sources(modern_neighbours[0])
    ingest(archive, source)
    names = {"quality/B05", "detector_footprint/B05", "classification"}
    assert verify(archive, modern_neighbours[0], only=names).equal
    product = product_of(archive, modern_neighbours[0])
    before = read_mask(archive, product, "quality/B05")
    rows, columns = product.tile.hull.bounds.slices(product.tile.footprint, 20)
    array = zarr.open_array(tmp_path / product.folder / "quality/mask/r20m", mode="r+")
    array[0, rows.start + 3000, columns.start + 41] = before[3000, 41] ^ 128
    certificate = verify(archive, modern_neighbours[0], only=names)
    different = {result.name: result.difference for result in certificate.arrays if not result.equal}
    assert different.keys() == {"quality/B05"}
    found = different["quality/B05"]
    assert found is not None
    assert (found.count, found.first_row, found.first_column) == (1, 3000, 41)
