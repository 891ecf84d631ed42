"""Masks and angles come back from an archive as the SAFE has them."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.archive import open_archive
from abut.errors import DigestMismatchError, MissingObjectError
from abut.layout import BAND
from abut.masks import read_angles, read_mask
from ingest.safe import find_granules
from tests.conftest import old_scene

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive
    from abut.product import Product


@pytest.fixture(name="product")
def _product(old_archive: Archive) -> Product:
    return old_archive.product(old_archive.product_ids()[0])


@pytest.mark.parametrize("band", ["B01", "B12"])
def test_detectors_are_those_of_the_scene(old_archive: Archive, product: Product, band: str) -> None:
    mask = read_mask(old_archive, product, f"detector_footprint/{band}")
    expected = old_scene().detector(BAND[band], product.tile.footprint)
    assert mask.shape == expected.shape
    assert np.count_nonzero(mask != expected) < 0.001 * np.count_nonzero(expected)  # polygons round their corners
    assert set(np.unique(mask)) == {0, 5, 6, 7}


def test_every_mask_has_the_digest_of_its_pixels(old_archive: Archive, product: Product) -> None:
    for name in ("classification", "quality/B01", "detector_footprint/B09"):
        mask = read_mask(old_archive, product, name)
        assert hashlib.sha256(mask).hexdigest() == product.record.masks[name]
        assert mask.shape == (1830, 1830)


def test_angles_are_those_of_the_metadata(
    old_archive: Archive, product: Product, neighbours: tuple[Path, Path]
) -> None:
    sun, viewing = read_angles(old_archive, product)
    metadata = next(g.metadata for path in neighbours for g in find_granules(path) if g.metadata.id == product.id)
    np.testing.assert_array_equal(sun, metadata.sun_angles)
    np.testing.assert_array_equal(viewing, metadata.view_angles)
    assert np.isfinite(sun).all()
    assert np.isfinite(viewing).any()


def test_a_mask_that_the_product_has_not_is_an_error(old_archive: Archive, product: Product) -> None:
    with pytest.raises(MissingObjectError, match="no mask 'quality/B99'"):
        read_mask(old_archive, product, "quality/B99")


def test_damaged_masks_and_angles_are_found(old_archive: Archive, product: Product, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    assert old_archive.store.root is not None
    shutil.copytree(old_archive.store.root, root)
    archive = open_archive(root)
    folder = root / product.folder
    for chunk in (folder / "conditions/mask/detector_footprint/r60m/c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    with pytest.raises(DigestMismatchError, match="detector_footprint/B01"):
        read_mask(archive, product, "detector_footprint/B01")
    assert not read_mask(archive, product, "detector_footprint/B01", check=False).any()
    (folder / "conditions/geometry/sun_angles/c/0/0/0").write_bytes(b"broken")
    with pytest.raises(DigestMismatchError, match="sun_angles"):
        read_angles(archive, product)
    shutil.rmtree(folder / "quality")
    with pytest.raises(MissingObjectError, match="no such array"):
        read_mask(archive, product, "quality/B01")
