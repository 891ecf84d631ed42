"""Pixels of windows, from blocks that several products may hold."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import obstore
import pytest
from obstore.exceptions import GenericError

from abut.errors import DigestMismatchError, MissingObjectError, UnsupportedStoreError
from abut.lattice import Block, BlockRange, Bounds, Zone
from abut.layout import BAND
from abut.pixels import block_pixels, read_bands, suppliers
from abut.store import Store
from tests.memory_blocks import ZONE, MemoryBlocks, empty, noise, overlaid

if TYPE_CHECKING:
    from numpy.typing import NDArray

B01, B10, B05 = BAND["B01"], BAND["B10"], BAND["B05"]
WEST, EAST, SOUTH = Block(ZONE, 50, 500), Block(ZONE, 51, 500), Block(ZONE, 50, 499)
WINDOW = Bounds(
    ZONE, WEST.bounds.left + 4_800, SOUTH.bounds.bottom + 7_200, EAST.bounds.left + 3_000, WEST.bounds.top - 6_000
)
"""Parts of four blocks, of which one has no holder."""


@pytest.fixture(name="held", scope="module")
def _held() -> dict[Block, list[NDArray[np.uint16]]]:
    return {WEST: [noise(B01, 1), noise(B01, 2), noise(B01, 3)], EAST: [noise(B01, 4)], SOUTH: [noise(B01, 5)]}


@pytest.fixture(name="source", scope="module")
def _source(held: dict[Block, list[NDArray[np.uint16]]]) -> MemoryBlocks:
    source = empty(slots=2)
    for block, layers in held.items():
        for number, pixels in enumerate(layers):
            source = source.put(0, f"product {number}", block, {B01: pixels, B10: pixels[::-1]})
    return source.put(1, "later", EAST, {B01: noise(B01, 9), B10: noise(B10, 10)})


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_a_window_is_pasted_pixel_by_pixel_first_data_first(
    source: MemoryBlocks, held: dict[Block, list[NDArray[np.uint16]]], threads: int | None
) -> None:
    found = read_bands(source, WINDOW, [B01], threads=threads)[B01]
    truth = overlaid(held, WINDOW, 60)
    assert found.shape == (2, *WINDOW.shape(60))
    assert (truth == 0).any()
    assert np.array_equal(found[0], truth)
    assert np.array_equal(found[1], overlaid({EAST: [noise(B01, 9)]}, WINDOW, 60))
    truth[20, 30] += 1
    assert not np.array_equal(found[0], truth)


def test_steps_and_bands_come_as_asked_for(source: MemoryBlocks) -> None:
    whole = read_bands(source, WINDOW, [B01, B10])
    part = read_bands(source, WINDOW, [B10, B10], slots=[1, 0, 1])
    assert list(whole) == [B01, B10]
    assert list(part) == [B10]
    assert np.array_equal(part[B10], whole[B10][[1, 0, 1]])
    assert not np.array_equal(part[B10][0], part[B10][1])


def test_ground_without_holders_is_nodata(source: MemoryBlocks) -> None:
    far = WINDOW.buffered(-2_400)
    far = replace(far, left=far.left + 960_000, right=far.right + 960_000)
    assert not read_bands(source, far, [B01])[B01].any()


class Counting:
    """Counts the objects that a store is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[str] = []
        plain = Store.get

        def get(store: Store, key: str) -> bytes:
            self.keys.append(key)
            return plain(store, key)

        monkeypatch.setattr(Store, "get", get)


def test_further_holders_are_read_only_while_zeros_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    full = noise(B01, 1, share=1)
    hole = full.copy()
    hole[100, 100] = 0
    source = empty().put(0, "a", WEST, {B01: hole}).put(0, "b", WEST, {B01: full}).put(0, "c", WEST, {B01: full})
    counting, sizes = Counting(monkeypatch), list[int]()
    with_hole = read_bands(source, WEST.bounds, [B01], on_block=sizes.append)[B01][0]
    assert np.array_equal(with_hole, full)
    assert [key.split("/")[1] for key in counting.keys] == ["a", "b"]
    assert len(sizes) == 1
    assert sizes[0] == sum(len(source.store.get(key)) for key in counting.keys[:2])
    counting.keys.clear()
    corner = replace(WEST.bounds, right=WEST.bounds.left + 60 * 90)
    assert np.array_equal(read_bands(source, corner, [B01])[B01][0], full[:, :90])
    assert [key.split("/")[1] for key in counting.keys] == ["a"]


def test_objects_of_ground_that_was_not_asked_for_are_not_read(
    source: MemoryBlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch)
    read_bands(source, EAST.bounds, [B10], slots=[0])
    assert counting.keys == [f"0/product 0/{EAST.p}/{EAST.q}/b10"]


def test_blocks_come_merged(source: MemoryBlocks, held: dict[Block, list[NDArray[np.uint16]]]) -> None:
    for block in (WEST, EAST, SOUTH):
        merged = block_pixels(source, 0, B01, block)
        assert merged is not None
        assert np.array_equal(merged, overlaid(held, block.bounds, 60))
    assert block_pixels(source, 1, B01, WEST) is None


def test_each_pixel_has_a_supplier(source: MemoryBlocks, held: dict[Block, list[NDArray[np.uint16]]]) -> None:
    part = WEST.bounds.intersection(WINDOW)
    assert part is not None
    names, index = suppliers(source, 0, B01, WEST, part)
    assert names == ("product 0", "product 1", "product 2")
    assert index is not None
    window = WEST.bounds.slices(part, 60)
    stack = np.stack([pixels[window] for pixels in held[WEST]])
    assert np.array_equal(index, np.argmax(stack > 0, axis=0))
    assert set(np.unique(index)) == {0, 1, 2}
    assert suppliers(source, 0, B01, EAST, EAST.bounds) == (("product 0",), None)
    assert suppliers(source, 1, B01, WEST, WEST.bounds) == ((), None)


def test_lost_objects_are_read_where_a_newer_plan_says(source: MemoryBlocks) -> None:
    lost = replace(source, store=Store("memory://old", empty().store.backend, None))
    old = replace(lost, later=(replace(lost, profile="dense"), source))
    assert np.array_equal(read_bands(old, WINDOW, [B01])[B01], read_bands(source, WINDOW, [B01])[B01])
    with pytest.raises(MissingObjectError, match="memory://old"):
        read_bands(replace(old, later=()), WINDOW, [B01])
    with pytest.raises(MissingObjectError):
        block_pixels(replace(old, later=()), 0, B01, EAST)
    assert block_pixels(old, 0, B01, EAST) is not None


def test_a_block_that_a_newer_plan_has_no_more_is_an_error_not_nodata() -> None:
    """Of two holders one was pasted when the other was found to be gone; then both were withdrawn."""
    sparse = noise(B01, 1, share=0.5)
    both = empty().put(0, "a", WEST, {B01: sparse}).put(0, "b", WEST, {B01: sparse}).put(0, "a", EAST, {B01: sparse})
    obstore.delete(both.store.backend, both.parts(0, WEST)[1].key(B01))
    newer = replace(both, held={key: parts for key, parts in both.held.items() if key[1] == EAST})
    old = replace(both, later=(newer,))
    hole = f"block 32632/{WEST.p}/{WEST.q} of a, b is held by nobody any more"
    with pytest.raises(MissingObjectError, match=hole):
        read_bands(old, WINDOW, [B01])
    with pytest.raises(MissingObjectError, match=hole):
        block_pixels(old, 0, B01, WEST)
    with pytest.raises(MissingObjectError, match=hole):
        suppliers(old, 0, B01, WEST, WEST.bounds)
    assert np.array_equal(read_bands(old, EAST.bounds, [B01])[B01][0], sparse)


def test_memory_is_the_result_and_a_block_for_each_thread() -> None:
    source, ground = empty(), Bounds(ZONE, 480_000, 4_800_000, 480_000 + 6 * 9_600, 4_800_000 + 4 * 9_600)
    band = BAND["B02"]
    for number, block in enumerate(BlockRange.around(ground)):
        for product in ("a", "b"):
            source = source.put(0, product, block, {band: noise(band, number)})
    tracemalloc.start()
    found = read_bands(source, ground, [band], threads=2)[band]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = 960 * 960 * 2
    assert found.nbytes == 24 * size
    # For each thread the bytes as fetched, decoded, and which pixels were empty; and a little that is no pixel.
    assert peak < found.nbytes + 2 * 3.5 * size + 500_000


def test_errors_name_store_and_key(source: MemoryBlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_store: Store, _key: str) -> bytes:
        raise GenericError("Generic S3 error: connection reset by peer")

    broken = empty().put(0, "a", WEST, {B01: noise(B01, 1)})
    key = broken.parts(0, WEST)[0].key(B01)
    obstore.put(broken.store.backend, key, b"no block")
    with pytest.raises(DigestMismatchError, match=f"memory:///{key}: not a block of 160 x 160"):
        read_bands(broken, WEST.bounds, [B01])
    obstore.delete(broken.store.backend, key)
    with pytest.raises(MissingObjectError, match=f"memory:///{key}"):
        read_bands(broken, WEST.bounds, [B01])
    with monkeypatch.context() as patch:
        patch.setattr(Store, "get", lost)
        with pytest.raises(UnsupportedStoreError, match=f"memory:///{key}: .*reset by peer"):
            read_bands(broken, WEST.bounds, [B01])
    with pytest.raises(ValueError, match="EPSG:32633 can't be read from blocks of EPSG:32632"):
        read_bands(source, replace(WINDOW, zone=Zone(32633)), [B01])
    with pytest.raises(ValueError, match="not on the 20 m grid"):
        read_bands(source, replace(WINDOW, left=WINDOW.left + 10, right=WINDOW.right + 10), [B05])
