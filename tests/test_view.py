"""Who holds which block of a window: against a slow reference, over random archives without pixels."""

from __future__ import annotations

import json
import os
import random
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abut.errors import InvalidArchiveError, MissingObjectError, MixedBaselinesWarning, OlderVersionWarning
from abut.finding import ArchiveFinder, Filter
from abut.lattice import BlockRange, Bounds
from abut.ledger import Member, Release
from abut.period import Period
from abut.tiling import tile
from abut.view import View, select
from tests.reference_view import candidates, read_by, reference
from tests.shots import MADE, Shot, commit, empty_archive, enlist, put, shot_days_later
from tests.toy import CORNER, START, TILES

if TYPE_CHECKING:
    from abut.archive import Archive
    from abut.lattice import Block

SINCE = datetime(2024, 2, 1, tzinfo=UTC)
BLOCKS = list(BlockRange.around(CORNER))
MINE = [block for block in BLOCKS if block in tile("32TNP").hull]
"""Those of the first tile."""


def view(archive: Archive, window: Bounds = CORNER, period: Period | None = None, **options: Any) -> View:
    """A view whose warnings do not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OlderVersionWarning)
        return select(archive, ArchiveFinder(), window, period, **options)


def member(shot: Shot, held: frozenset[Block] | None = None, **changes: Any) -> Member:
    """A product that holds all blocks of the corner that its hull has."""
    mine = frozenset(block for block in BLOCKS if block in shot.tile.hull)
    return Member(
        shot.id, f"{shot.id}.{changes.pop('attempt', 'a1')}.zarr", shot.tile, mine if held is None else held, **changes
    )


def layer_of(archive: Archive, *members: tuple[Shot, Member]) -> None:
    """Commit products and enlist them in the layer of the first."""
    for shot, one in members:
        commit(archive, shot, one)
    enlist(archive, members[0][0].layer, [one for _, one in members])


# Random archives


def random_layer(chance: random.Random, archive: Archive, shots: list[Shot]) -> None:
    """A layer with empty, held and released blocks, withdrawn products, and some that it does not know (any more)."""
    held = {
        shot: frozenset(block for block in BLOCKS if block in shot.tile.hull and chance.random() < 0.6)
        for shot in shots
    }
    members = {shot: member(shot, held[shot]) for shot in shots}
    for shot in shots:
        released = {
            block: Release(to.id, SINCE, dropped=chance.random() < 0.5)
            for block in BLOCKS
            if block in shot.tile.hull and block not in held[shot] and chance.random() < 0.8
            for to in [chance.choice(shots)]
            if block in held[to]
        }
        withdrawn = SINCE if chance.random() < 0.2 else None
        members[shot] = replace(members[shot], released=released, withdrawn=withdrawn)
        commit(archive, shot, members[shot])
    fate = chance.random()
    relied_on = {release.to for one in members.values() for release in one.released.values()}
    free = [shot for shot in shots if shot.id not in relied_on]
    if fate < 0.2 and free:  # committed, and its ledger does not know it yet
        members.pop(free[0])
    elif fate < 0.4:  # withdrawn, ingested again under another attempt, and not yet enlisted
        members[shots[0]] = replace(members[shots[0]], withdrawn=SINCE)
        commit(archive, shots[0], member(shots[0], attempt="a2"))
    enlist(archive, shots[0].layer, members.values(), revision=3)


def random_archive(seed: int) -> tuple[Archive, list[Shot]]:
    chance = random.Random(seed)  # noqa: S311 - a sample
    archive, everything = empty_archive(), []
    for days in range(chance.choice((1, 2, 3))):
        for second in range(chance.choice((1, 2))):
            for version in range(chance.choice((1, 1, 2, 3))):
                base = shot_days_later(0, TILES[0], datatake=START + timedelta(hours=9 * days))
                strip = base.datatake + timedelta(seconds=7 * second)
                tiles = chance.sample(TILES, chance.randint(1, 4))
                baseline, made = ("05.09", "05.10", "05.10")[version], MADE + timedelta(days=version)
                shots = [
                    replace(
                        base, tile_id=name, datastrip_start=strip, baseline=baseline, made=made,
                        label=str(second), cloud=chance.choice((5.0, 50.0, 95.0)),
                    )
                    for name in tiles
                ]  # fmt: skip
                random_layer(chance, archive, shots)
                everything += shots
                if chance.random() < 0.3:  # delivered twice: it has a layer of its own
                    twin = replace(shots[0], label=chance.choice((f"{second}Z", "" if second else "-")))
                    own = f"32632.{twin.id}"
                    commit(archive, twin, member(twin), own)
                    enlist(archive, own, [member(twin)])
                    everything.append(twin)
    elsewhere = shot_days_later(0, "33TUJ")
    commit(archive, elsewhere, member(elsewhere, frozenset(elsewhere.tile.hull)))
    put(
        archive.store,
        "products/removed.json",
        b'{"id": "removed", "properties": {"abut:store": "x", "abut:removed": 1}}',
    )
    return archive, everything


@settings(max_examples=int(os.environ.get("ABUT_VIEW_EXAMPLES", "15")), deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_view_reads_what_the_slow_reference_reads(seed: int) -> None:
    archive, shots = random_archive(seed)
    chance = random.Random(seed + 1)  # noqa: S311 - a sample
    left, bottom = (start + chance.randrange(0, 26_400, 60) for start in (CORNER.left, CORNER.bottom))
    width, height = (chance.randrange(60, 12_000, 60) for _ in range(2))
    window = Bounds(CORNER.zone, left, bottom, left + width, bottom + height)
    some, names = chance.choice(shots), frozenset(chance.sample(TILES, 2))
    choices: list[tuple[Filter, Any]] = [
        (Filter(), lambda _: True),
        (Filter(max_cloud_cover=50.0), lambda item: item["properties"]["eo:cloud_cover"] <= 50.0),
        (Filter(tiles=names), lambda item: item["properties"]["grid:code"].removeprefix("MGRS-") in names),
        (Filter(ids=frozenset({f"{some.id}.SAFE"})), lambda item: item["id"] == some.id),
        (Filter(predicate=lambda item: item["id"] > some.id), lambda item: item["id"] > some.id),
    ]
    everything = candidates(archive)
    for wanted, chosen in chance.sample(choices, 3):
        product = chance.choice((None, some.id))
        baseline = chance.choice((None, None, "05.10"))
        by_day = chance.random() < 0.4
        found = view(
            archive, window, wanted=wanted, product=product, baseline=baseline,
            group="solar_day" if by_day else "datatake",
        )  # fmt: skip
        expected = reference(everything, window, chosen=chosen, product=product, baseline=baseline, by_day=by_day)
        assert read_by(found) == list(expected.values())
        assert [sum(map(len, step.values())) for step in expected.values()] == [
            int(found.counts(slot).sum()) for slot in range(len(found.slots))
        ]
        assert found.renewed() == found


# One thing at a time


def test_an_empty_archive_gives_a_view_without_steps() -> None:
    found = view(empty_archive())
    assert (found.slots, found.notes) == ((), ())
    assert found.renewed() == found


def test_a_step_says_when_what_and_with_which_offset() -> None:
    archive = empty_archive()
    shots = [Shot(name) for name in TILES]
    layer_of(archive, *((shot, member(shot)) for shot in shots))
    [slot] = view(archive).slots
    assert slot.time == START
    assert slot.datatakes == ("GS2B_20230823T095559_033753",)
    assert slot.products == tuple(sorted(shot.id for shot in shots))
    assert slot.quantification_value == 10_000
    assert slot.radio_add_offset["B02"] == slot.radio_add_offset["B8A"] == -1000
    assert len(slot.radio_add_offset) == 13


def test_a_period_counts_the_start_of_the_datatake_and_is_half_open() -> None:
    archive = empty_archive()
    for days in (0, 1, 40):
        shot = shot_days_later(days, "32TNP")
        layer_of(archive, (shot, member(shot)))
    starts = [START + timedelta(days=days) for days in (0, 1, 40)]
    assert [slot.time for slot in view(archive).slots] == starts
    assert [slot.time for slot in view(archive, period=Period(starts[0], starts[1])).slots] == starts[:1]
    late = Period(starts[0] + timedelta(microseconds=1), starts[2])
    assert [slot.time for slot in view(archive, period=late).slots] == starts[1:2]
    assert [slot.time for slot in view(archive, period=Period(start=starts[1])).slots] == starts[1:]


def test_blocks_out_of_the_window_are_no_part_of_a_view() -> None:
    archive = empty_archive()
    shot = Shot("32TNP")
    layer_of(archive, (shot, member(shot)))
    ground = MINE[0].bounds
    found = view(archive, replace(ground, right=ground.left + 60, bottom=ground.top - 60))
    assert [len(found.parts(0, block)) for block in found.blocks] == [1]
    with pytest.raises(KeyError, match="is not in"):
        found.parts(0, MINE[1])


def test_a_product_beside_the_window_makes_no_step() -> None:
    archive = empty_archive()
    shot = Shot("32TNP")
    layer_of(archive, (shot, member(shot, frozenset(MINE[-1:]))))
    assert view(archive, MINE[0].bounds).slots == ()
    assert len(view(archive, MINE[-1].bounds).slots) == 1


def test_strips_follow_each_other_by_their_start_unless_a_product_was_asked_for() -> None:
    archive = empty_archive()
    early, late = Shot("32TNP"), Shot("32TNP", datastrip_start=START + timedelta(seconds=7), label="L")
    for shot in (early, late):
        layer_of(archive, (shot, member(shot)))
    block = next(block for block in BLOCKS if block in early.tile.hull)

    def order(product: str | None) -> list[str]:
        return [part.product for part in view(archive, product=product).parts(0, block)]

    assert order(None) == order(early.id) == [early.id, late.id]
    assert order(late.id) == order(f"{late.id}.SAFE") == [late.id, early.id]


def test_the_newest_version_of_a_strip_is_read_and_versions_compare_as_numbers() -> None:
    archive = empty_archive()
    shots = [
        Shot("32TNP", baseline=name, made=MADE - timedelta(days=days)) for days, name in enumerate(("9.0", "10.1"))
    ]
    shots.append(replace(shots[1], made=MADE + timedelta(days=1)))
    for shot in shots:
        layer_of(archive, (shot, member(shot)))
    for baseline, product, expected in (
        (None, None, shots[2]), ("9.0", None, shots[0]), ("10.1", None, shots[2]), (None, shots[0].id, shots[0]),
    ):  # fmt: skip
        found = view(archive, baseline=baseline, product=product)
        assert found.slots[0].products == (expected.id,)
        assert found.notes == ()


def test_tiles_that_only_an_older_version_has_are_named_and_left_out() -> None:
    archive = empty_archive()
    old = [Shot(name, baseline="05.09") for name in ("32TNP", "32TPP")]
    new = Shot("32TNP", baseline="05.11")
    layer_of(archive, *((shot, member(shot)) for shot in old))
    layer_of(archive, (new, member(new)))
    with pytest.warns(OlderVersionWarning, match="baseline 05.09.* has 32TPP, which baseline 05.11") as caught:
        found = select(archive, ArchiveFinder(), CORNER)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert found.slots[0].products == (new.id,)
    assert len(found.notes) == 1
    assert found.renewed().notes == found.notes
    assert view(archive, baseline="05.09").slots[0].products == tuple(shot.id for shot in old)
    assert view(archive, tile("32TNP").hull.block(0, 0).bounds).notes == ()


def test_a_strip_without_the_baseline_that_is_asked_for_is_left_out_and_named() -> None:
    archive = empty_archive()
    shot = Shot("32TNP", baseline="05.09")
    layer_of(archive, (shot, member(shot)))
    with pytest.warns(OlderVersionWarning, match=r"no baseline 05\.11 here, but 05\.09"):
        found = select(archive, ArchiveFinder(), CORNER, baseline="05.11")
    assert found.slots == ()
    with pytest.raises(ValueError, match="baseline 'newest' is not made of numbers"):
        view(archive, baseline="newest")


def test_of_a_product_that_was_delivered_twice_the_later_one_is_read() -> None:
    archive = empty_archive()
    first, second = Shot("32TNP"), Shot("32TNP", label="Z")
    layer_of(archive, (first, member(first)))
    own = f"32632.{second.id}"
    commit(archive, second, member(second), own)
    enlist(archive, own, [member(second)])
    found = view(archive)
    assert found.slots[0].products == (second.id,)
    assert "is another version of" in found.notes[0]
    assert view(archive, product=first.id).slots[0].products == (first.id,)


def test_products_of_different_offsets_are_steps_of_their_own() -> None:
    archive = empty_archive()
    old = Shot("32TNP", baseline="03.01", offset=0)
    new = Shot("32TPP", baseline="04.00", datastrip_start=START + timedelta(seconds=7))
    for shot in (old, new):
        layer_of(archive, (shot, member(shot)))
    for group, name in (("datatake", f"datatake {old.slot}"), ("solar_day", "solar day 2023-08-23")):
        with pytest.warns(MixedBaselinesWarning, match=name) as caught:
            found = select(archive, ArchiveFinder(), CORNER, group=group)  # type: ignore[arg-type] # one of both
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert [(slot.time, slot.products, slot.radio_add_offset["B01"]) for slot in found.slots] == [
            (START, (new.id,), -1000), (START, (old.id,), 0),
        ]  # fmt: skip
        assert found.notes == (f"{name}: its products differ in radio_add_offset (of B01: -1000, 0), and are 2 steps",)
        assert found.renewed() == found
    assert view(archive, baseline="04.00").slots[0].products == (new.id,)
    assert view(archive, baseline="03.01").slots[0].radio_add_offset["B01"] == 0
    alone = next(block for block in MINE if block not in new.tile.hull)
    assert [slot.products for slot in select(archive, ArchiveFinder(), alone.bounds).slots] == [(old.id,)]


def test_a_solar_day_holds_datatakes_of_several_days_of_utc_where_the_sun_says_so() -> None:
    """In zone 1 solar time is eleven hours behind: the day of 23 August goes from 11:00 to 11:00 of the next in UTC."""
    archive, where = empty_archive(), tile("01KCB")
    window = where.hull.block(5, 5).bounds
    starts = [datetime(2023, 8, 23, hour, tzinfo=UTC) for hour in (9, 11, 22)] + [datetime(2023, 8, 24, 3, tzinfo=UTC)]
    for start in starts:
        shot = Shot(where.id, datatake=start, datastrip_start=start)
        layer_of(archive, (shot, member(shot, frozenset(where.hull))))
    days = view(archive, window, group="solar_day").slots
    assert [(slot.time, len(slot.datatakes)) for slot in days] == [(starts[0], 1), (starts[1], 3)]
    assert len(view(archive, window).slots) == 4
    [first, second, third] = view(archive, window, group="solar_day").parts(1, where.hull.block(5, 5))
    assert first.product < second.product < third.product
    with pytest.raises(ValueError, match="group 'week' is neither"):
        view(archive, window, group="week")


def test_blocks_that_a_chosen_product_released_are_read_from_holders_that_were_not_chosen_or_are_withdrawn() -> None:
    archive = empty_archive()
    cloudy, clear = Shot("32TNP", cloud=90.0), Shot("32TPP", cloud=1.0)
    shared = next(block for block in BLOCKS if block in cloudy.tile.hull and block in clear.tile.hull)
    giver = member(clear, frozenset(), released={shared: Release(cloudy.id, SINCE, dropped=True)})
    for withdrawn in (None, SINCE):
        layer_of(archive, (cloudy, member(cloudy, withdrawn=withdrawn)), (clear, giver))
        found = view(archive, wanted=Filter(max_cloud_cover=20))
        assert {
            block: [part.product for part in found.parts(0, block)] for block in found.blocks if found.parts(0, block)
        } == {shared: [cloudy.id]}
        assert [(part.whose, part.crop) for part in found.parts(0, shared)] == [
            (clear.id, shared.bounds.intersection(clear.tile.footprint))
        ]
        assert found.slots[0].products == found.named[0] == (clear.id,)
    everything = view(archive)
    assert {part.product for block in BLOCKS for part in everything.parts(0, block)} == {cloudy.id}
    assert everything.counts(0).sum() == 1


def test_a_release_to_a_product_that_does_not_hold_the_block_is_an_error_where_it_matters() -> None:
    archive = empty_archive()
    one, other = Shot("32TNP"), Shot("32TPP")
    shared = next(block for block in BLOCKS if block in one.tile.hull and block in other.tile.hull)
    giver = member(one, frozenset(MINE) - {shared}, released={shared: Release(other.id, SINCE)})
    layer_of(archive, (one, giver), (other, member(other, frozenset())))
    with pytest.raises(MissingObjectError, match=rf"block {shared} of {one.id} is held by {other.id}, which has it no"):
        view(archive)
    assert len(view(archive, next(block for block in MINE if block != shared).bounds).slots) == 1
    enlist(archive, one.layer, [giver])
    with pytest.raises(MissingObjectError, match=f"is held by {other.id}"):
        view(archive)


def test_a_product_that_gets_a_layer_of_its_own_is_followed_there() -> None:
    archive = empty_archive()
    shot = Shot("32TNP")
    commit(archive, shot, member(shot))
    found = view(archive)
    own = f"32632.{shot.id}"
    commit(archive, shot, member(shot), own)
    assert found.renewed().counts(0).sum() == len(MINE)
    enlist(archive, own, [member(shot, frozenset(MINE[:2]))])
    assert found.renewed().counts(0).sum() == 2
    assert found.renewed() == found.renewed()
    enlist(archive, own, [member(shot, withdrawn=SINCE)])
    assert found.renewed().counts(0).sum() == 0


def test_filters_take_what_fits_all_that_is_given() -> None:
    archive = empty_archive()
    shots = [
        shot_days_later(0, "32TNP", orbit=22),
        shot_days_later(1, "32TNP"),
        shot_days_later(1, "32TPP", cloud=99.0),
    ]
    layer_of(archive, (shots[0], member(shots[0])))
    layer_of(archive, *((shot, member(shot)) for shot in shots[1:]))

    def taken(**conditions: Any) -> list[int]:
        found = view(archive, wanted=Filter(**conditions)).slots
        return [number for number, shot in enumerate(shots) if any(shot.id in slot.products for slot in found)]

    assert taken() == [0, 1, 2]
    assert taken(relative_orbit=22) == [0]
    assert taken(datatake=shots[1].slot) == taken(datatake=f"{shots[1].slot}_N05.11") == [1, 2]
    assert taken(tiles=frozenset({"T32TPP"})) == [2]
    assert taken(max_cloud_cover=50, relative_orbit=122) == [1]
    assert taken(ids=frozenset({shots[2].id}), max_cloud_cover=50) == []
    with pytest.raises(ValueError, match="CQL2 needs a STAC API"):
        taken(cql2="eo:cloud_cover < 3")
    with pytest.raises(KeyError, match="'32XXX' is not a tile"):
        Filter(tiles=frozenset({"32XXX"}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"abut:ledger": 2}, "ledger format 2 is not 1"),
        ({"members": [{}]}, "not a ledger"),
        ({"members": None}, "not a ledger"),
    ],
)
def test_a_ledger_that_is_none_is_refused(change: dict[str, Any], reason: str) -> None:
    archive = empty_archive()
    shot = Shot("32TNP")
    layer_of(archive, (shot, member(shot)))
    document = json.loads(archive.store.get(f"layers/{shot.layer}.json"))
    put(archive.store, f"layers/{shot.layer}.json", json.dumps(document | change).encode())
    with pytest.raises(InvalidArchiveError, match=reason):
        view(archive)


@pytest.mark.parametrize("blocks", [[-1], [169], [1.0], ["1"], [True], "12"])
def test_numbers_of_blocks_that_are_none_are_refused(blocks: Any) -> None:
    archive = empty_archive()
    shot = Shot("32TNP")
    layer_of(archive, (shot, member(shot)))
    document = json.loads(archive.store.get(f"layers/{shot.layer}.json"))
    document["members"][0]["held"] = blocks
    put(archive.store, f"layers/{shot.layer}.json", json.dumps(document).encode())
    with pytest.raises(InvalidArchiveError, match="not a ledger"):
        view(archive)


def test_an_item_that_lacks_what_a_view_needs_is_refused() -> None:
    archive = empty_archive()
    shot = Shot("32TNP")
    layer_of(archive, (shot, member(shot)))
    item = json.loads(archive.store.get(f"products/{shot.id}.json"))
    del item["properties"]["abut:datastrip_start"]
    put(archive.store, f"products/{shot.id}.json", json.dumps(item).encode())
    with pytest.raises(InvalidArchiveError, match=rf"products/{shot.id}.json: not the item of a product"):
        view(archive)
