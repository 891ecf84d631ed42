"""Views of archives that were really written, and that change while they are read."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.archive import Archive, create_archive, open_archive
from abut.codec import decode_block
from abut.errors import InvalidArchiveError, MissingObjectError
from abut.finding import ArchiveFinder, Filter, locate
from abut.layout import BAND
from abut.tiling import tile
from abut.view import View, select
from ingest.commit import read_item, tombstone
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from tests.reference_view import candidates, read_by, reference
from tests.shots import Shot, put, shot_days_later
from tests.toy import CORNER, START, TILES, ToySource, ground

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOW = timedelta(0)
HOLE = replace(CORNER, right=CORNER.left + 9_600, bottom=CORNER.top - 9_600)


SHOTS = {name: Shot(name, cloud=5.0 if name == "32TNP" else 80.0) for name in TILES}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return create_archive(tmp_path / "new")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four tiles, not settled; not to be changed."""
    return Path(filled(create_archive(tmp_path_factory.mktemp("four") / "archive"), *SHOTS.values()).store.url)


@pytest.fixture
def four(once: Path, tmp_path: Path) -> Archive:
    """The four tiles, not settled."""
    return open_archive(shutil.copytree(once, tmp_path / "four"))


def filled(archive: Archive, *sources: ToySource) -> Archive:
    for source in sources:
        ingest(archive, source, threads=1)
    return archive


def view(archive: Archive, **options: object) -> View:
    """A view of the corner, which equals what the slow reference reads if nothing was filtered."""
    found = select(archive, ArchiveFinder(), CORNER, **options)  # type: ignore[arg-type] # of any name
    if not options:
        assert read_by(found) == list(reference(candidates(archive), CORNER).values())
    return found


def pixels(view: View, band: str = "B01", slot: int = 0) -> NDArray[np.uint16]:
    """A band of the corner, holder over holder, each as far as it is shown."""
    merged = np.zeros(CORNER.shape(60), "<u2")
    for block in view.blocks:
        place = merged[CORNER.slices(block.bounds, 60)]
        for part in view.parts(slot, block):
            data = view.store.get(part.key(BAND[band]))
            over = decode_block(data, BAND[band].block_pixels, view.profile)
            here = block.bounds.slices(part.crop or block.bounds, 60)
            np.copyto(place[here], over[here], where=place[here] == 0)
    return merged


def pasted(*sources: ToySource, band: str = "B01") -> NDArray[np.uint16]:
    """The same of whole legacy arrays, the first over the others."""
    merged = np.zeros(CORNER.shape(60), "<u2")
    for source in sources:
        part = source.tile.footprint.intersection(CORNER)
        assert part is not None
        place = merged[CORNER.slices(part, 60)]
        np.copyto(place, source.arrays[band][source.tile.footprint.slices(part, 60)], where=place == 0)
    return merged


def test_the_corner_of_four_tiles_is_seamless_before_and_after_overlap_is_removed(four: Archive) -> None:
    archive = four
    truth = ground("B01", CORNER)
    first = view(archive)
    assert np.array_equal(pixels(first), truth)
    assert first.counts(0).max() == 4
    settle(archive)
    settled = view(archive)
    assert (settled.counts(0) == 1).all()
    assert np.array_equal(pixels(settled), truth)
    purge(archive, grace=NOW)
    assert read_by(view(archive)) == read_by(settled)
    with pytest.raises(MissingObjectError):
        pixels(first)
    assert first.renewed() == replace(settled, notes=first.notes) != first
    assert np.array_equal(pixels(first.renewed()), truth)


def test_overlaps_that_differ_are_overlaid_by_rank(archive: Archive) -> None:
    filled(archive, ToySource("32TNP"), ToySource("32TPP", added={"B01": 2}), ToySource("32TNQ"))
    settle(archive)
    purge(archive, grace=NOW)
    found = view(archive)
    assert found.counts(0).max() == 2
    values = pixels(found).astype(int) - ground("B01", CORNER)
    seen = pasted(*map(ToySource, TILES[:3])) > 0
    assert set(np.unique(values[seen])) == {0, 2}


def test_data_that_only_one_band_lacks_are_filled_band_by_band(archive: Archive) -> None:
    """The better-ranked product has a hole in B09; there a view shows its neighbour's."""
    block = next(block for block in view(filled(archive, ToySource("32TNQ"))).blocks if block.bounds != HOLE)
    whole, holed = ToySource("32TNP"), ToySource("32TNQ", hole=block.bounds, label="H")
    archive = filled(create_archive(f"{archive.store.url}/other"), whole, holed)
    found = view(archive)
    assert np.array_equal(pixels(found), pasted(whole, holed))
    assert np.array_equal(pixels(found, "B09") > 0, pasted(whole, holed, band="B09") > 0)


def test_two_strips_make_one_step(archive: Archive) -> None:
    mine = tile("32TNP").footprint.intersection(CORNER)
    assert mine is not None
    middle = mine.bottom + 9_000
    north = Shot("32TNP", place=replace(CORNER, bottom=middle))
    south = Shot(
        "32TNP", place=replace(CORNER, top=middle + 600), datastrip_start=START + timedelta(seconds=9), label="S"
    )
    found = view(filled(archive, north, south))
    assert len(found.slots) == 1
    assert np.array_equal(pixels(found), pasted(north, south))
    assert found.counts(0).max() == 2


def test_a_chosen_product_is_whole_although_its_rim_is_held_by_others(four: Archive) -> None:
    archive, shots = four, list(SHOTS.values())
    settle(archive)
    purge(archive, grace=NOW)
    found = view(archive, wanted=Filter(max_cloud_cover=10))
    part = shots[0].tile.footprint.intersection(CORNER)
    assert part is not None
    inside = CORNER.slices(part, 60)
    assert np.array_equal(pixels(found)[inside], ground("B01", CORNER)[inside])
    assert {holder.product for holder in found.holders(0)} > {shots[0].id}
    assert found.slots[0].products == (shots[0].id,)


def test_a_filtered_view_is_the_chosen_product_and_nothing_beyond_its_footprint(four: Archive) -> None:
    """Also in blocks that its rim cuts, and that a neighbour holds which was not chosen."""
    expected, rim = pasted(SHOTS["32TNP"]), 0
    assert (expected == 0).any()
    for change in (lambda _: None, settle, lambda archive: purge(archive, grace=NOW)):
        change(four)
        found = view(four, wanted=Filter(tiles=frozenset({"32TNP"})))
        assert np.array_equal(pixels(found), expected)
        rim = sum(part.crop is not None for block in found.blocks for part in found.parts(0, block))
    assert rim > 0


def test_a_withdrawn_product_is_seen_only_where_a_live_one_relies_on_it(four: Archive) -> None:
    archive, sources = four, list(SHOTS.values())
    before = view(archive)
    settle(archive)
    withdraw(archive, sources[3].id)
    for _ in range(2):
        found = view(archive)
        assert np.array_equal(pixels(found), pasted(*sources[:3]))
        assert sources[3].id not in found.slots[0].products
        assert sources[3].id in {holder.product for holder in found.holders(0)}
        renewed = before.renewed()
        for block in found.blocks:
            if sources[3].id in {part.whose for part in before.parts(0, block)}:
                with pytest.raises(MissingObjectError, match=sources[3].id):
                    renewed.parts(0, block)
            else:
                assert renewed.parts(0, block) == found.parts(0, block)
        purge(archive, grace=NOW)


def test_a_product_that_was_withdrawn_alone_is_gone(archive: Archive) -> None:
    shot = Shot("32TNP")
    found = view(filled(archive, shot))
    withdraw(archive, shot.id)
    assert view(archive).slots == ()
    gone = found.renewed()
    assert [slot.time for slot in gone.slots] == [START]
    assert gone.slots[0].products == ()
    assert not gone.counts(0).any()
    purge(archive, grace=NOW)
    assert view(archive).slots == ()
    assert found.renewed() == gone


def test_a_product_that_came_back_under_another_attempt_is_read_from_there(four: Archive) -> None:
    archive, shots = four, list(SHOTS.values())
    found = view(archive)
    withdraw(archive, shots[0].id)
    purge(archive, grace=NOW)
    filled(archive, shots[0])
    again = found.renewed()
    assert {one.folder for one in again.holders(0)} != {one.folder for one in found.holders(0)}
    assert np.array_equal(pixels(again), pasted(*shots))
    assert (again.slots, read_by(again)) == (view(archive).slots, read_by(view(archive)))


def test_what_comes_later_is_no_part_of_a_plan_that_is_renewed(archive: Archive) -> None:
    shots = [Shot("32TNP"), Shot("32TPP"), shot_days_later(3, "32TNP")]
    found = view(filled(archive, shots[0]))
    filled(archive, *shots[1:])
    settle(archive)
    renewed = found.renewed()
    assert [slot.time for slot in renewed.slots] == [START]
    mine = shots[0].tile.footprint.intersection(CORNER)
    assert mine is not None
    assert np.array_equal(pixels(renewed)[CORNER.slices(mine, 60)], ground("B01", CORNER)[CORNER.slices(mine, 60)])


def test_a_committed_product_that_no_ledger_knows_holds_all_its_blocks(four: Archive) -> None:
    archive, shots = four, list(SHOTS.values())
    expected = read_by(view(archive))
    archive.store.delete([f"layers/{shots[0].layer}.json"])
    found = view(archive)
    assert read_by(found) == expected
    assert found.renewed() == found
    settle(archive)
    assert read_by(found.renewed()) == read_by(view(archive)) != expected


def test_products_whose_ids_tell_no_time_are_found_before_they_are_listed(archive: Archive) -> None:
    toy = ToySource("32TNP", label="old")
    filled(archive, toy, shot_days_later(0, "33TUJ", place=tile("33TUJ").hull.block(5, 5).bounds))
    archive.store.delete([f"layers/{toy.layer}.json"])
    assert view(archive).slots[0].products == (toy.id,)


def test_what_is_left_of_removed_products_is_passed_over(archive: Archive) -> None:
    shots = [Shot("32TNP"), Shot("32TPP")]
    filled(archive, *shots)
    key = f"products/{shots[0].id}.json"
    item, _ = read_item(archive.store, shots[0].id)
    assert item is not None
    archive.store.delete([f"layers/{shots[0].layer}.json"])
    put(archive.store, key, str(tombstone(item, "2024-01-01")).replace("'", '"').encode())
    assert view(archive).slots[0].products == tuple(sorted(shot.id for shot in shots[1:]))
    put(archive.store, key, b"{}")
    with pytest.raises(InvalidArchiveError, match=f"{shots[0].id}.json: not the item of a product"):
        select(archive, ArchiveFinder(), CORNER)


def test_a_view_can_be_sent_to_other_processes(four: Archive) -> None:
    found = view(four)
    sent = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own
    assert sent == found
    assert np.array_equal(pixels(sent), ground("B01", CORNER))
    assert sent.renewed() == found


def test_an_archive_is_located_by_its_folder(four: Archive) -> None:
    opened, finder = locate(four.store.url)
    assert read_by(select(opened, finder, CORNER)) == read_by(view(four))
    with pytest.raises(InvalidArchiveError, match="no such folder"):
        locate(f"{four.store.url}/nothing")
