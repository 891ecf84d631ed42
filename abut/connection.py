"""The way in for users: connect to an archive, ask for ground and time, get arrays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from pyproj import CRS

from abut.asked import Options, filter_of, limit_of, wish_of
from abut.cube import make_cube
from abut.errors import BadRequestError, NoDataError, ProductNotFoundError
from abut.finding import locate, read_item
from abut.ground import ground_in, neighbour_zones, project
from abut.lattice import Bounds
from abut.period import Period, parse_period
from abut.reading import snapped_out
from abut.view import select
from abut.window import bbox_window, geobox_of, geobox_window, geometry_window, tile_window

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    import xarray as xr
    from odc.geo.geobox import GeoBox

    from abut.across import Neighbour
    from abut.archive import Archive
    from abut.blocks import BlockSource
    from abut.explain import Explanation
    from abut.finding import Filter, Finder
    from abut.lattice import Zone
    from abut.layout import Band
    from abut.tiling import Tile
    from abut.view import View


def connect(url: str | os.PathLike[str]) -> Connection:
    """Connect to an archive.

    Parameters
    ----------
    url : str or path
        A folder, ``s3://bucket/prefix``, or the URL of a service or its STAC API, see `abut.finding.locate`.

    Raises
    ------
    InvalidArchiveError
        If there is none.
    UnsupportedStoreError, CatalogueError
        If it can't be reached.
    """
    return Connection(*locate(url))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request is read from; nothing but ledgers and items was read for it."""

    window: Bounds
    """The ground."""
    source: BlockSource
    """Blocks of the zone."""
    neighbours: tuple[Neighbour, ...]
    """Other zones that take part."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An archive and what finds products in it; get one with `connect`."""

    archive: Archive
    """The archive."""
    finder: Finder
    """What finds products."""

    def tile(self, tile: Tile | str, buffer: float = 0, **options: Unpack[Options]) -> xr.Dataset | xr.DataTree:
        """Return a tile and what lies around it.

        Parameters
        ----------
        tile : Tile or str
            The tile, such as ``32TNM``; its zone is that of the result.
        buffer : float
            Metres around the legacy footprint, rounded up to a multiple of 60.
        **options
            See `abut.asked.Options`.

        Returns
        -------
        xarray.DataTree or xarray.Dataset
            See `abut.cube.make_cube`.

        Raises
        ------
        InvalidTileError, InvalidWindowError, InvalidPeriodError, BadRequestError
            If what is asked for has no meaning.
        NoDataError
            If no product is found.
        TooLargeError
            If the result is larger than the limit; ask lazily, ``chunks={}``.
        MixedBaselinesError
            If products of a step differ in offset or quantification value.
        MissingObjectError, DigestMismatchError, UnsupportedStoreError, CatalogueError
            If something is gone, damaged, or can't be reached.
        """
        window = tile_window(tile, buffer)
        about = {"tile": str(tile), "buffer": (window.width - tile_window(tile).width) // 2}
        if buffer == 0 and options.get("across") is None:
            options["across"] = False  # the tile's own zone has all of it
        return self._cube(window, options, about)

    def cube(
        self,
        bbox: Sequence[float] | None = None,
        *,
        geometry: Mapping[str, Any] | None = None,
        geobox: Any = None,
        window: Bounds | None = None,
        crs: Any = "EPSG:4326",
        zone: Zone | None = None,
        **options: Unpack[Options],
    ) -> xr.Dataset | xr.DataTree:
        """Return any ground; one of bbox, geometry, geobox and window says which.

        Parameters
        ----------
        bbox : sequence of four floats, optional
            West, south, east, north, see `abut.window.bbox_window`.
        geometry : mapping, optional
            GeoJSON geometry; all of its bounding box in the zone is returned.
        geobox : odc.geo.geobox.GeoBox, optional
            Exactly these pixels: those of a zone, or any others, to which all is then resampled.
        window : Bounds, optional
            Ground of a zone.
        crs : str, int or pyproj.CRS
            Coordinate system of bbox or geometry.
        zone : Zone, optional
            Zone of the result. Default: see `abut.window`.
        **options
            See `abut.asked.Options`.

        Returns
        -------
        xarray.DataTree or xarray.Dataset
            See `abut.cube.make_cube`.

        Raises
        ------
        AbutError
            As `tile`.
        """
        given = [value for value in (bbox, geometry, geobox, window) if value is not None]
        if len(given) != 1:
            raise BadRequestError(f"one of bbox, geometry, geobox and window has to be given, not {len(given)}")
        if geobox is not None:
            return self._geobox(geobox, options)
        if bbox is not None:
            window = bbox_window(bbox, crs, zone)
        elif geometry is not None:
            window = geometry_window(geometry, crs, zone)
        assert window is not None  # noqa: S101 - one of all was given
        return self._cube(window, options, {})

    def neighbourhood(
        self, product_id: str, buffer: float = 10_000, **options: Unpack[Options]
    ) -> xr.Dataset | xr.DataTree:
        """Return a product's tile and what the same datatake saw around it.

        The product's own strip is overlaid first, in the version of the product.

        Parameters
        ----------
        product_id : str
            The product.
        buffer : float
            Metres around its legacy footprint, rounded up to a multiple of 60.
        **options
            See `abut.asked.Options`; not ``datetime`` and ``datatake``, which are the product's.

        Returns
        -------
        xarray.DataTree or xarray.Dataset
            See `abut.cube.make_cube`; one step in time.

        Raises
        ------
        ProductNotFoundError
            If there is no such product.
        AbutError
            As `tile`.
        """
        options = self._of_datatake(product_id, options)
        own = product_id.removesuffix(".SAFE")
        tile = self.archive.product(own).tile
        window = tile_window(tile, buffer)
        about = {"tile": tile.id, "product": own, "buffer": (window.width - tile.footprint.width) // 2}
        return self._cube(window, options, about, product=own)

    def legacy_tile(
        self,
        product_id: str,
        bands: Iterable[str | Band] | str | None = None,
        *,
        masks: bool = True,
        angles: bool = False,
        angle_resolution: int = 60,
    ) -> xr.DataTree:
        """Return the legacy tile of a product as its SAFE has it; every digest is checked.

        Parameters
        ----------
        product_id : str
            The product.
        bands : iterable of str or Band, or str, optional
            Which bands. Default: all thirteen, which take 1.3 GB.
        masks : bool
            Masks of these bands, and the angles at their nodes.
        angles : bool
            Angles pixel by pixel too, from the product's own masks and grids alone, as group ``angles``.
        angle_resolution : int
            Pixel size of these.

        Returns
        -------
        xarray.DataTree
            See `abut.arrays.legacy_tile`.

        Raises
        ------
        ProductNotFoundError
            If there is no such product.
        MissingObjectError, DigestMismatchError
            If something is gone or damaged.
        """
        from abut.arrays import legacy_tile  # noqa: PLC0415 - zarr is slow to import
        from abut.own import own_angles  # noqa: PLC0415 - as above

        wish = wish_of({"bands": bands, "angles": angles, "angle_resolution": angle_resolution})
        product = self.archive.product(product_id)
        tree = legacy_tile(self.archive, product, bands=wish.bands, masks=masks)
        if angles:
            tree["angles"] = own_angles(self.archive, product, wish.bands, angle_resolution)
        return tree

    def explain(self, window: Bounds, product: str | None = None, **options: Unpack[Options]) -> Explanation:
        """Say what reading the bands of a window will cost, before any pixel is read.

        Parameters
        ----------
        window : Bounds
            The ground: `abut.window.tile_window`, `bbox_window` or `geometry_window` make it.
        product : str, optional
            Product whose strip goes first, as of `neighbourhood`.
        **options
            As of `tile`. Masks, angles and weather fields are not counted.

        Returns
        -------
        Explanation
            Products, blocks, bytes, requests, zones, and the cost of the same from SAFE.

        Raises
        ------
        AbutError
            As `tile`.
        """
        from abut.reads import explain_request  # noqa: PLC0415 - which needs this module

        return explain_request(self, window, product, options)

    def plan(self, window: Bounds, product: str | None = None, **options: Unpack[Options]) -> Plan:
        """Find out what a window is read from, without reading it; errors as `tile`."""
        period, wanted = parse_period(options.get("datetime")), filter_of(options)
        outer = snapped_out(window)
        own = self._select(outer, period, wanted, options, product)
        across = options.get("across")
        others = self._others(outer, period, wanted, options) if across is None or across else []
        source, neighbours = _joined(own, others, options)
        if not source.slots and not options.get("empty", False):
            raise NoDataError(_nothing(self.archive, _place(outer), options))
        return Plan(window, source, neighbours)

    def _cube(
        self, window: Bounds, options: Options, about: Mapping[str, Any], product: str | None = None
    ) -> xr.Dataset | xr.DataTree:
        wish = wish_of(options)
        plan = self.plan(window, product, **options)
        return make_cube(
            plan.source,
            window,
            wish,
            chunks=options.get("chunks"),
            neighbours=plan.neighbours,
            resampling=options.get("resampling", "nearest"),
            store=self.archive.store,
            threads=options.get("threads"),
            on_block=options.get("on_block"),
            limit=limit_of(options),
            attributes={"archive": self.archive.store.url, **about},
        )

    def _geobox(self, geobox: Any, options: Options) -> xr.Dataset | xr.DataTree:
        window = geobox_window(geobox)
        if window is None:
            return self._projected(geobox, options)
        size = int(geobox.affine.a)
        if options.get("resolution") not in (None, size):
            raise BadRequestError(f"resolution {options.get('resolution')} is not the GeoBox's, which is {size}")
        return self._cube(window, {**options, "resolution": size}, {})

    def _projected(self, geobox: GeoBox, options: Options) -> xr.Dataset:
        """Return the pixels of a GeoBox that is not on the grid of a zone."""
        from abut.across import join  # noqa: PLC0415 - needs odc-geo and rasterio, which are extras
        from abut.projected import make_projected_cube  # noqa: PLC0415 - as above

        if options.get("resolution") is not None or options.get("across") is False:
            raise BadRequestError(
                "a GeoBox that is not on the grid of a zone takes neither resolution nor across=False"
            )
        wish, resampling = wish_of(options), options.get("resampling", "nearest")
        period, wanted = parse_period(options.get("datetime")), filter_of(options)
        joined = join(
            geobox,
            wish.bands,
            lambda window: self._select(window, period, wanted, options, None),
            resampling=resampling,
            solar_day=options.get("group") == "solar_day",
        )
        if not joined.slots and not options.get("empty", False):
            raise NoDataError(_nothing(self.archive, f"{geobox.boundingbox.bbox} of {geobox.crs}", options))
        return make_projected_cube(
            joined,
            geobox,
            wish,
            chunks=options.get("chunks"),
            resampling=resampling,
            threads=options.get("threads"),
            on_block=options.get("on_block"),
            limit=limit_of(options),
            attributes={"archive": self.archive.store.url},
        )

    def _select(self, window: Bounds, period: Period, wanted: Filter, options: Options, product: str | None) -> View:
        return select(
            self.archive,
            self.finder,
            window,
            period,
            wanted=wanted,
            product=product,
            baseline=options.get("baseline"),
            group=options.get("group", "datatake"),
        )

    def _others(self, window: Bounds, period: Period, wanted: Filter, options: Options) -> list[View]:
        """Plan the zones beside a window's that have something there, nearest first."""
        found = []
        for zone in neighbour_zones(window):
            ground = _needed(window, zone, options)
            view = None if ground is None else self._select(ground, period, wanted, options, None)
            if view is not None and view.slots:
                found.append(view)
        return found

    def _of_datatake(self, product_id: str, options: Options) -> Options:
        """Return options that ask for the datatake of a product alone."""
        for name in ("datetime", "datatake"):
            if options.get(name) is not None:
                raise BadRequestError(f"{name}={options.get(name)!r}: a neighbourhood is of its product's datatake")
        item = read_item(self.archive.store, product_id.removesuffix(".SAFE"))
        if item is None:
            raise ProductNotFoundError(f"{self.archive.store.url}: no product {product_id!r}")
        start = datetime.fromisoformat(item["properties"]["datetime"]).astimezone(UTC)
        taken = Period(start, start + timedelta(microseconds=1))
        return {**options, "datetime": taken, "datatake": item["properties"]["s2:datatake_id"]}


def _joined(own: View, others: Sequence[View], options: Options) -> tuple[BlockSource, tuple[Neighbour, ...]]:
    """Give the zones of a request one time axis."""
    if not others:
        return own, ()
    from abut.across import Neighbour  # noqa: PLC0415 - needs odc-geo and rasterio, which are extras
    from abut.timeline import align  # noqa: PLC0415 - only across zones

    first, *rest = align([own, *others], _hours(own.window) if options.get("group") == "solar_day" else None)
    return first, tuple(Neighbour(source, view.window) for source, view in zip(rest, others, strict=True))


def _needed(window: Bounds, zone: Zone, options: Options) -> Bounds | None:
    """Return the ground of another zone that a window may be filled from."""
    if ground_in(zone, window) is None:
        return None  # without what the extras bring
    from abut.across import needed  # noqa: PLC0415 - needs odc-geo and rasterio, which are extras

    wish = wish_of(options)
    sizes = [wish.resolution] if wish.resolution else sorted({band.resolution for band in wish.bands})
    resampling = options.get("resampling", "nearest")
    grounds = [needed(geobox_of(window, size), zone, wish.at(size), resampling) for size in sizes]
    found = [ground for ground in grounds if ground is not None]
    return (
        None
        if not found
        else Bounds(
            zone,
            min(ground.left for ground in found),
            min(ground.bottom for ground in found),
            max(ground.right for ground in found),
            max(ground.top for ground in found),
        )
    )


def _hours(window: Bounds) -> timedelta:
    """Return what makes UTC the solar time of a window's centre, in whole hours."""
    x, y = np.array([(window.left + window.right) / 2]), np.array([(window.bottom + window.top) / 2])
    lon, _ = project(CRS.from_epsg(window.zone.epsg), CRS.from_epsg(4326), x, y)
    return timedelta(hours=int(lon[0] / 15))


def _place(window: Bounds) -> str:
    return f"{window.left} {window.bottom} {window.right} {window.top} of {window.zone}"


def _nothing(archive: Archive, place: str, options: Options) -> str:
    period = parse_period(options.get("datetime"))
    asked = {name: value for name in ("baseline", *_FILTERS) if (value := options.get(name)) is not None}
    filters = "".join(f", {name} {value!r}" for name, value in asked.items())
    when = "at any time" if period == Period() else f"in {period}"
    return f"{archive.store.url}: no product {when} on {place}{filters}"


_FILTERS = ("ids", "tiles", "max_cloud_cover", "relative_orbit", "datatake", "predicate", "cql2")
