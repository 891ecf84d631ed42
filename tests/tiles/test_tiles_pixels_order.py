"""Pixels of map tiles of several dates, of chosen products and of one: what is shown first, and no more than that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from abut.cache import Cache
from abut.errors import BadRequestError, InvalidPeriodError, InvalidTileError, MixedBaselinesError, ProductNotFoundError
from abut.newcomers import read_item
from ingest.purge import purge
from ingest.settle import settle
from services.tiles.scenes import Scenes
from services.tiles.wish import Wish
from tests.shots import Shot
from tests.tiles.pictures import archive_of, assert_shows, dates, frame_of, shown, tile_at
from tests.toy import CORNER

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive
    from abut.store import Store
    from services.tiles.wish import Order

NEWEST, LATER, FIRST = dates()
WEST = replace(CORNER, right=CORNER.right - 15_000)
EVERYTHING = [*NEWEST, *LATER, *FIRST]
TWO = ("32TNP", "32TPQ")
GIVEN = [FIRST[3], LATER[1], NEWEST[0], FIRST[0]]


@pytest.fixture(scope="session")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Three datatakes of the four tiles, without overlap; not to be changed."""
    archive = archive_of(tmp_path_factory.mktemp("tiles") / "dated", *EVERYTHING)
    settle(archive)
    assert sum(one.objects for one in purge(archive, grace=timedelta(0))) > 0
    return archive


@pytest.mark.parametrize(("zoom", "reduction"), [(11, 1), (9, 2), (8, 4), (7, 8), (6, 16)])
@pytest.mark.parametrize(
    ("order", "groups"),
    [
        ("latest", [NEWEST, LATER, FIRST]),
        ("earliest", [FIRST, LATER, NEWEST]),
        ("least-cloudy", [LATER, FIRST, NEWEST]),
    ],
)
def test_of_several_dates_the_wanted_one_comes_first(
    dated: Archive, order: Order, groups: list[list[Shot]], zoom: int, reduction: int
) -> None:
    frame = tile_at(zoom, 10.28, 44.33)
    assert_shows(shown(dated, frame, Wish(order=order)), groups, frame, reduction)


@pytest.mark.parametrize(("zoom", "reduction"), [(11, 1), (8, 4)])
def test_products_are_shown_in_the_order_in_which_they_are_given(dated: Archive, zoom: int, reduction: int) -> None:
    frame = tile_at(zoom, 10.28, 44.33)
    wish = Wish(ids=tuple(one.id for one in GIVEN), order="given")
    assert_shows(shown(dated, frame, wish), [[one] for one in GIVEN], frame, reduction)


@pytest.mark.parametrize(
    ("wish", "groups"),
    [
        (Wish(period="2023-08-28"), [LATER]),
        (Wish(period="../2023-08-28"), [LATER, FIRST]),
        (Wish(cloud=60.0), [LATER, FIRST]),
        (Wish(tiles=TWO), [[one for one in group if one.tile_id in TWO] for group in dates()]),
        (Wish(datatake=NEWEST[0].slot), [NEWEST]),
        (Wish(ids=(FIRST[2].id,)), [[FIRST[2]]]),
    ],
    ids=["day", "until", "clouds", "tiles", "datatake", "ids"],
)  # fmt: skip
@pytest.mark.parametrize(("zoom", "reduction"), [(10, 1), (9, 2), (8, 4)])
def test_a_search_shows_what_it_finds_and_nothing_of_neighbours(
    dated: Archive, wish: Wish, groups: list[list[Shot]], zoom: int, reduction: int
) -> None:
    frame = tile_at(zoom, 10.28, 44.33)
    assert_shows(shown(dated, frame, wish), groups, frame, reduction)


@pytest.mark.parametrize("item", [LATER[0], FIRST[3], NEWEST[1]], ids=lambda one: one.tile_id)
@pytest.mark.parametrize(("zoom", "reduction"), [(10, 1), (9, 2), (8, 4), (6, 16)])
def test_a_product_is_shown_whole_whatever_it_released(dated: Archive, item: Shot, zoom: int, reduction: int) -> None:
    frame = tile_at(zoom, 10.28, 44.33)
    found = shown(dated, frame, Wish(item=f"{item.id}.SAFE"))
    assert_shows(found, [[item]], frame, reduction)


def test_a_filter_is_asked_of_the_catalogue(dated: Archive) -> None:
    asked = []

    def find(text: str) -> frozenset[str]:
        asked.append(text)
        return frozenset(one.id for one in LATER)

    frame = tile_at(10, 10.28, 44.33)
    scenes = Scenes(dated, find=find)
    found = scenes.open(Wish(filter='{"op": "="}')).read(frame, ["B01"])
    assert asked == ['{"op": "="}']
    assert set(found.products) <= {one.id for one in LATER}
    assert found.products
    with pytest.raises(BadRequestError, match="needs a catalogue"):
        Scenes(dated).open(Wish(filter='{"op": "="}'))


def test_dn_of_two_baselines_are_never_put_side_by_side(dated: Archive) -> None:
    scene = Scenes(dated).open(Wish())
    found = scene.read(frame_of(WEST), ["B01"], unscale=False)
    assert found.products == tuple(sorted(one.id for one in NEWEST))
    with pytest.raises(MixedBaselinesError, match=r"radio_add_offset of B01 is .* and .* in S2B"):
        scene.read(frame_of(CORNER), ["B01"], unscale=False)
    assert not scene.read(frame_of(CORNER), ["B01"]).nodata.any()


def test_what_a_scene_knows_of_itself(dated: Archive) -> None:
    scene = Scenes(dated).open(Wish())
    assert scene.products == tuple(sorted(one.id for one in EVERYTHING))
    assert [slot.time for slot in scene.steps] == [group[0].datatake for group in (FIRST, LATER, NEWEST)]
    west, south, east, north = scene.bounds
    assert 8.9 < west < 9.1
    assert 11.6 < east < 11.8
    assert 43.1 < south < 43.3
    assert 45.1 < north < 45.3


def test_bad_wishes_are_refused_with_their_values(dated: Archive) -> None:
    with pytest.raises(ProductNotFoundError, match="no product 'S2B_NONE'"):
        Scenes(dated).open(Wish(item="S2B_NONE"))
    with pytest.raises(BadRequestError, match="order 'best' is not one of latest, "):
        Wish(order="best")  # type: ignore[arg-type] # that is the point
    with pytest.raises(BadRequestError, match="no ids are given"):
        Wish(order="given")
    with pytest.raises(BadRequestError, match="'A' is asked for together with a search"):
        Wish(item="A", cloud=3)
    with pytest.raises(InvalidPeriodError, match="'yesterday'"):
        Wish(period="yesterday")
    with pytest.raises(InvalidTileError, match="'99XXX'"):
        Wish(tiles=("99XXX",))
    with pytest.raises(BadRequestError, match="layer 'B13' is not one of"):
        Scenes(dated).open(Wish()).read(frame_of(CORNER), ["B13"])
    with pytest.raises(BadRequestError, match="resampling 'lanczos' is not one of"):
        Scenes(dated).open(Wish()).read(frame_of(CORNER), ["B01"], resampling="lanczos")  # type: ignore[arg-type]


def test_a_search_that_finds_nothing_shows_nothing(dated: Archive) -> None:
    found = Scenes(dated).open(Wish(period="1999")).read(frame_of(CORNER), ["B01", "B02_quality"])
    assert found.nodata.all()
    assert not found.data.any()
    assert found.products == found.unreadable == ()
    assert np.shape(found.data) == (2, 640, 640)


WEST_OLD = Shot("32TNP", baseline="03.01", offset=0)
EAST_NEW = Shot("32TPP")
BOTH_NEW = Shot("32TNP", added={"B01": 300})


@pytest.mark.parametrize(("zoom", "reduction"), [(10, 1), (8, 4)])
def test_a_datatake_in_two_baselines_loses_no_ground(tmp_path: Path, zoom: int, reduction: int) -> None:
    archive = archive_of(tmp_path / "archive", WEST_OLD, EAST_NEW)
    frame = tile_at(zoom, 10.28, 44.33)
    assert_shows(shown(archive, frame), [[EAST_NEW], [WEST_OLD]], frame, reduction)


def test_of_a_tile_in_two_baselines_the_newer_one_is_shown_unless_an_order_is_given(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "archive", WEST_OLD, BOTH_NEW)
    frame = tile_at(10, 10.28, 44.33)
    for order in ("latest", "earliest"):
        assert_shows(shown(archive, frame, Wish(order=order)), [[BOTH_NEW]], frame)
    for ids in ((WEST_OLD, BOTH_NEW), (BOTH_NEW, WEST_OLD)):
        wish = Wish(ids=tuple(one.id for one in ids), order="given")
        assert_shows(shown(archive, frame, wish), [[one] for one in ids], frame)


def test_cloud_cover_is_read_once(dated: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.tiles.clouds._KEPT", Cache(10, lambda _: 1))
    read: list[str] = []

    def noted(store: Store, name: str) -> Any:
        read.append(name)
        return read_item(store, name)

    monkeypatch.setattr("services.tiles.clouds.read_item", noted)
    wish = Wish(order="least-cloudy")
    for _ in range(2):
        Scenes(dated).open(wish).read(frame_of(WEST), ["B01"])
    assert sorted(read) == sorted(one.id for one in EVERYTHING)
