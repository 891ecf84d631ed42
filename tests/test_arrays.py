"""Legacy tiles as labelled arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import odc.geo.xr  # noqa: F401 - adds .odc to arrays
import pytest

from abut.arrays import legacy_tile
from abut.masks import read_angles, read_mask
from abut.testing import safe_pixels

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive

BANDS = ("B01", "B05", "B10")


@pytest.fixture(scope="module")
def product_id(old_archive: Archive) -> str:
    return next(name for name in old_archive.product_ids() if "T32TMT" in name)


def test_a_tile_comes_with_pixels_masks_angles_and_georeference(
    old_archive: Archive, neighbours: tuple[Path, Path], product_id: str
) -> None:
    product = old_archive.product(product_id)
    tree = legacy_tile(old_archive, product, bands=BANDS)
    assert set(tree.children) == {"r20m", "r60m", "geometry"}
    assert set(tree["r20m"].data_vars) == {"b05", "b05_detector_footprint", "b05_quality"}
    for name in BANDS:
        group, variable = tree["r20m" if name == "B05" else "r60m"].to_dataset(), name.lower()
        assert np.array_equal(group[variable], safe_pixels(neighbours[0], name))
        mask = read_mask(old_archive, product, f"quality/{name}")
        assert np.array_equal(group[f"{variable}_quality"], mask)
    assert "l1c_classification" in tree["r60m"]
    sun, viewing = read_angles(old_archive, product)
    assert np.array_equal(tree["geometry/sun_angles"], sun)
    assert np.array_equal(tree["geometry/viewing_incidence_angles"], viewing, equal_nan=True)
    geometry = tree["geometry"].to_dataset()
    assert (geometry.x[0], geometry.y[0]) == (product.tile.ulx, product.tile.uly)


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # odc-geo 0.5 with affine 3
def test_georeference_is_that_of_the_legacy_footprint(old_archive: Archive, product_id: str) -> None:
    product = old_archive.product(product_id)
    tree = legacy_tile(old_archive, product, bands=["B09"], masks=False)
    assert set(tree.children) == {"r60m"}
    band = tree["r60m/b09"]
    assert band.dtype == np.uint16
    assert band.attrs["radio_add_offset"] == 0
    footprint = product.tile.footprint
    assert band.odc.crs.epsg == 32632
    assert tuple(band.odc.geobox.boundingbox) == (footprint.left, footprint.bottom, footprint.right, footprint.top)
