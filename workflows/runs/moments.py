"""Moments: digital numbers of one step in time over a rectangle of one zone; what workflows and users' functions get.

A moment is an `xarray.DataTree`:

* attributes of the root: ``zone`` (EPSG code), ``window`` and ``core`` (left, bottom, right, top in metres of the
  zone's coordinate system; the core is what a result is wanted of), ``datetime`` (start of the datatake), ``datatake``,
  ``products`` (in the order of the overlay, then those of other zones), ``tile`` if one was asked for;
* groups ``r10m``, ``r20m``, ``r60m``, as far as there are bands: ``b02`` ... (y, x), uint16 DN, 0 is nodata, with the
  coordinates x, y (pixel centres), ``spatial_ref``, ``band``, ``radio_add_offset`` (band), ``quantification_value``;
  and ``provenance`` if other zones were asked for and take part;
* group ``geometry``: mean angles of sun and of sensor (band B08), in degrees, of each block of 9,600 m that the window
  touches, (y, x) by block centres, from the product that *owns* the block: of the moment's products that have data in
  it (in any band) the one whose tile ranks first (`abut.tiling.rank_key`), of several strips of it the first in the
  overlay. NaN where none has.

Made of an archive here, and of SAFE products by `workflows.runs.safes`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from abut.asked import parse_bands
from abut.cube import Wish, make_cube
from abut.holdings import in_threads
from abut.lattice import BlockRange
from abut.layout import BAND, GEOMETRY
from abut.legacy import plan as legacy_plan
from abut.legacy import read_band
from abut.masks import read_mean_angles
from abut.newcomers import read_item
from abut.request import Request, of_datatake
from abut.strips import layer_of, sensed
from abut.tiling import tile as named_tile
from abut.timeline import Aligned
from workflows.runs.building import Ground, Owner, When, build, grounds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import xarray as xr
    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.asked import Options
    from abut.blocks import Slot
    from abut.connection import Connection
    from abut.lattice import Bounds
    from abut.product import Product
    from abut.request import Plan

    type Angles = tuple[float, float, float, float]
    """Zenith and azimuth of the sun and of the sensor, in degrees."""

VIEWED: Final = BAND["B08"]
"""Band whose mean viewing angles count: the one in which shadows are looked for."""
_KNOWN: dict[tuple[str, str], Angles] = {}
"""Mean angles of products by archive and store folder, which never change; some hundred bytes each."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A moment that can be read."""

    time: datetime
    """Start of the datatake, UTC."""
    datatake: str
    """Datatakes, without the baseline at the end of their ids, with spaces."""
    products: tuple[str, ...]
    """Products with data in blocks that the window touches, sorted."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of some ground and period, planned once; iterate over what is known of them before they are read."""

    plan: Plan
    """Who holds which block of each."""
    request: Request
    """What was asked for."""
    ground: Ground
    """The ground."""

    def __len__(self) -> int:
        return len(self.plan.source.slots)

    def __iter__(self) -> Iterator[Planned]:
        return (Planned(slot.time, " ".join(slot.datatakes), slot.products) for slot in self.plan.source.slots)

    def read(self) -> Iterator[xr.DataTree]:
        """Yield the moments; one is in memory at a time."""
        for number in range(len(self)):
            yield _viewed(self.request, self.plan, number, self.ground)


def view_moments(connection: Connection, **asked: Any) -> Iterator[xr.DataTree]:
    """Yield the moments of some ground and period; parameters and errors as `plan_moments`."""
    yield from plan_moments(connection, **asked).read()


def plan_moments(
    connection: Connection,
    *,
    bands: Sequence[str],
    tile: str | None = None,
    core: Bounds | None = None,
    buffer: float = 0,
    datetime: Any = None,
    across: bool = False,
    **options: Any,
) -> Moments:
    """Return the moments of some ground and period, before any pixel is read.

    Parameters
    ----------
    connection : Connection
        The archive.
    tile : str, optional
        A tile, such as ``32TNM``.
    core : Bounds, optional
        Ground that a result is wanted of, on the 60 m grid. Default: the tile's legacy footprint.
    buffer : float
        Metres of ground around the core, rounded up to a multiple of 60. Default: 0.
    bands : sequence of str
        Names of bands.
    datetime : see `abut.period.parse_period`
        Period. Default: all time.
    across : bool
        Fill what the zone lacks from other zones, resampled. Default: no.
    **options
        Further ones of `abut.asked.Options` that choose products or say how other zones are resampled.

    Raises
    ------
    WorkflowError
        If neither tile nor core is given, or the core is not on the 60 m grid or not inside of the tile.
    AbutError
        As `abut.connection.Connection.tile`.
    """
    asked = cast("Options", {"bands": list(bands), "datetime": datetime, "across": across, **options})
    ground = grounds(named_tile(tile) if tile is not None else None, core, buffer)
    request = Request(connection.archive, connection.finder, asked)
    return Moments(request.plan(ground.window), request, ground)


def product_moment(
    connection: Connection,
    product_id: str,
    *,
    buffer: float,
    bands: Sequence[str],
    core: Bounds | None = None,
    across: bool = False,
) -> xr.DataTree:
    """Return what the datatake of a product saw of its tile and around it; the product's own strip goes first.

    Parameters
    ----------
    connection : Connection
        The archive.
    product_id : str
        The product.
    buffer : float
        Metres of ground around the core, rounded up to a multiple of 60.
    bands : sequence of str
        Names of bands.
    core : Bounds, optional
        Part of the tile that a result is wanted of, on the 60 m grid. Default: all of it.
    across : bool
        Fill what the zone lacks from other zones, resampled.

    Raises
    ------
    WorkflowError
        If the core is not on the 60 m grid, or not inside of the tile.
    AbutError
        As `abut.connection.Connection.neighbourhood`: there is no such product, or its neighbours were processed with
        other offsets.
    """
    own = product_id.removesuffix(".SAFE")
    options = of_datatake(connection.archive, own, {"bands": list(bands), "across": across})
    ground = grounds(connection.archive.product(own).tile, core, buffer)
    request = Request(connection.archive, connection.finder, options, own)
    return _viewed(request, request.plan(ground.window), 0, ground)


def lone_moment(
    connection: Connection, product_id: str, *, bands: Sequence[str], core: Bounds | None = None
) -> xr.DataTree:
    """Return a product's legacy tile alone, every digest checked; its own angles everywhere.

    Parameters
    ----------
    connection : Connection
        The archive.
    product_id : str
        The product.
    bands : sequence of str
        Names of bands.
    core : Bounds, optional
        Part of the tile that a result is wanted of; all of the tile is there. Default: all of it.

    Raises
    ------
    WorkflowError
        As `product_moment`.
    ProductNotFoundError, MissingObjectError, DigestMismatchError
        As `abut.connection.Connection.legacy_tile`.
    """
    archive = connection.archive
    product = archive.product(product_id.removesuffix(".SAFE"))
    ground = replace(grounds(product.tile, core, 0), window=product.tile.footprint)
    chosen, sources = parse_bands(list(bands)), legacy_plan(archive, product)
    item = read_item(archive.store, product.id)
    assert item is not None  # noqa: S101 - it was just there
    layer = layer_of(item, product.layer, f"{archive.store.url}/products/{product.id}.json")
    when = When(layer.time, layer.strip.datatake, layer.quantification_value, dict(layer.radio_add_offset))
    pixels = {band: read_band(archive, product, band, sources=sources) for band in chosen}
    return build(pixels, ground, when, [_owner(archive, product, None, alone=True)])


def _viewed(request: Request, plan: Plan, number: int, ground: Ground) -> xr.DataTree:
    """Return a step of a plan as a moment."""
    slot = plan.source.slots[number]
    bands = parse_bands(request.options.get("bands"))
    cube = cast("xr.DataTree", _step(request, plan, ground, number))
    pixels: dict[Any, NDArray[np.uint16]] = {}
    provenance = {}
    for band in bands:
        group = cube[f"r{band.resolution}m"].to_dataset()
        pixels[band] = group[band.key].to_numpy()[0]
        if "provenance" in group:
            marked = group["provenance"]
            provenance[band.resolution] = (marked.to_numpy()[0], dict(marked.attrs))
    when = When(slot.time, " ".join(slot.datatakes), slot.quantification_value, slot.radio_add_offset)
    moment = build(pixels, ground, when, _owners(request, slot, ground), provenance)
    moment.attrs["products"] += [name for name in slot.products if name not in moment.attrs["products"]]
    return moment


def _step(request: Request, plan: Plan, ground: Ground, number: int) -> xr.Dataset | xr.DataTree:
    """Read one step of a plan, and nothing of the others."""
    slots = (plan.source.slots[number],)
    others = [(one, one.source) for one in plan.neighbours]
    return make_cube(
        Aligned(plan.source, slots, (number,)),
        ground.window,
        Wish(bands=parse_bands(request.options.get("bands"))),
        neighbours=[
            replace(one, source=replace(source, slots=slots, index=source.index[number : number + 1]))
            for one, source in others
        ],
        resampling=request.options.get("resampling", "nearest"),
        store=request.archive.store,
        threads=request.options.get("threads"),
        limit=None,
    )


def _owners(request: Request, slot: Slot, ground: Ground) -> list[Owner]:
    """Return the products of a step that have data in blocks of the zone that the window touches."""
    archive = request.archive
    first = archive.product(request.product).layer if request.product else None
    blocks = frozenset(BlockRange.around(ground.window))

    def owner(name: str) -> Owner | None:
        product = archive.product(name)
        beside = product.tile.zone != ground.window.zone or blocks.isdisjoint(product.record.valid)
        return None if beside else _owner(archive, product, first)

    return [one for one in in_threads(archive.store, owner, slot.products) if one is not None]


def _owner(archive: Archive, product: Product, first: str | None, *, alone: bool = False) -> Owner:
    """Return a product as an owner; strips are in the order of their start, but that of a layer that goes first."""
    start = sensed(product.layer)
    goes_first = first is not None and sensed(first) == start
    order = (not goes_first, start.isoformat() if start else "")
    blocks = frozenset(product.tile.hull) if alone else product.record.valid
    return Owner(product.id, product.tile, order, _angles(archive, product), blocks)


def _angles(archive: Archive, product: Product) -> Angles:
    """Return the mean angles of sun and sensor; NaN of a product whose metadata has none. They never change."""
    key = archive.store.url, product.folder
    known = _KNOWN.get(key)
    if known is None:
        known = _KNOWN[key] = _read_angles(archive, product)
    return known


def _read_angles(archive: Archive, product: Product) -> Angles:
    if f"{GEOMETRY}/mean_sun_angles/zarr.json" not in product.record.objects:
        return np.nan, np.nan, np.nan, np.nan
    sun, views = read_mean_angles(archive, product)
    view = views[VIEWED.index]
    return float(sun[0]), float(sun[1]), float(view[0]), float(view[1])
