"""The way in for users: connect to an archive, ask for ground and time, get arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from abut.asked import Options, wish_of
from abut.errors import BadRequestError
from abut.finding import locate
from abut.request import Request, of_datatake
from abut.tiling import tile as named_tile
from abut.window import bbox_window, geometry_window, tile_window

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    import xarray as xr
    from odc.geo.geobox import GeoBox

    from abut.archive import Archive
    from abut.explain import Explanation
    from abut.finding import Finder
    from abut.lattice import Bounds, Zone
    from abut.layout import Band
    from abut.request import Plan
    from abut.tiling import Tile


def connect(url: str | os.PathLike[str], token: str | None = None) -> Connection:
    """Connect to an archive.

    Parameters
    ----------
    url : str or path
        A folder, ``s3://bucket/prefix``, or the URL of a service or its STAC API, see `abut.finding.locate`.
    token : str, optional
        Bearer token of a service that needs one to read. Default: that of the environment, ``ABUT_TOKEN``.

    Raises
    ------
    InvalidArchiveError
        If there is none.
    UnsupportedStoreError, CatalogueError
        If it can't be reached.
    """
    return Connection(*locate(url, token))


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
        MissingObjectError, DigestMismatchError, UnsupportedStoreError, CatalogueError
            If something is gone, damaged, or can't be reached.
        """
        found = named_tile(tile) if isinstance(tile, str) else tile
        window = tile_window(found, buffer)
        about = {"tile": found.id, "buffer": (window.width - found.footprint.width) // 2}
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
            return Request(self.archive, self.finder, options).on_geobox(geobox)
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
        MixedBaselinesError
            If products of the datatake differ in offset or quantification value, so that it is no one step; choose one
            `baseline`.
        AbutError
            As `tile`.
        """
        options = of_datatake(self.archive, product_id, options)
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

    def explain(self, ground: Bounds | GeoBox, product: str | None = None, **options: Unpack[Options]) -> Explanation:
        """Say what reading the bands of a window will cost, before any pixel is read.

        Parameters
        ----------
        ground : Bounds or odc.geo.geobox.GeoBox
            A window, as `abut.window.tile_window`, `bbox_window` and `geometry_window` make them, or pixels in any
            coordinate system.
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

        return explain_request(self, ground, product, options)

    def plan(self, window: Bounds, product: str | None = None, **options: Unpack[Options]) -> Plan:
        """Find out what a window is read from, without reading it; errors as `tile`."""
        return Request(self.archive, self.finder, options, product).plan(window)

    def _cube(
        self, window: Bounds, options: Options, about: Mapping[str, Any], product: str | None = None
    ) -> xr.Dataset | xr.DataTree:
        return Request(self.archive, self.finder, options, product).cube(window, about)
