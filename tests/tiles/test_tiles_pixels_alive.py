"""Pixels of map tiles of an archive that changes, has damage, is large, or is asked by many at once."""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.archive import Archive, open_archive
from abut.counted import counted
from abut.errors import MissingObjectError
from abut.layout import BAND
from abut.view import select
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from services.tiles.errors import TooWideError, UnreadableError
from services.tiles.frame import Frame
from services.tiles.scenes import Limits, Scenes
from services.tiles.wish import Wish
from tests.shots import Shot, shot_days_later
from tests.tiles.pictures import EDGE, FOUR, archive_of, assert_shows, frame_of, shown, tile_at
from tests.tiles.reference import picture
from tests.toy import CORNER, ground

if TYPE_CHECKING:
    from abut.finding import ArchiveFinder

NOW = timedelta(0)
HERE = tile_at(10, 10.3, 44.3)
WHOLE = frame_of(CORNER)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four tiles with all their overlap; not to be changed."""
    return Path(archive_of(tmp_path_factory.mktemp("alive") / "archive", *FOUR).store.url)


@pytest.fixture
def archive(once: Path, tmp_path: Path) -> Archive:
    return open_archive(shutil.copytree(once, tmp_path / "archive"))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans are believed for no time."""
    monkeypatch.setattr("services.tiles.scenes.FRESH", 0.0)
    monkeypatch.setattr("services.tiles.scenes.EFFORT", 0.0)


def folder(archive: Archive, shot: Shot) -> Path:
    """Where a product's store is."""
    return Path(archive.store.url) / archive.product(shot.id).folder


def objects_of(archive: Archive, shot: Shot, band: str = "B01") -> list[Path]:
    """The blocks of a band that a product holds."""
    return sorted(path for path in (folder(archive, shot) / BAND[band].path / "c").rglob("*") if path.is_file())


def test_a_plan_is_believed_for_some_seconds_and_then_made_again(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_000.0]
    monkeypatch.setattr("services.tiles.scenes.time.monotonic", lambda: clock[0])
    store, count = counted(archive.store)
    scene = Scenes(replace(archive, store=store)).open(Wish())
    scene.read(HERE, ["B01"])
    needed = count.requests
    scene.read(HERE, ["B01"])
    assert count.requests == needed
    withdraw(archive, FOUR[0].id)
    clock[0] += 9.0
    assert FOUR[0].id in scene.products
    clock[0] += 2.0
    assert FOUR[0].id not in scene.products
    assert count.requests > needed


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("zoom", "reduction"), [(10, 1), (8, 4)])
def test_what_is_withdrawn_is_shown_no_more(archive: Archive, zoom: int, reduction: int) -> None:
    scenes, frame = Scenes(archive), tile_at(zoom, 10.3, 44.3)
    scene = scenes.open(Wish())
    tag = scene.etag(frame, ["B01"])
    scene.read(frame, ["B01"])
    withdraw(archive, FOUR[0].id)
    assert scene.etag(frame, ["B01"]) != tag
    found = scene.read(frame, ["B01"])
    assert FOUR[0].id not in found.products
    values = np.where(found.nodata[0], np.nan, np.rint(found.data[0].astype(float) * 10_000))
    assert_shows(values, [FOUR[1:]], frame, reduction)


@pytest.mark.parametrize("item", FOUR, ids=lambda one: one.tile_id)
def test_blocks_that_are_purged_under_a_plan_are_read_from_their_new_holders(archive: Archive, item: Shot) -> None:
    scene = Scenes(archive).open(Wish(item=item.id))
    scene.etag(HERE, ["B01"])  # planned, nothing read
    before = len(objects_of(archive, item))
    settle(archive)
    assert sum(one.objects for one in purge(archive, grace=NOW)) > 0
    assert len(objects_of(archive, item)) < before
    found = scene.read(HERE, ["B01"])
    values = np.where(found.nodata[0], np.nan, np.rint(found.data[0].astype(float) * 10_000))
    assert_shows(values, [[item]], HERE)
    assert found.unreadable == ()


@pytest.mark.parametrize("damage", ["bytes", "lost"])
def test_a_broken_product_leaves_its_neighbours_and_is_named(
    archive: Archive, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    settle(archive)
    purge(archive, grace=NOW)
    victims = objects_of(archive, FOUR[3])
    assert victims
    for victim in victims:
        victim.unlink() if damage == "lost" else victim.write_bytes(victim.read_bytes()[:99])
    caplog.set_level(logging.WARNING)
    scene = Scenes(archive).open(Wish())
    for _ in range(3):
        found = scene.read(WHOLE, ["B01"], unscale=False)
    assert found.unreadable == (FOUR[3].id,)
    assert 0.05 < found.nodata.mean() < 0.9
    assert np.array_equal(found.data[0][~found.nodata[0]], ground("B01", CORNER)[~found.nodata[0]])
    told = [record for record in caplog.records if FOUR[3].id in record.getMessage()]
    assert len(told) == 1
    away = replace(CORNER, right=CORNER.left + 9_600, top=CORNER.bottom + 9_600)
    assert scene.read(frame_of(away), ["B01"]).unreadable == ()


@pytest.mark.parametrize("damage", ["bytes", "lost"])
def test_a_broken_product_that_is_asked_for_is_an_error_with_the_key(archive: Archive, damage: str) -> None:
    victim = objects_of(archive, FOUR[2])[0]
    victim.unlink() if damage == "lost" else victim.write_bytes(b"?")
    key = str(victim.relative_to(Path(archive.store.url)))
    with pytest.raises(UnreadableError, match=f"{FOUR[2].id} can't be shown: .*{key}"):
        Scenes(archive).open(Wish(item=FOUR[2].id)).read(WHOLE, ["B01"])


def test_a_broken_block_is_filled_from_whoever_else_has_the_ground(archive: Archive) -> None:
    for victim in objects_of(archive, FOUR[3]):
        victim.write_bytes(b"?")
    found = Scenes(archive).open(Wish()).read(HERE, ["B01"])
    assert found.unreadable == (FOUR[3].id,)
    values = np.where(found.nodata[0], np.nan, np.rint(found.data[0].astype(float) * 10_000))
    assert_shows(values, [FOUR[:3]], HERE)


@pytest.mark.parametrize("zoom", [8, 7])
def test_a_broken_overview_is_named_and_a_lost_one_is_no_hole_without_a_name(archive: Archive, zoom: int) -> None:
    for path in (folder(archive, FOUR[0]) / "measurements/reflectance/overviews").rglob("b01/c/*/*"):
        path.unlink()
    found = Scenes(archive).open(Wish()).read(tile_at(zoom, 10.3, 44.3), ["B01"])
    assert found.unreadable == (FOUR[0].id,)


def test_a_product_whose_released_blocks_are_lost_leaves_the_others_and_is_named(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(archive)
    purge(archive, grace=NOW)
    lost = FOUR[1]
    original = select

    def planned(where: Archive, finder: ArchiveFinder, *rest: object, **options: object) -> object:
        found = original(where, finder, *rest, **options)  # type: ignore[arg-type] # passed on
        if any(lost.id in slot.products for slot in found.slots):
            raise MissingObjectError(f"a block of {lost.id} is held by nobody")
        return found

    monkeypatch.setattr("services.tiles.plan.select", planned)
    found = Scenes(archive).open(Wish()).read(HERE, ["B01"])
    assert found.unreadable == (lost.id,)
    values = np.where(found.nodata[0], np.nan, np.rint(found.data[0].astype(float) * 10_000))
    assert_shows(values, [[one for one in FOUR if one != lost]], HERE)


@pytest.mark.usefixtures("at_once")
def test_a_tag_changes_with_what_is_under_the_frame_and_reads_no_pixels(archive: Archive) -> None:
    store, count = counted(archive.store)
    scene = Scenes(replace(archive, store=store)).open(Wish())
    north = frame_of(replace(CORNER, bottom=CORNER.top - 4_800))
    tags = [scene.etag(frame, ["B01"]) for frame in (HERE, north)]
    assert tags == [scene.etag(frame, ["B01"]) for frame in (HERE, north)]
    assert len({*tags, scene.etag(north, ["B09"]), scene.etag(replace(north, width=641), ["B01"])}) == 4
    assert not any("/c/" in key for key in count.keys)
    south = replace(CORNER, top=CORNER.bottom + 4_800)
    ingest(archive, shot_days_later(5, "32TNP", place=south), threads=1)
    assert scene.etag(north, ["B01"]) == tags[1]
    assert scene.etag(frame_of(south), ["B01"]) != Scenes(archive).open(Wish(period="2023-08-23")).etag(
        frame_of(south), ["B01"]
    )
    ingest(archive, shot_days_later(5, "32TNQ"), threads=1)
    assert scene.etag(north, ["B01"]) != tags[1]
    assert not any("/c/" in key for key in count.keys)


def test_tags_are_those_of_the_order_and_of_the_items(archive: Archive) -> None:
    later = shot_days_later(5, "32TNP")
    ingest(archive, later, threads=1)
    scenes = Scenes(archive)
    wishes = [Wish(), Wish(order="earliest"), *(Wish(item=one.id) for one in (FOUR[0], FOUR[1], later))]
    for frame in (HERE, tile_at(8, 10.3, 44.3)):
        assert len({scenes.open(wish).etag(frame, ["B01"]) for wish in wishes}) == 5


def test_decoded_pixels_are_kept_within_their_limit(archive: Archive) -> None:
    limit, block = 200_000, 160 * 160 * 2
    scenes = Scenes(archive, limits=Limits(cache_bytes=limit))
    scene = scenes.open(Wish())
    for column in range(6):
        frame = replace(WHOLE, bounds=(WHOLE.bounds[0] + 6_000 * column, *WHOLE.bounds[1:]))
        found = scene.read(frame, ["B01", "B09"], unscale=False)
        assert found.products
        assert scenes.objects.size <= limit + 8 * block
    assert scenes.objects.size <= limit


def test_plans_are_kept_within_their_limit(archive: Archive) -> None:
    scenes = Scenes(archive, limits=Limits(plan_bytes=50_000))
    for cloud in range(20):
        assert scenes.open(Wish(cloud=50.0 + cloud)).read(HERE, ["B01"]).products
    assert scenes.planned < 50_000 + 30_000


def test_many_at_once_get_what_one_gets(archive: Archive) -> None:
    settle(archive)
    purge(archive, grace=NOW)
    frames = [tile_at(zoom, 10.0 + 0.1 * number, 44.3) for zoom in (8, 9, 10, 11) for number in range(6)]
    alone = Scenes(archive).open(Wish())
    expected = [alone.read(frame, ["B01", "B09"], resampling="bilinear") for frame in frames]
    shared = Scenes(archive, limits=Limits(cache_bytes=300_000)).open(Wish())
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda frame: shared.read(frame, ["B01", "B09"], resampling="bilinear"), frames * 4))
    for one, other in zip(found, expected * 4, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        assert (one.products, one.unreadable) == (other.products, ())


def test_a_picture_that_is_too_wide_is_refused_before_much_is_read(archive: Archive) -> None:
    store, count = counted(archive.store)
    scenes = Scenes(replace(archive, store=store), limits=Limits(objects=10, pixels=1_000_000))
    scene = scenes.open(Wish())
    with pytest.raises(TooWideError, match="more than 10 objects"):
        scene.read(WHOLE, ["B01"])
    assert not any("/c/" in key for key in count.keys)
    with pytest.raises(TooWideError, match=r"1001 x 1000 pixels and 1 layers has more than 1000000"):
        scene.read(replace(WHOLE, width=1_001, height=1_000), ["B01"])
    with pytest.raises(TooWideError, match="1001 x 1000"):
        scene.etag(replace(WHOLE, width=1_001, height=1_000), ["B01"])


@pytest.mark.parametrize("zoom", [0, 1, 3, 4])
def test_the_whole_world_is_a_picture_too(archive: Archive, zoom: int) -> None:
    frame = tile_at(zoom, 10.3, 44.3)
    seen = np.isfinite(shown(archive, frame))
    expected = np.isfinite(picture([FOUR], frame, "B01", 32).dn)
    assert (seen != expected).sum() <= 1
    assert expected.sum() > 5 or zoom < 3


@pytest.mark.parametrize("zoom", [8, 10])
def test_a_buffer_around_a_tile_shows_what_its_neighbours_show(archive: Archive, zoom: int) -> None:
    frame = tile_at(zoom, 10.3, 44.3)
    pixel, size = frame.pixel[0], frame.bounds[3] - frame.bounds[1]
    right = round((EDGE * 10.3 / 180 + EDGE) / pixel) * pixel - EDGE  # amid the data
    _, bottom, _, top = frame.bounds
    frame = replace(frame, bounds=(right - size, bottom, right, top))
    side = 16 * pixel
    wide = Frame(frame.crs, (right - size - side, bottom - side, right + side, top + side), 288, 288)
    np.testing.assert_array_equal(shown(archive, wide)[16:-16, 16:-16], shown(archive, frame))
    east = replace(frame, bounds=(right, bottom, right + size, top))
    np.testing.assert_array_equal(shown(archive, wide)[16:-16, -16:], shown(archive, east)[:, :16])
    assert np.isfinite(shown(archive, wide)[16:-16, -16:]).any()
