"""What a request across zones is planned from: one version of each strip, and one solar day, in all zones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from abut.connection import Connection
from abut.errors import MixedBaselinesError, MixedBaselinesWarning, OlderVersionWarning
from abut.finding import ArchiveFinder
from abut.ground import ground_in
from abut.lattice import Zone
from abut.ledger import Member
from abut.request import Request
from abut.steps import solar_shift
from abut.timeline import Aligned, align
from abut.window import bbox_window, tile_window
from tests.shots import MADE, Shot, commit, empty_archive, enlist
from tests.toy_zones import ToyZone, slot

if TYPE_CHECKING:
    from abut.archive import Archive
    from abut.request import Plan

pytestmark = [
    # odc-geo 0.5 with affine 3 and shapely 2.2; nothing that we could do about.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]

OLD_EAST = Shot("32TLR", baseline="03.01", offset=0, made=MADE)
OLD_WEST = replace(OLD_EAST, tile_id="31TGM")
NEW_EAST = Shot("32TLR", baseline="05.11", made=MADE + timedelta(days=300))
NEW_WEST = replace(NEW_EAST, tile_id="31TGM")
WINDOW = tile_window("32TLR", 1_200)
EUROPE = GeoBox((300, 300), Affine(400, 0, 3_990_000, 0, -400, 2_600_000), "EPSG:3035")
"""Around the border of both tiles; zone 32 goes first."""


def connection(*shots: Shot) -> Connection:
    """An archive of products that hold all their blocks, but no pixels."""
    archive = empty_archive()
    for shot in shots:
        held(archive, shot)
    return Connection(archive, ArchiveFinder())


def held(archive: Archive, shot: Shot) -> None:
    member = Member(shot.id, f"{shot.id}.a1.zarr", shot.tile, frozenset(shot.tile.hull))
    commit(archive, shot, member)
    enlist(archive, shot.layer, [member])


def products(plan: Plan) -> list[list[str]]:
    """Products of each zone."""
    sources = (plan.source, *(one.source for one in plan.neighbours))
    found = [getattr(source, "source", source) for source in sources]
    return [sorted({name for slot in source.slots for name in slot.products}) for source in found]


def test_the_version_of_a_product_that_is_asked_for_is_followed_into_the_next_zone() -> None:
    """It used to be an error: next to it was the newest, whose offsets differ."""
    asked = connection(OLD_EAST, NEW_EAST, OLD_WEST, NEW_WEST)
    assert products(asked.plan(WINDOW, OLD_EAST.id)) == [[OLD_EAST.id], [OLD_WEST.id]]
    assert products(asked.plan(WINDOW, NEW_EAST.id)) == [[NEW_EAST.id], [NEW_WEST.id]]
    assert products(asked.plan(WINDOW)) == [[NEW_EAST.id], [NEW_WEST.id]]
    assert products(asked.plan(WINDOW, baseline="03.01")) == [[OLD_EAST.id], [OLD_WEST.id]]


def test_a_zone_that_has_other_versions_alone_is_left_out_and_named() -> None:
    """They would be mixed in one step, unsaid where offsets are the same."""
    same = replace(OLD_WEST, baseline="05.09", offset=-1000)
    for other in (OLD_WEST, same):
        asked = connection(NEW_EAST, other)
        with pytest.warns(
            OlderVersionWarning, match=rf"31TGM is there with baseline {other.baseline}.* not with 05.11"
        ):
            plan = asked.plan(WINDOW)
        assert products(plan) == [[NEW_EAST.id]]


def test_the_own_zone_s_version_counts_whatever_others_have() -> None:
    with pytest.warns(OlderVersionWarning, match=r"31TGM is there with baseline 05\.11.* not with 03\.01"):
        assert products(connection(OLD_EAST, NEW_WEST).plan(WINDOW)) == [[OLD_EAST.id]]


def test_on_pixels_of_no_zone_all_zones_have_one_version_of_a_strip() -> None:
    asked = connection(NEW_EAST, replace(OLD_WEST, offset=-1000))
    request = Request(asked.archive, asked.finder, {})
    with pytest.warns(OlderVersionWarning, match="versions are not mixed"):
        joined = request.joined(EUROPE)
    assert [one.source.zone for one in joined.neighbours] == [Zone(32632)]
    asked = connection(OLD_EAST, NEW_EAST, OLD_WEST, NEW_WEST)
    joined = Request(asked.archive, asked.finder, {}).joined(EUROPE)
    assert joined.slots[0].products == tuple(sorted((NEW_EAST.id, NEW_WEST.id)))


def test_strips_of_one_version_whose_offsets_differ_between_zones_are_steps_of_their_own() -> None:
    west = replace(NEW_WEST, offset=0)
    asked = connection(NEW_EAST, west)
    with pytest.warns(MixedBaselinesWarning, match="are 2 steps"):
        plan = asked.plan(WINDOW)
    assert [(slot.products, slot.radio_add_offset["B01"]) for slot in plan.source.slots] == [
        ((NEW_EAST.id,), -1000),
        ((west.id,), 0),
    ]
    assert len(plan.notes) == 1
    with pytest.raises(MixedBaselinesError, match="can't be one step"):
        asked.plan(WINDOW, NEW_EAST.id)


# Solar days


@pytest.mark.parametrize("hour", [21, 22])
def test_zones_whose_windows_lie_on_both_sides_of_a_meridian_have_the_solar_days_of_the_request(hour: int) -> None:
    """By the days of its own window the other zone would lose a step, or put two of the request's into one."""
    window = bbox_window((29.5, 50, 30.4, 50.1), zone=Zone(32635))
    beyond = ground_in(Zone(32636), window)
    assert beyond is not None
    assert (solar_shift(window), solar_shift(beyond)) == (timedelta(hours=1), timedelta(hours=2))
    starts = [datetime(2023, 8, 23, hour, 30, tzinfo=UTC) + timedelta(hours=later) for later in (0, 1)]
    shots = [Shot(tile, datatake=start, datastrip_start=start) for tile in ("35UQR", "36UUA") for start in starts]
    plan = connection(*shots).plan(window, group="solar_day")
    assert [one.source.zone for one in plan.neighbours] == [Zone(32636)]
    steps = [1, 1] if hour == 22 else [2]
    for source in (plan.source, plan.neighbours[0].source):
        assert isinstance(source, Aligned)
        assert [len(slot.datatakes) for slot in source.source.slots] == steps
        assert None not in source.index


def test_two_steps_that_would_be_one_are_an_error_and_none_is_lost() -> None:
    twice = ToyZone(("31TGM",), slots=(slot(0), replace(slot(1), time=slot(0).time + timedelta(hours=1))))
    assert len(align([twice])[0].slots) == 2
    with pytest.raises(ValueError, match=r"steps 0 \(2025-07-03T10:.*\) and 1 \(2025-07-03T11:.*EPSG:32631 are one"):
        align([twice], timedelta(hours=1))
