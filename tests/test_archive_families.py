"""Southern zones, old baselines, rim corners, datastrips: every legacy tile back bit for bit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.legacy import read_bands
from abut.testing import safe_pixels
from ingest.check import check
from ingest.purge import purge
from ingest.settle import settle
from tests.base_archive import Base, assert_recreates, copy, ledger_of, make_base, shares
from tests.products import OLD, RIM

if TYPE_CHECKING:
    from pathlib import Path

    from tests.workflows.products import Made


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base([OLD, RIM], tmp_path_factory.mktemp("families"))


def test_two_granules_of_an_old_southern_safe_share_what_is_equal(base: Base, tmp_path: Path) -> None:
    ids = base.ids(*OLD.tiles)
    assert len(ids) == 2
    archive = copy(base, tmp_path, ids)
    settle(archive)
    assert sum(purged.objects for purged in purge(archive, grace=timedelta(0))) > 0
    for name in ids:
        assert_recreates(base, archive, name)
        distinct, stored = shares(ledger_of(archive, name))
        assert stored == distinct


def test_a_rim_corner_is_kept_by_each_tile_that_no_other_covers(base: Base, tmp_path: Path) -> None:
    ids = base.ids(*RIM.tiles)
    archive = copy(base, tmp_path, ids)
    settle(archive)
    purge(archive, grace=timedelta(0))
    distinct, stored = shares(ledger_of(archive, ids[0]))
    assert stored > distinct
    for name in ids:
        assert_recreates(base, archive, name)


def test_two_datastrips_of_one_tile_live_in_two_layers_and_both_come_back(south: Made) -> None:
    archive = south.archive
    assert len(archive.layers()) == 2
    (first, second) = (safe for (tile, _), safe in sorted(south.safes.items()) if tile == "53HNA")
    layers = {archive.product(safe.stem).layer for safe in (first, second)}
    assert layers == set(archive.layers())
    for safe in (first, second):
        for band, pixels in read_bands(archive, archive.product(safe.stem)):
            assert np.array_equal(pixels, safe_pixels(safe, band)), band


def test_all_families_live_in_one_archive(base: Base, tmp_path: Path) -> None:
    archive = copy(base, tmp_path)
    settle(archive)
    purge(archive, grace=timedelta(0))
    assert check(archive, deep=True) == []
