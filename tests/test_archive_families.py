"""Southern zones, old baselines, rim corners, datastrips: every legacy tile back bit for bit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ingest.check import check
from ingest.purge import purge
from ingest.settle import settle
from tests.base_archive import Base, assert_recreates, copy, ledger_of, make_base, shares
from tests.products import OLD, RIM, STRIPS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base([OLD, RIM, STRIPS], tmp_path_factory.mktemp("families"))


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


def test_two_datastrips_of_one_tile_live_in_two_layers_and_both_come_back(base: Base, tmp_path: Path) -> None:
    ids = base.ids(*STRIPS.tiles)
    assert len(ids) == 4
    archive = copy(base, tmp_path, ids)
    assert len(settle(archive)) == 2
    purge(archive, grace=timedelta(0))
    for name in ids:
        assert_recreates(base, archive, name)


def test_all_families_live_in_one_archive(base: Base, tmp_path: Path) -> None:
    archive = copy(base, tmp_path)
    settle(archive)
    purge(archive, grace=timedelta(0))
    assert check(archive, deep=True) == []
