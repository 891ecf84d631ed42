"""Cubes: a window of a zone over some time as labelled arrays of xarray, read at once or lazily with Dask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from abut.errors import BadRequestError, TooLargeError
from abut.labels import CONVENTIONS, PROVENANCE, angle_attributes, band_attributes, coordinates, flags_of, products_of
from abut.lattice import RESOLUTIONS
from abut.layout import BANDS
from abut.marked import marked_type, parted
from abut.reading import AnglePixels, MarkedPixels, MaskPixels, Pixels, Reading, snapped_out
from abut.view_angles import seam_jump
from abut.view_masks import Mask
from abut.zone_array import ZoneArray, as_dask, chunk_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from abut.across import Neighbour
    from abut.blocks import BlockSource
    from abut.lattice import Bounds
    from abut.layout import Band
    from abut.store import Store

LIMIT: Final = 4_000_000_000
"""Bytes of the largest cube that is read at once unless another limit is given."""
BEYOND: Final = "beyond"
"""Chunks that are made only if a cube is larger than the limit."""

_KINDS: Final = ("zenith", "azimuth")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a cube is to have.

    Raises
    ------
    BadRequestError
        If a pixel size is not one of the grid.
    """

    bands: tuple[Band, ...] = BANDS
    """Which bands."""
    resolution: int | None = None
    """Pixel size of all bands; None for each band's own, in groups."""
    reflectance: bool = False
    """Reflectance as float32 with NaN instead of DN."""
    masks: bool = False
    """Detector footprint and quality of each band, and the classification."""
    angles: bool = False
    """Viewing angles of each band, and sun angles."""
    angle_resolution: int = 60
    """Pixel size of the angles where bands keep their own."""
    weather: bool = False
    """ECMWF and CAMS fields of each product, as they are."""

    def at(self, resolution: int) -> tuple[Band, ...]:
        """Return the bands that have pixels of this size in the result."""
        return self.bands if self.resolution else tuple(one for one in self.bands if one.resolution == resolution)

    def __post_init__(self) -> None:
        for value in (self.resolution, self.angle_resolution):
            if value is not None and value not in RESOLUTIONS:
                raise BadRequestError(f"resolution {value!r} is not 10, 20 or 60 m, or None for each band's own")
        if self.weather and self.resolution is not None:
            raise BadRequestError(f"weather comes in groups of its own: not with resolution={self.resolution}")


@dataclass(frozen=True, slots=True)
class _Variable:
    """A variable that is to be read."""

    name: str
    read: Callable[[Bounds, Sequence[int]], Any] | None
    """None for provenance, which comes with the bands."""
    dtype: np.dtype[Any]
    attributes: Mapping[str, Any]


def make_cube(
    source: BlockSource,
    window: Bounds,
    wish: Wish | None = None,
    *,
    chunks: Mapping[str, int | str] | int | str | None = None,
    neighbours: Sequence[Neighbour] = (),
    resampling: str = "nearest",
    store: Store | None = None,
    threads: int | None = None,
    on_block: Callable[[int], None] | None = None,
    limit: int | None = LIMIT,
    attributes: Mapping[str, Any] | None = None,
) -> xr.Dataset | xr.DataTree:
    """Return a window over all steps of a source.

    Parameters
    ----------
    source : BlockSource
        Who holds the blocks; for all blocks that the window touches.
    window : Bounds
        Ground in the source's zone, its edges on the grid of the pixels that are asked for; on the 60 m grid where
        bands keep their own pixel size.
    wish : Wish, optional
        What the cube is to have. Default: DN of all bands, each at its own pixel size.
    chunks : mapping, int or str, optional
        None reads at once. Else arrays of Dask: sizes along time, y and x, see `abut.zone_array.chunk_sizes`; ``{}``
        or ``"auto"`` for the default. Progress (`on_block`) is then not told. ``"beyond"``: lazily by the default if
        the cube is larger than the limit, else at once.
    neighbours : sequence of Neighbour
        Other zones that fill what this one lacks, reprojected; a variable `provenance` then marks pixels. Masks and
        angles are those of this zone alone.
    resampling : str
        How other zones are resampled: nearest, bilinear, cubic or average.
    store : Store, optional
        The archive that the products are in. Default: the source's.
    threads : int, optional
        How many objects are fetched and decoded at once.
    on_block : callable, optional
        Called after each block of a band that was read, with its bytes.
    limit : int, optional
        Bytes of the largest result that is read at once; None for any.
    attributes : mapping, optional
        Further attributes of the result.

    Returns
    -------
    xarray.DataTree or xarray.Dataset
        A tree with groups ``r10m``, ``r20m``, ``r60m`` as far as there are bands of them (with masks ``r60m`` always,
        for the classification), ``angles`` and ``weather/<product>`` where asked for; or one Dataset if a pixel size
        is asked for. Variables ``b02`` ... (time, y, x): uint16 DN with nodata 0, or float32 reflectance;
        ``b02_detector_footprint``, ``b02_quality``,
        ``l1c_classification`` (uint8); ``b02_view_zenith``, ``b02_view_azimuth``, ``sun_zenith``, ``sun_azimuth``
        (float32, degrees); ``provenance`` (uint8). Coordinates: ``time`` (UTC), pixel centres ``y`` (north to south)
        and ``x`` in metres, ``spatial_ref``, ``radio_add_offset`` (time, band), ``quantification_value`` (time),
        ``datatake`` (time), and ``source`` (time, block_y, block_x), which tells the first holder of each block.

    Raises
    ------
    BadRequestError
        If the window has no whole number of pixels, or chunks have no meaning.
    TooLargeError
        If the result is larger than the limit.
    MissingObjectError, DigestMismatchError, UnsupportedStoreError
        As `abut.pixels.read_bands`.
    """
    wish = wish or Wish()
    _require_grid(window, wish.resolution or 60)
    outer = snapped_out(window)
    reading = Reading(source, store or source.store, outer, tuple(neighbours), resampling, threads, on_block)
    maker = _Maker(reading, window, wish, None, products_of(source, window))
    if chunks == BEYOND:
        chunks = {} if limit is not None and maker.size > limit else None
    if chunks is not None:  # a task on another machine can't tell
        maker = replace(maker, reading=replace(reading, on_block=None), chunks=chunks)
    if chunks is None and limit is not None and maker.size > limit:
        raise TooLargeError(
            f"{maker.size:,} bytes are more than the limit of {limit:,}; ask for fewer bands, less ground or time, or "
            "read lazily: chunks={}"
        )
    about = {"Conventions": CONVENTIONS, **_about(window), **(attributes or {})}
    return maker.dataset(about) if wish.resolution else maker.tree(about)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the datasets of one cube."""

    reading: Reading
    window: Bounds
    wish: Wish
    chunks: Mapping[str, int | str] | int | str | None
    products: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes of all variables."""
        steps, total = len(self.reading.source.slots), 0
        for resolution, variables in self._groups():
            rows, columns = self.reading.window.shape(resolution)
            total += sum(variable.dtype.itemsize for variable in variables) * steps * rows * columns
        return total

    def dataset(self, about: Mapping[str, Any]) -> xr.Dataset:
        """Return all at one pixel size."""
        resolution = self.wish.resolution
        assert resolution is not None  # noqa: S101 - the caller's choice
        variables = [variable for _, some in self._groups() for variable in some]
        return self._dataset(resolution, self.wish.bands, variables, {**about, **self._jump()})

    def tree(self, about: Mapping[str, Any]) -> xr.DataTree:
        """Return groups by pixel size."""
        nodes: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs=dict(about))}
        for resolution in RESOLUTIONS:
            bands = self.wish.at(resolution)
            variables = self._pixels(resolution, bands)
            if variables:  # the classification is at 60 m, whatever bands are asked for
                nodes[f"/r{resolution}m"] = self._dataset(resolution, bands, variables, about)
        if self.wish.angles:
            size, about = self.wish.angle_resolution, {**about, **self._jump()}
            nodes["/angles"] = self._dataset(size, self.wish.bands, self._angles(size), about)
        if self.wish.weather:
            from abut.weather import weather_of  # noqa: PLC0415 - zarr is slow to import

            names = sorted({name for slot in self.reading.source.slots for name in slot.products})
            nodes |= {f"/weather/{name}": weather_of(self.reading.store, name) for name in names}
        return xr.DataTree.from_dict(nodes)

    def _groups(self) -> Iterator[tuple[int, list[_Variable]]]:
        """List the variables by pixel size."""
        common = self.wish.resolution
        for resolution in RESOLUTIONS if common is None else (common,):
            yield resolution, self._pixels(resolution, self.wish.at(resolution))
        if self.wish.angles:
            size = common or self.wish.angle_resolution
            yield size, self._angles(size)

    def _pixels(self, resolution: int, bands: Sequence[Band]) -> list[_Variable]:
        """List bands, provenance and masks."""
        reading, reflectance = self.reading, self.wish.reflectance
        dtype = np.dtype(np.float32 if reflectance else np.uint16)
        found = [
            _Variable(
                band.key,
                Pixels(reading, band, resolution, reflectance),
                dtype,
                band_attributes(band, reflectance=reflectance),
            )
            for band in bands
        ]
        if reading.neighbours and bands:
            found.append(_Variable("provenance", None, np.dtype(np.uint8), PROVENANCE))
        if self.wish.masks:
            masks = [Mask(kind, band) for band in bands for kind in ("detector_footprint", "quality")]
            if self.wish.resolution or resolution == 60:
                masks.append(Mask("classification"))
            found += [
                _Variable(mask.variable, MaskPixels(reading, mask, resolution), np.dtype(np.uint8), flags_of(mask.kind))
                for mask in masks
            ]
        return found

    def _angles(self, resolution: int) -> list[_Variable]:
        found = []
        for band in (*self.wish.bands, None):
            name, body = (f"{band.key}_view", "sensor") if band else ("sun", "solar")
            for kind, what in enumerate(_KINDS):
                read = AnglePixels(self.reading, band, kind, resolution)
                about = angle_attributes(body, what)
                found.append(_Variable(f"{name}_{what}", read, np.dtype(np.float32), about))
        return found

    def _jump(self) -> dict[str, Any]:
        """Return by how much angles jump where the supplier changes, if angles are asked for and read at once."""
        if not self.wish.angles:
            return {}
        if self.chunks is not None:
            return {"seam_jump": "not known: the cube is lazy"}
        reading = self.reading
        slots = range(len(reading.source.slots))
        jump = seam_jump(reading.source, reading.store, reading.window, self.wish.bands, slots)
        return {} if jump is None else {"seam_jump_zenith_degrees": jump[0], "seam_jump_azimuth_degrees": jump[1]}

    def _dataset(
        self, resolution: int, bands: Sequence[Band], variables: Sequence[_Variable], about: Mapping[str, Any]
    ) -> xr.Dataset:
        values = self._read(resolution, variables) if self.chunks is None else self._lazy(resolution, variables)
        inside = self.reading.window.slices(self.window, resolution)
        data = {
            variable.name: (("time", "y", "x"), values[variable.name][:, *inside], dict(variable.attributes))
            for variable in variables
        }
        coords = coordinates(self.reading.source, self.window, resolution, bands, self.products)
        if not bands:
            coords = {name: values for name, values in coords.items() if name not in {"band", "radio_add_offset"}}
        made = xr.Dataset(data, coords, dict(about))
        for variable in made.data_vars.values():
            variable.encoding["grid_mapping"] = "spatial_ref"
        return made

    def _lazy(self, resolution: int, variables: Sequence[_Variable]) -> dict[str, Any]:
        steps, window = len(self.reading.source.slots), self.reading.window
        try:
            sizes = chunk_sizes(self.chunks or {}, window, resolution, steps)
        except ValueError as error:
            raise BadRequestError(str(error)) from error

        def lazy(variable: _Variable) -> Any:
            read, dtype = variable.read, variable.dtype
            assert read is not None  # noqa: S101 - left out below
            if isinstance(read, Pixels) and self.reading.neighbours:
                read, dtype = MarkedPixels(read), marked_type(dtype)
            return as_dask(ZoneArray(read, window, resolution, steps, dtype), sizes, variable.name)

        found = {one.name: lazy(one) for one in variables if one.read is not None}
        bands = [one.name for one in variables if isinstance(one.read, Pixels)] if self.reading.neighbours else []
        return found | parted({name: found[name] for name in bands}) if bands else found

    def _read(self, resolution: int, variables: Sequence[_Variable]) -> dict[str, Any]:
        """Read all at once: the bands together, and both angles of a band."""
        slots, window = range(len(self.reading.source.slots)), self.reading.window
        values: dict[str, Any] = {}
        bands = [one.read.band for one in variables if isinstance(one.read, Pixels)]
        arrays, provenance = self.reading.pixels(bands, resolution, window, slots) if bands else ({}, None)
        for variable in variables:
            read = variable.read
            if isinstance(read, Pixels):
                values[variable.name] = read.finished(arrays.pop(read.band), slots)
            elif read is None:
                values[variable.name] = provenance
            elif isinstance(read, AnglePixels):
                if read.kind == 0:
                    both = read.both(window, slots)
                values[variable.name] = both[read.kind]
            else:
                values[variable.name] = read(window, slots)
        return values


def _require_grid(window: Bounds, resolution: int) -> None:
    equator = window.zone.equator
    edges = (window.left, window.right, window.bottom - equator, window.top - equator)
    if any(edge % resolution for edge in edges):
        raise BadRequestError(f"the edges of {window} are not on the {resolution} m grid")


def _about(window: Bounds) -> dict[str, Any]:
    return {
        "title": "Sentinel-2 Level-1C",
        "zone": str(window.zone),
        "window": np.array([window.left, window.bottom, window.right, window.top], np.int64),
    }
