"""What a view shows depends on the products that were chosen alone, whatever was settled, purged or withdrawn."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr
from zarr.core.buffer import default_buffer_prototype

import abut
from abut.archive import create_archive
from abut.codec import decode_block
from abut.finding import ArchiveFinder, Filter
from abut.holders import HeldBlock
from abut.lattice import Block, BlockRange, Bounds
from abut.layout import BAND
from abut.pixels import block_pixels, read_bands
from abut.planning import Plan
from abut.tiling import rank_key, tile
from abut.view import View, select
from abut.view_angles import read_sun_angles, read_view_angles
from abut.view_masks import Mask, read_mask
from abut.zone_layout import zone_blocks
from abut.zone_snapshot import digest_of
from abut.zone_zarr import ZoneStore
from ingest.ingest import ingest
from ingest.withdraw import withdraw
from tests.pasted import pasted
from tests.shots import Shot, shot_days_later
from tests.test_explain import blocks_read, watched
from tests.toy import CORNER, START, TILES
from tests.zone_scene import B01, B09, STATES, copied, truth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.archive import Archive

ZONE = CORNER.zone
GROUND = Bounds(ZONE, CORNER.left - 9_600, CORNER.bottom - 4_800, CORNER.right + 60, CORNER.top + 9_600)
"""Cuts blocks, and reaches beyond what is held."""


@dataclass(frozen=True)
class Scene:
    """Random products, and archives of them in three states."""

    shots: tuple[Shot, ...]
    archives: dict[str, Archive]


def random_shots(seed: int) -> tuple[Shot, ...]:
    """Products of one datatake in one or two strips; some see but a part, some have other pixels than the others."""
    chance = random.Random(seed)  # noqa: S311 - a sample
    shots = []
    for second in (0, 30)[: 1 + seed % 2]:
        for name in TILES:
            place = CORNER
            if chance.random() < 0.3:
                left = CORNER.left + chance.randrange(0, 14_400, 60)
                bottom = CORNER.bottom + chance.randrange(0, 14_400, 60)
                place = Bounds(ZONE, left, bottom, left + 24_000, bottom + 24_000)
            added = {"B09": 3} if name == "32TPP" or chance.random() < 0.2 else {}
            strip = START + timedelta(seconds=second)
            shots.append(Shot(name, place, added, str(second), strip, cloud=chance.uniform(0, 100)))
    return tuple(shots)


@pytest.fixture(name="scene", scope="module", params=[2, 9])
def _scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    shots = random_shots(request.param)
    archive = create_archive(tmp_path_factory.mktemp("chosen") / "archive")
    for shot in shots:
        ingest(archive, shot, threads=1)
    made = {"unsettled": archive}
    made |= {state: copied(archive, tmp_path_factory.mktemp(state), state) for state in STATES[1:]}
    return Scene(shots, made)


def view(archive: Archive, window: Bounds, **wanted: Any) -> View:
    return select(archive, ArchiveFinder(), window, wanted=Filter(**wanted))


def subsets(shots: Sequence[Shot], count: int, seed: int) -> list[frozenset[str]]:
    """Some of the ids, and each one alone."""
    chance, names = random.Random(seed), [shot.id for shot in shots]  # noqa: S311 - a sample
    return [frozenset({name}) for name in names] + [
        frozenset(chance.sample(names, chance.randint(2, len(names)))) for _ in range(count)
    ]


def assert_shows(found: View, shots: Sequence[Shot]) -> None:
    """All pixels of both bands are those of pasting the legacy arrays of some products."""
    arrays = read_bands(found, GROUND, [B01, B09])
    for band in (B01, B09):
        assert np.array_equal(arrays[band][0], pasted(truth(shots), GROUND, band))


def test_a_filtered_view_is_the_chosen_products_pasted_in_every_state(scene: Scene) -> None:
    borrowed = 0
    for names in subsets(scene.shots, 12, 1):
        chosen = [shot for shot in scene.shots if shot.id in names]
        for archive in scene.archives.values():
            found = view(archive, GROUND, ids=names)
            assert_shows(found, chosen)
            assert found.slots[0].products == tuple(sorted(names))
            borrowed += sum(part.crop is not None for block in found.blocks for part in found.parts(0, block))
    assert borrowed > 20


@pytest.mark.parametrize("mutation", ["not cropped", "cropped by a pixel", "in the holder's place"])
def test_the_comparison_sees_a_pixel_too_many_and_a_wrong_order(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, mutation: str
) -> None:
    if mutation == "not cropped":
        monkeypatch.setattr(HeldBlock, "crop", None)
    elif mutation == "cropped by a pixel":
        right = HeldBlock.crop.fget  # type: ignore[attr-defined] # it is a property
        monkeypatch.setattr(
            HeldBlock, "crop", property(lambda part: (found := right(part)) and replace(found, left=found.left + 60))
        )
    else:
        in_order, strips = Plan.parts, {shot.id: shot.datastrip_start for shot in scene.shots}

        def parts(plan: Plan, block: Block) -> tuple[HeldBlock, ...]:
            found = in_order(plan, block)
            return tuple(sorted(found, key=lambda part: (strips[part.whose], rank_key(block, part.tile), part.whose)))

        monkeypatch.setattr(Plan, "parts", parts)
    with pytest.raises(AssertionError):
        test_a_filtered_view_is_the_chosen_products_pasted_in_every_state(scene)


def test_whole_cubes_are_the_same_in_every_state_eager_and_lazy(scene: Scene) -> None:
    """Coordinates too: products, who supplied which block, and the attributes."""
    for names in subsets(scene.shots, 3, 2)[-5:]:
        made = []
        for archive in scene.archives.values():
            connection = abut.connect(archive.store.url)
            options: dict[str, Any] = {"window": GROUND, "bands": "B01,B09", "resolution": 60, "ids": names}
            eager = connection.cube(**options)
            assert isinstance(eager, xr.Dataset)
            xr.testing.assert_equal(eager, connection.cube(**options, chunks={}).compute())
            del eager.attrs["archive"]
            made.append(eager)
        for other in made[1:]:
            xr.testing.assert_identical(other, made[0])
        assert set(made[0]["product"].to_numpy().tolist()) == names


def test_a_zone_s_chunks_documents_and_digest_are_the_same_in_every_state(scene: Scene) -> None:
    names = subsets(scene.shots, 1, 3)[-1] - {scene.shots[0].id}
    views = {state: view(archive, zone_blocks(ZONE).bounds, ids=names) for state, archive in scene.archives.items()}
    assert len({digest_of(one) for one in views.values()}) == 1
    assert digest_of(view(scene.archives["settled"], zone_blocks(ZONE).bounds)) != digest_of(views["settled"])
    chosen, counts = [shot for shot in scene.shots if shot.id in names], {}
    stores = {state: ZoneStore.of(one, bands=(B01, B09), masks=False) for state, one in views.items()}
    keys = ["zarr.json", "source/c/0/0/0", "product/c/0", "product_step/c/0"]
    assert len({tuple(get(store, key) for key in keys) for store in stores.values()}) == 1
    for state, store in stores.items():
        for block in BlockRange.around(CORNER):
            data = get(store, store.chunks.layout.key("r60m/b09", 0, block))
            expected = pasted(truth(chosen), block.bounds, B09)
            assert np.array_equal(expected, np.zeros((160, 160)) if data is None else decode_block(data, 160))
            parts = views[state].parts(0, block)
            if len(parts) == 1 and parts[0].crop is None:
                assert data == views[state].store.get(parts[0].key(B09))
            read = store.chunks.read(store.chunks.layout.chunk(store.chunks.layout.key("r60m/b09", 0, block)))  # type: ignore[arg-type]
            assert read == data
        counts[state] = store.counts
    assert counts["settled"] == counts["purged"]
    assert counts["settled"].merged > 0


def test_a_block_that_the_chosen_footprint_covers_is_passed_through(scene: Scene) -> None:
    found = view(scene.archives["purged"], zone_blocks(ZONE).bounds, ids=frozenset({scene.shots[0].id}))
    store = ZoneStore.of(found, bands=(B01,), masks=False)
    kinds = set()
    for block in BlockRange.around(CORNER):
        for part in found.parts(0, block):
            is_inside = block.bounds.intersection(part.holder.shown.footprint) == block.bounds
            if part.product == part.whose:
                continue
            kinds.add(is_inside)
            assert (part.crop is None) == is_inside
            before = store.counts
            get(store, store.chunks.layout.key("r60m/b01", 0, block))
            assert (store.counts.passed - before.passed, store.counts.merged - before.merged) == (
                (1, 0) if is_inside else (0, 1)
            )
    assert False in kinds


def test_one_object_that_shows_several_chosen_products_is_read_once(scene: Scene) -> None:
    found = {state: view(archive, GROUND) for state, archive in scene.archives.items()}["settled"]
    assert_shows(found, scene.shots)
    for names in subsets(scene.shots, 12, 4):
        filtered = view(scene.archives["settled"], GROUND, ids=names)
        for block in filtered.blocks:
            parts = filtered.parts(0, block)
            sizes: list[int] = []
            inside = block.bounds.intersection(GROUND)
            assert inside is not None
            read_bands(filtered, inside, [B01], on_block=sizes.append)
            all_of = {part.key(B01): len(filtered.store.get(part.key(B01))) for part in parts}
            assert sum(sizes) <= sum(all_of.values())
            pixels = block_pixels(filtered, 0, B01, block)
            assert (pixels is None) == (not parts)


def test_explain_counts_what_a_filtered_run_reads(scene: Scene) -> None:
    for names in subsets(scene.shots, 6, 5):
        for archive in scene.archives.values():
            options: dict[str, Any] = {"bands": "B01,B09", "resolution": 60, "ids": names}
            said = abut.connect(archive.store.url).explain(GROUND, **options)
            connection, count = watched(archive)
            connection.cube(window=GROUND, **options)
            read = blocks_read(count)
            (zone,) = said.zones
            assert set(read.values()) == {1}
            assert zone.least_objects <= len(read) <= zone.most_objects
            assert zone.least_bytes <= sum(len(archive.store.get(key)) for key in read) <= zone.most_bytes
            assert said.least_requests <= count.requests <= said.most_requests
            assert said.from_safe.products <= len(names)


def test_what_a_withdrawn_neighbour_holds_is_cropped_too(tmp_path: Path) -> None:
    shots = (Shot("32TNP"), Shot("32TPP"), shot_days_later(5, "32TNQ"))
    archive = create_archive(tmp_path / "archive")
    for shot in shots:
        ingest(archive, shot, threads=1)
    settled = copied(archive, tmp_path / "copy", "purged")
    for one in (archive, settled):
        withdraw(one, shots[0].id)
    views = [view(one, GROUND) for one in (archive, settled)]
    for found in views:
        assert_shows(found, [shots[1]])
    assert {holder.product for holder in views[1].holders(0)} == {shot.id for shot in shots[:2]}
    assert digest_of(views[0]) == digest_of(views[1])


WEST, EAST = tile("32TMT"), tile("32TNT")
SEAM = Bounds(WEST.zone, EAST.ulx - 600, EAST.uly - 49_800, WEST.ulx + 109_800 + 600, EAST.uly - 46_200)
"""Across the overlap of both tiles, and beyond on both sides; within one row of blocks."""


def test_masks_and_angles_are_those_of_the_chosen_product_in_every_state(
    old_archive: Archive, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = [old_archive, copied(old_archive, tmp_path_factory.mktemp("masks"), "purged")]
    assert_masks_are_the_same(archives)
    monkeypatch.setattr(HeldBlock, "whose", property(lambda part: part.product))
    with pytest.raises(AssertionError):
        assert_masks_are_the_same(archives)


def assert_masks_are_the_same(archives: Sequence[Archive]) -> None:
    kinds = [Mask("detector_footprint", BAND["B02"]), Mask("quality", BAND["B05"]), Mask("classification")]
    cropped = 0
    for name in archives[0].product_ids():
        found: list[list[NDArray[Any]]] = []
        for archive in archives:
            chosen = view(archive, SEAM, ids=frozenset({name}))
            cropped += sum(part.crop is not None for block in chosen.blocks for part in chosen.parts(0, block))
            arrays = read_bands(chosen, SEAM, [BAND["B02"], B01])
            values: list[NDArray[Any]] = [read_mask(chosen, archive.store, SEAM, kind, [0]) for kind in kinds]
            values += read_view_angles(chosen, archive.store, SEAM, B01, 60, [0])
            values += read_sun_angles(chosen, archive.store, SEAM, 60, [0])
            found.append([*values, *arrays.values()])
        for first, second in zip(*found, strict=True):
            assert np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
        assert found[0][0].any()
        assert np.isfinite(found[0][3]).any()
        assert all(values.any() for values in found[0][-2:])
    assert cropped > 0


def get(store: ZoneStore, key: str) -> bytes | None:
    found = asyncio.run(store.get(key, default_buffer_prototype()))
    return None if found is None else found.to_bytes()
