"""What a SAFE becomes in an archive, whichever way it is packed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import rasterio
import zarr

from abut.archive import create_archive
from abut.layout import METEOROLOGY
from abut.testing import make_safe
from ingest.ingest import ingest
from ingest.safe_source import safe_sources
from ingest.verify import verify
from tests.conftest import old_scene

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive


def test_a_zip_read_in_place_becomes_the_same_product_as_its_folder(old_archive: Archive, tmp_path: Path) -> None:
    zipped = make_safe(old_scene(), "32TMT", tmp_path / "zip", zipped=True)
    before = sorted(path.name for path in zipped.parent.iterdir())
    archive = create_archive(tmp_path / "archive")
    [source] = safe_sources(zipped)
    ingest(archive, source)
    assert sorted(path.name for path in zipped.parent.iterdir()) == before, "nothing is unpacked"
    mine, theirs = archive.product(source.id).record, old_archive.product(source.id).record
    assert mine.bands == theirs.bands
    assert mine.masks == theirs.masks
    assert mine.objects == theirs.objects
    assert verify(archive, zipped, only={"B05", "quality/B05"}).equal


def test_weather_fields_are_those_of_the_grib_file(old_archive: Archive, neighbours: tuple[Path, Path]) -> None:
    product = next(old_archive.product(name) for name in old_archive.product_ids() if "T32TMT" in name)
    root = old_archive.store.root
    assert root is not None
    group = zarr.open_group(root / product.folder / METEOROLOGY, mode="r")
    [grib] = neighbours[0].glob("GRANULE/*/AUX_DATA/AUX_ECMWFT")
    with rasterio.open(grib) as image:
        assert image.count >= 3
        for index in image.indexes:
            name = "ecmwf_" + image.tags(index)["GRIB_ELEMENT"].lower()
            assert np.array_equal(np.asarray(group[name]), image.read(index)), name
        rows, columns = np.asarray(group["ecmwf_latitude"]), np.asarray(group["ecmwf_longitude"])
        assert (columns[0], rows[0]) == image.xy(0, 0)
