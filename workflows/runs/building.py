"""What moments are made of: ground, time, pixels of bands, and the angles of the products that own the blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from abut.labels import CONVENTIONS, band_attributes, place
from abut.lattice import BLOCK_SIZE, RESOLUTIONS, BlockRange, Bounds
from abut.tiling import rank_key
from abut.window import MAX_BUFFER
from workflows.errors import WorkflowError
from workflows.scene import COARSEST

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from abut.lattice import Block
    from abut.layout import Band
    from abut.tiling import Tile

ANGLES: Final = ("sun_zenith", "sun_azimuth", "view_zenith", "view_azimuth")
"""Variables of the group ``geometry``."""
_NAMES: Final = {
    "sun_zenith": ("solar_zenith_angle", "Mean sun zenith angle"),
    "sun_azimuth": ("solar_azimuth_angle", "Mean sun azimuth angle"),
    "view_zenith": ("sensor_zenith_angle", "Mean viewing zenith angle of B08"),
    "view_azimuth": ("sensor_azimuth_angle", "Mean viewing azimuth angle of B08"),
}


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a moment is."""

    window: Bounds
    """The ground of its arrays."""
    core: Bounds
    """The ground that a result is wanted of."""
    tile: Tile | None = None
    """The tile that was asked for."""


@dataclass(frozen=True, slots=True)
class When:
    """Which step in time a moment is."""

    time: datetime
    """Start of the datatake, UTC."""
    datatake: str
    """Datatakes, with spaces."""
    quantification: int
    """Digital numbers per unit of reflectance."""
    offsets: Mapping[str, int]
    """Offset of each band by name."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A product as far as it matters which blocks it owns. That depends on the block alone, never on the window."""

    product: str
    """Its id."""
    tile: Tile
    """Its tile."""
    order: tuple[Any, ...]
    """Place of its strip in the overlay; the least comes first."""
    angles: tuple[float, float, float, float]
    """Mean zenith and azimuth of the sun and of the sensor, in degrees; NaN where they are not known."""
    blocks: Collection[Block]
    """Blocks in which it has data, in any band; of a product that is shown alone all blocks of its tile."""


def grounds(tile: Tile | None, core: Bounds | None, buffer: float) -> Ground:
    """Return where a moment is.

    Parameters
    ----------
    tile : Tile, optional
        The tile that was asked for.
    core : Bounds, optional
        Ground that a result is wanted of; inside of the tile. Default: all of the tile.
    buffer : float
        Metres of ground around it, rounded up to a multiple of 60.

    Raises
    ------
    WorkflowError
        If neither tile nor core is given, the core is not on the 60 m grid or not inside of the tile, or the buffer is
        negative, no number, or larger than `abut.window.MAX_BUFFER`.
    """
    if tile is None and core is None:
        raise WorkflowError("no ground is given: neither a tile nor a core")
    if not 0 <= buffer <= MAX_BUFFER:
        raise WorkflowError(f"the buffer {buffer} m is not between 0 and {MAX_BUFFER:,.0f} m")
    inner = core if core is not None else tile.footprint  # type: ignore[union-attr]  # one of both is given
    if tile is not None and not (inner.zone == tile.zone and tile.footprint.contains(inner)):
        raise WorkflowError(f"the core {inner} is not inside of {tile.id}, {tile.footprint}")
    equator = inner.zone.equator
    if any(edge % COARSEST for edge in (inner.left, inner.right, inner.bottom - equator, inner.top - equator)):
        raise WorkflowError(f"the edges of the core {inner} are not on the {COARSEST} m grid")
    metres = math.ceil(buffer / COARSEST) * COARSEST
    window = replace(
        inner,
        left=inner.left - metres,
        bottom=inner.bottom - metres,
        right=inner.right + metres,
        top=inner.top + metres,
    )
    return Ground(window, inner, tile)


def build(
    pixels: Mapping[Band, NDArray[np.uint16]],
    ground: Ground,
    when: When,
    owners: Sequence[Owner],
    provenance: Mapping[int, tuple[NDArray[np.uint8], Mapping[str, Any]]] | None = None,
) -> xr.DataTree:
    """Return a moment, see `workflows.runs.moments`.

    Parameters
    ----------
    pixels : mapping
        Digital numbers of the window by band, (y, x) at the band's pixel size.
    ground : Ground
        Where.
    when : When
        Which step in time.
    owners : sequence of Owner
        Its products.
    provenance : mapping, optional
        Which zone pixels come from, and what the values mean, by pixel size.
    """
    window, core = ground.window, ground.core
    nodes = {"/": xr.Dataset(attrs=_about(ground, when, owners))}
    for size in RESOLUTIONS:
        bands = [band for band in pixels if band.resolution == size]
        if bands:
            nodes[f"/r{size}m"] = _group(pixels, bands, window, when, (provenance or {}).get(size))
    nodes["/geometry"] = owned_angles(window, owners)
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs["core"] = _edges(core)
    return tree


def _about(ground: Ground, when: When, owners: Sequence[Owner]) -> dict[str, Any]:
    ordered = sorted(owners, key=lambda one: (one.order, one.product))
    return {
        "Conventions": CONVENTIONS,
        "title": "Sentinel-2 Level-1C, one moment",
        "zone": str(ground.window.zone),
        "window": _edges(ground.window),
        "core": _edges(ground.core),
        "datetime": when.time.astimezone(UTC).isoformat(),
        "datatake": when.datatake,
        "products": [one.product for one in ordered],
        **({"tile": ground.tile.id} if ground.tile else {}),
    }


def _edges(bounds: Bounds) -> NDArray[np.int64]:
    return np.array([bounds.left, bounds.bottom, bounds.right, bounds.top], np.int64)


def _group(
    pixels: Mapping[Band, NDArray[np.uint16]],
    bands: Sequence[Band],
    window: Bounds,
    when: When,
    provenance: tuple[NDArray[np.uint8], Mapping[str, Any]] | None,
) -> xr.Dataset:
    data: dict[str, Any] = {
        band.key: (("y", "x"), pixels[band], band_attributes(band, reflectance=False)) for band in bands
    }
    if provenance is not None:
        data["provenance"] = (("y", "x"), *provenance)
    offsets = [when.offsets.get(band.name, 0) for band in bands]
    coords = {
        **place(window, bands[0].resolution),
        "band": ("band", np.array([band.name for band in bands], np.str_)),
        "radio_add_offset": ("band", np.array(offsets, np.int32), {"long_name": "Offset to be added to DN"}),
        "quantification_value": ((), np.int32(when.quantification)),
    }
    made = xr.Dataset(data, coords)
    for variable in made.data_vars.values():
        variable.encoding["grid_mapping"] = "spatial_ref"
    return made


def owned_angles(window: Bounds, owners: Sequence[Owner]) -> xr.Dataset:
    """Return the mean angles of the product that owns each block of 9,600 m that a window touches.

    Parameters
    ----------
    window : Bounds
        The ground.
    owners : sequence of Owner
        Products that may own blocks.

    Returns
    -------
    xarray.Dataset
        `ANGLES` (y, x), float64 degrees, y from north to south; NaN where no product has data in the block.
    """
    blocks = BlockRange.around(window)
    values = np.full((len(ANGLES), *blocks.shape), np.nan)
    for block in blocks:
        found = owner_of(block, owners)
        if found is not None:
            values[:, *blocks.position(block)] = found.angles
    rows, columns = blocks.shape
    bounds = blocks.bounds
    data = {
        name: (
            ("y", "x"),
            values[number],
            {"standard_name": _NAMES[name][0], "long_name": _NAMES[name][1], "units": "degree"},
        )
        for number, name in enumerate(ANGLES)
    }
    north = bounds.top - BLOCK_SIZE * (np.arange(rows) + 0.5)
    east = bounds.left + BLOCK_SIZE * (np.arange(columns) + 0.5)
    return xr.Dataset(data, {"y": ("y", north, {"units": "m"}), "x": ("x", east, {"units": "m"})})


def owner_of(block: Block, owners: Sequence[Owner]) -> Owner | None:
    """Return the product that owns a block: of those with data in it the best-ranked tile, of its strips the first."""
    some = [one for one in owners if block in one.blocks]
    return min(some, key=lambda one: (rank_key(block, one.tile), one.order, one.product), default=None)
