"""The complete SAFE sample beside the checkout goes through the archive and comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.archive import Archive, create_archive
from abut.export import export_safe
from abut.layout import BANDS
from abut.legacy import read_bands
from abut.testing import safe_pixels
from ingest.check import check
from ingest.ingest import ingest
from ingest.safe_source import safe_sources
from tests.conftest import shared_data

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def sample() -> Path:
    found = sorted((shared_data() / "eopf").glob("*.SAFE"))
    if not found:
        pytest.skip("the SAFE sample (../shared/data/eopf) is absent")
    return found[0]


@pytest.fixture(scope="module")
def archive(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    archive = create_archive(tmp_path_factory.mktemp("sample"))
    [source] = safe_sources(sample)
    ingest(archive, source)
    return archive


def test_every_pixel_of_the_sample_comes_back(sample: Path, archive: Archive) -> None:
    [name] = archive.product_ids()
    for band, pixels in read_bands(archive, archive.product(name)):
        assert np.array_equal(pixels, safe_pixels(sample, band)), band.name
    assert check(archive, deep=True) == []


def test_the_sample_is_written_again_with_every_other_file_unchanged(
    sample: Path, archive: Archive, tmp_path: Path
) -> None:
    [name] = archive.product_ids()
    product = archive.product(name)
    again = export_safe(archive, product, tmp_path)
    images = {*product.record.safe["images"].values(), product.record.safe["tci"]}
    kept = {key.removeprefix("legacy/") for key in product.record.objects if key.startswith("legacy/")}
    for path in kept - {"manifest.safe"}:
        assert (again / path).read_bytes() == (sample / path).read_bytes(), path
    written = {str(path.relative_to(again)) for path in again.rglob("*") if path.is_file()}
    assert written == kept | images
    for band in BANDS:
        assert np.array_equal(safe_pixels(again, band), safe_pixels(sample, band)), band.name
