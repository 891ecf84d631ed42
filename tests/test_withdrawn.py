"""Products that are withdrawn while a cube of them is read: an error that names them, never a hole."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from zarr.core.buffer import default_buffer_prototype

import abut
from abut.archive import Archive, create_archive, open_archive
from abut.errors import MissingObjectError, ProductNotFoundError
from abut.finding import ArchiveFinder, Filter
from abut.layout import BAND
from abut.pixels import block_pixels, read_bands
from abut.timeline import align
from abut.view import View, select
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from tests.shots import Shot
from tests.toy import CORNER, TILES, ground

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = timedelta(0)
B01 = BAND["B01"]
SHOTS = tuple(Shot(name) for name in TILES)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four tiles, not settled; not to be changed."""
    archive = create_archive(tmp_path_factory.mktemp("withdrawn") / "archive")
    for shot in SHOTS:
        ingest(archive, shot, threads=1)
    return Path(archive.store.url)


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Archive:
    return open_archive(shutil.copytree(made, tmp_path / "archive"))


def view(archive: Archive, wanted: Filter | None = None) -> View:
    return select(archive, ArchiveFinder(), CORNER, wanted=wanted or Filter())


def lose(archive: Archive, shots: Iterable[Shot]) -> None:
    """Withdraw products and delete their objects."""
    for shot in shots:
        withdraw(archive, shot.id)
    assert sum(one.objects for one in purge(archive, grace=NOW)) > 0


def test_a_lazy_cube_of_products_that_were_purged_is_an_error(archive: Archive) -> None:
    cube = abut.connect(archive.store.url).cube(window=CORNER, bands="B01", resolution=60, chunks={})
    lose(archive, SHOTS)
    with pytest.raises(MissingObjectError, match=r"S2B_MSIL1C_\w+, of which block 32632/\d+/\d+ was to be read, was w"):
        cube.compute()


def test_a_zone_store_of_products_that_were_purged_is_an_error(archive: Archive) -> None:
    store = abut.zone_store(archive.store.url, 32632, "2023-08", bands=["B01"], masks=False)
    block = next(block for block in view(archive).blocks if view(archive).parts(0, block))
    key = store.chunks.layout.key("r60m/b01", 0, block)
    lose(archive, SHOTS)
    for _ in range(2):
        with pytest.raises(MissingObjectError, match="was withdrawn since"):
            asyncio.run(store.get(key, default_buffer_prototype()))


def test_blocks_of_a_product_that_is_gone_are_an_error_and_those_of_others_are_read(archive: Archive) -> None:
    first, lost = view(archive), SHOTS[3].id
    (aligned,) = align([first])
    mine = [block for block in first.blocks if [part.product for part in first.parts(0, block)] == [lost]]
    others = [block for block in first.blocks if lost not in {part.product for part in first.parts(0, block)}]
    assert mine
    assert others
    lose(archive, [SHOTS[3]])
    assert first.gone() == (lost,)
    for source in (first, aligned, first.renewed().renewed()):
        with pytest.raises(MissingObjectError, match=lost):
            read_bands(source, CORNER, [B01])
        with pytest.raises(MissingObjectError, match=lost):
            block_pixels(source, 0, B01, mine[0])
        for block in others:
            found = block_pixels(source, 0, B01, block)
            assert found is not None
            assert np.array_equal(found, ground("B01", CORNER)[CORNER.slices(block.bounds, 60)])


def test_what_others_lent_to_a_product_that_is_gone_is_an_error_too(archive: Archive) -> None:
    settle(archive)
    released = SHOTS[0]
    first = view(archive, Filter(ids=frozenset([released.id])))
    lent = [block for block in first.blocks if {part.product for part in first.parts(0, block)} - {released.id}]
    lent = [block for block in lent if released.id not in {part.product for part in first.parts(0, block)}]
    assert lent
    withdraw(archive, released.id)
    renewed = first.renewed()
    for block in lent:
        with pytest.raises(MissingObjectError, match=released.id):
            renewed.parts(0, block)


def test_a_product_that_came_back_is_read_again(archive: Archive) -> None:
    first = view(archive)
    lose(archive, [SHOTS[3]])
    torn = first.renewed()
    with pytest.raises(MissingObjectError):
        read_bands(torn, CORNER, [B01])
    ingest(archive, SHOTS[3], threads=1)
    for source in (first, torn):
        assert np.array_equal(read_bands(source, CORNER, [B01])[B01][0], ground("B01", CORNER))


def test_a_product_that_was_withdrawn_has_no_neighbourhood(archive: Archive) -> None:
    connection, lost = abut.connect(archive.store.url), SHOTS[0].id
    options: Any = {"bands": "B01", "resolution": 60, "across": False}
    assert lost in connection.neighbourhood(lost, 600, **options)["product"]
    withdraw(archive, lost)
    with pytest.raises(ProductNotFoundError, match=f"product '{lost}' was withdrawn"):
        connection.neighbourhood(lost, 600, **options)
    purge(archive, grace=NOW)
    with pytest.raises(ProductNotFoundError, match=f"no product '{lost}'"):
        connection.neighbourhood(lost, 600, **options)
    ingest(archive, SHOTS[0], threads=1)
    assert lost in connection.neighbourhood(lost, 600, **options)["product"]
