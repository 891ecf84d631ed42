"""Moments from SAFE products: the slow, obvious reference for those of an archive.

Pixels are what rasterio decodes of the JP2s, offsets and mean angles what the XML says. Nothing is shared with the
code that plans, reads and merges blocks of an archive but the definition of blocks and of their rank, and how a moment
is labelled.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.asked import parse_bands
from abut.errors import MixedBaselinesError, NoDataError, ProductNotFoundError
from abut.lattice import RESOLUTIONS, BlockRange, Bounds
from abut.layout import BAND, bands_of
from abut.metadata import version
from abut.tiling import rank_key
from ingest.job import find_safes
from ingest.safe import find_granules
from workflows.errors import WorkflowError
from workflows.runs.building import Owner, When, build, grounds
from workflows.runs.jp2 import read_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from abut.lattice import Block
    from abut.layout import Band
    from abut.metadata import ProductMetadata
    from abut.tiling import Tile
    from ingest.granule import Granule

    type Strip = tuple[str, datetime]
    """Datatake without the baseline, and when sensing began."""

VIEWED: Final = "B08"
"""Band whose mean viewing angles count."""
_COARSEST_FIRST: Final = tuple(band for size in sorted(RESOLUTIONS, reverse=True) for band in bands_of(size))


@dataclass(frozen=True, slots=True)
class Delivered:
    """A product in a SAFE."""

    granule: Granule
    """Its files and metadata."""

    @property
    def metadata(self) -> ProductMetadata:
        """What its XML says."""
        return self.granule.metadata

    @property
    def id(self) -> str:
        """Id of the product."""
        return self.metadata.id

    @property
    def tile(self) -> Tile:
        """Its tile."""
        return self.metadata.tile

    @property
    def datatake(self) -> str:
        """Id of the datatake without the baseline at its end: it stays when products are made anew."""
        return re.sub(r"_N\d+\.\d+$", "", self.metadata.datatake_id)

    @property
    def strip(self) -> Strip:
        """What versions of a product have in common; products of different strips complement each other."""
        return self.datatake, self.metadata.datastrip_start

    @property
    def version(self) -> tuple[tuple[int, ...], str]:
        """Grows from version to version: baseline as numbers, then when the datastrip was made."""
        made = re.search(r"_(\d{8}T\d{6})_S\d{8}T\d{6}", self.metadata.datastrip_id)
        return version(self.metadata.processing_baseline), made[1] if made else ""

    @property
    def scaling(self) -> tuple[int, tuple[int, ...]]:
        """Quantification value, and the offset of each band."""
        return self.metadata.quantification_value, tuple(band.radio_add_offset for band in self.metadata.bands)

    @property
    def angles(self) -> tuple[float, float, float, float]:
        """Mean zenith and azimuth of the sun, and those under which B08 was seen; NaN where the XML has none."""
        seen = self.metadata.bands[BAND[VIEWED].index]
        sun = self.metadata.mean_sun_zenith, self.metadata.mean_sun_azimuth
        view = (np.nan if value is None else value for value in (seen.mean_view_zenith, seen.mean_view_azimuth))
        zenith, azimuth = view
        return (*sun, zenith, azimuth)

    def pixels(self, band: Band, ground: Bounds) -> NDArray[np.uint16]:
        """Return the digital numbers of a part of its footprint."""
        return read_part(self.granule, band, ground)

    def data_blocks(self, ground: Bounds) -> frozenset[Block]:
        """Return the blocks of some ground in which any band has a pixel; the smallest images are looked at first."""
        parts = {block: self.tile.footprint.intersection(block.bounds) for block in BlockRange.around(ground)}
        left = {block: part for block, part in parts.items() if part is not None}
        found: set[Block] = set()
        for band in _COARSEST_FIRST:
            if not left:
                break
            around = Bounds.around(left.values())
            pixels = self.pixels(band, around)
            some = {block for block, part in left.items() if pixels[around.slices(part, band.resolution)].any()}
            found |= some
            left = {block: part for block, part in left.items() if block not in some}
        return frozenset(found)


def safe_moment(
    safes: Sequence[Path | str],
    *,
    product: str | None = None,
    buffer: float = 0,
    bands: Sequence[str],
    core: Bounds | None = None,
    alone: bool | None = None,
) -> xr.DataTree:
    """Return what SAFE products hold of one moment, see `workflows.runs.moments`.

    The product's tile, and around it what the others of its datatake and zone have, pasted block by block: the
    product's own strip first, strips by the start of sensing, then by the rank of the tile for the block, then by id;
    the first DN > 0 is shown, band by band. Of each strip one version takes part: of the product's own strip its own,
    else the newest.

    Parameters
    ----------
    safes : sequence of path
        SAFE folders, zips, or folders that hold such.
    product : str, optional
        Id of the product whose tile is wanted. Default: the only one.
    buffer : float
        Metres of ground around the core, rounded up to a multiple of 60.
    bands : sequence of str
        Names of bands.
    core : Bounds, optional
        Part of the tile that a result is wanted of, on the 60 m grid. Default: all of it.
    alone : bool, optional
        Show the product alone, with all of its tile, as `workflows.runs.moments.lone_moment` does, and nothing else.
        Default: if there is no buffer.

    Returns
    -------
    xarray.DataTree
        Its attribute ``left_out`` lists SAFEs that were given in vain: the product's id, and why.

    Raises
    ------
    WorkflowError
        If there are several products and none is named, the core is not on the 60 m grid or not inside of the tile, or
        there is a buffer around a product alone.
    ProductNotFoundError
        If none of the SAFEs is the product.
    MixedBaselinesError
        If products that take part differ in offset or quantification value.
    NoDataError
        If no product has data on the ground.
    InvalidSafeError
        If a SAFE is broken.
    """
    given = _given(safes)
    own = _own(given, product)
    if alone is None:
        alone = buffer == 0
    ground = grounds(own.tile, core, buffer)
    if alone:
        if buffer:
            raise WorkflowError(f"{own.id} alone has no {buffer} m around it")
        ground = replace(ground, window=own.tile.footprint)
        blocks, left_out = {own.id: frozenset(own.tile.hull)}, list[str]()
    else:
        blocks, left_out = _taking_part(given, own, ground.window)
    shown = [one for one in given if one.id in blocks]
    _require_one_scaling(shown)
    pixels = {band: _pasted(shown, own, band, ground.window) for band in parse_bands(list(bands))}
    moment = build(pixels, ground, _when(shown[0], own), [_owner(one, own, blocks[one.id]) for one in shown])
    moment.attrs["left_out"] = left_out
    return moment


def _given(safes: Sequence[Path | str]) -> list[Delivered]:
    """Return the products of SAFEs, each once."""
    paths = [safes] if isinstance(safes, str | os.PathLike) else safes
    found = {granule.metadata.id: granule for path in find_safes(paths) for granule in find_granules(path)}
    return [Delivered(granule) for granule in found.values()]


def _own(given: Sequence[Delivered], product: str | None) -> Delivered:
    listed = ", ".join(one.id for one in given) or "none"
    if product is None:
        if len(given) != 1:
            raise WorkflowError(f"which of {len(given)} products is wanted is not said: {listed}")
        return given[0]
    name = product.removesuffix(".SAFE")
    found = [one for one in given if one.id == name]
    if not found:
        raise ProductNotFoundError(f"{name}: none of the SAFEs; they are {listed}")
    return found[0]


def _taking_part(
    given: Sequence[Delivered], own: Delivered, window: Bounds
) -> tuple[dict[str, frozenset[Block]], list[str]]:
    """Return the blocks that products have data in, by id of those that are shown; of the others why they are not."""
    blocks = BlockRange.around(window).bounds
    reasons: dict[str, str] = {}
    near: list[Delivered] = []
    for one in given:
        if one.tile.zone != own.tile.zone:
            reasons[one.id] = f"of zone {one.tile.zone}, not {own.tile.zone}"
        elif one.datatake != own.datatake:
            reasons[one.id] = f"of datatake {one.datatake}, not {own.datatake}"
        elif one.tile.hull.bounds.intersection(blocks) is None:
            reasons[one.id] = "beside the window"
        else:
            near.append(one)
    shown = {}
    for one in near:
        chosen = _version_of(one.strip, near, own)
        if one.version != chosen.version:
            reasons[one.id] = f"another version of the strip of {chosen.id}"
        elif one is not (double := _one_of_tile(one, near, own)):
            reasons[one.id] = f"another version of {double.id}"
        elif found := one.data_blocks(blocks):
            shown[one.id] = found
        else:
            reasons[one.id] = "without data in the blocks of the window"
    if not shown:
        edges = f"{window.left} {window.bottom} {window.right} {window.top} of {window.zone}"
        raise NoDataError(f"{own.id} and what was given with it have no data on {edges}")
    return shown, [f"{one.id}: {reasons[one.id]}" for one in given if one.id in reasons]


def _version_of(strip: Strip, products: Iterable[Delivered], own: Delivered) -> Delivered:
    """Return a product of the version of a strip that is shown."""
    return own if own.strip == strip else max((one for one in products if one.strip == strip), key=_newest)


def _one_of_tile(one: Delivered, products: Iterable[Delivered], own: Delivered) -> Delivered:
    """Return the product that is shown of those that were delivered twice: same strip, version and tile."""
    same = [
        other for other in products if (other.strip, other.version, other.tile) == (one.strip, one.version, one.tile)
    ]
    return own if own in same else max(same, key=lambda other: other.id)


def _newest(one: Delivered) -> tuple[tuple[tuple[int, ...], str], str]:
    return one.version, one.id


def _require_one_scaling(shown: Sequence[Delivered]) -> None:
    first = shown[0]
    for one in shown[1:]:
        if one.scaling != first.scaling:
            raise MixedBaselinesError(
                f"{first.id} and {one.id} of datatake {one.datatake} differ in offset or quantification value: they "
                "can't be one step in time"
            )


def _order(one: Delivered, own: Delivered) -> tuple[bool, datetime]:
    """Place of a product's strip in the overlay."""
    return one.strip != own.strip, one.metadata.datastrip_start


def _owner(one: Delivered, own: Delivered, blocks: frozenset[Block]) -> Owner:
    return Owner(one.id, one.tile, _order(one, own), one.angles, blocks)


def _when(one: Delivered, own: Delivered) -> When:
    metadata = one.metadata
    offsets = {band.band.name: band.radio_add_offset for band in metadata.bands}
    return When(own.metadata.datatake_start, own.datatake, metadata.quantification_value, offsets)


def _pasted(shown: Sequence[Delivered], own: Delivered, band: Band, window: Bounds) -> NDArray[np.uint16]:
    """Return a band of a window: block by block, one product after the other where there is nothing yet."""
    size = band.resolution
    whole: NDArray[np.uint16] = np.zeros(window.shape(size), np.uint16)
    decoded = {one.id: _decoded(one, band, window) for one in shown}
    for block in BlockRange.around(window):
        touching = [one for one in shown if one.tile.footprint.intersection(block.bounds) is not None]
        for one in sorted(touching, key=lambda one: (_order(one, own), rank_key(block, one.tile), one.id)):
            ground, pixels = decoded[one.id]
            part = None if ground is None else block.bounds.intersection(ground)
            if ground is None or part is None:
                continue
            here, new = whole[window.slices(part, size)], pixels[ground.slices(part, size)]
            empty = here == 0
            here[empty] = new[empty]
    return whole


def _decoded(one: Delivered, band: Band, window: Bounds) -> tuple[Bounds | None, NDArray[np.uint16]]:
    """Return the ground that a product's tile has of a window, and its pixels."""
    ground = one.tile.footprint.intersection(window)
    return ground, np.zeros((0, 0), np.uint16) if ground is None else one.pixels(band, ground)
