"""Cubes on the pixels of any GeoBox: every zone that takes part is mosaicked, then resampled to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from abut.across import Part, fill
from abut.cube import BEYOND, LIMIT, Wish
from abut.errors import BadRequestError, TooLargeError
from abut.labels import CONVENTIONS, PROVENANCE, band_attributes, times
from abut.marked import marked, marked_type, parted
from abut.reading import reflectance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from abut.across import Joined
    from abut.layout import Band

CHUNK_PIXELS: Final = 1_920
"""Default side of a chunk in pixels."""


def make_projected_cube(
    joined: Joined,
    target: GeoBox,
    wish: Wish | None = None,
    *,
    chunks: Mapping[str, int | str] | int | str | None = None,
    resampling: str = "nearest",
    threads: int | None = None,
    on_block: Callable[[int], None] | None = None,
    limit: int | None = LIMIT,
    attributes: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Return all steps on the pixels of a GeoBox.

    Parameters
    ----------
    joined : Joined
        What the target is read from, see `abut.across.join`.
    target : GeoBox
        The pixels, of any size and in any coordinate system.
    wish : Wish, optional
        Bands, and whether reflectance is wanted; bands of all pixel sizes come on the target's pixels. Masks, angles
        and weather belong to the pixels of a zone.
    chunks : mapping, int or str, optional
        None reads at once. Else arrays of Dask: pixels along the axes of the target (``y`` and ``x`` will do) and
        steps along ``time``; ``{}`` or ``"auto"`` for 1,920 pixels and one step. ``"beyond"``: so if the result is
        larger than the limit, else at once.
    resampling : str
        nearest, bilinear, cubic or average.
    threads : int, optional
        How many objects are fetched and decoded at once.
    on_block : callable, optional
        Called after each block of a band that was read at once, with its bytes.
    limit : int, optional
        Bytes of the largest result that is read at once; None for any.
    attributes : mapping, optional
        Further attributes of the result.

    Returns
    -------
    xarray.Dataset
        Variables ``b02`` ... (time, y, x), or (time, latitude, longitude): uint16 DN with nodata 0, or float32
        reflectance, and ``provenance`` (uint8): 0 nodata, 2 reprojected. Coordinates: those of odc-geo, ``time``
        (UTC), ``datatake`` (time), ``radio_add_offset`` (time, band), ``quantification_value`` (time), and
        ``product``, the products that may supply pixels.

    Raises
    ------
    BadRequestError
        If masks, angles or weather are wanted, or the method or the chunks have no meaning.
    TooLargeError
        If the result is larger than the limit.
    MissingObjectError, DigestMismatchError, UnsupportedStoreError
        As `abut.pixels.read_bands`.
    """
    from odc.geo.xr import xr_coords  # noqa: PLC0415 - an extra

    wish = wish or Wish()
    for name in ("masks", "angles", "weather"):
        if getattr(wish, name):
            raise BadRequestError(f"{name} belong to the pixels of a zone: they can't be asked for in {target.crs}")
    read = _Reader(joined, target, wish, resampling, threads, on_block)
    if chunks == BEYOND:
        chunks = {} if limit is not None and read.size > limit else None
    if chunks is not None:  # a task on another machine can't tell
        read = replace(read, on_block=None)
    if chunks is None and limit is not None and read.size > limit:
        raise TooLargeError(
            f"{read.size:,} bytes are more than the limit of {limit:,}; ask for fewer bands, larger pixels, less "
            "ground or time, or read lazily: chunks={}"
        )
    values = read.all() if chunks is None else _lazy(read, chunks)
    names = sorted({name for slot in joined.slots for name in slot.products})
    axes = target.dimensions
    about = {band.key: band_attributes(band, reflectance=wish.reflectance) for band in wish.bands}
    made = xr.Dataset(
        {name: (("time", *axes), array, {**(about.get(name) or PROVENANCE)}) for name, array in values.items()},
        {
            **xr_coords(target, "spatial_ref"),
            **times(joined.slots, wish.bands),
            "product": ("product", np.array(names, np.str_)),
        },
        {"Conventions": CONVENTIONS, "title": "Sentinel-2 Level-1C", "resampling": resampling, **(attributes or {})},
    )
    for variable in made.data_vars.values():
        variable.encoding["grid_mapping"] = "spatial_ref"
    return made


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads parts of the target; it can be pickled."""

    joined: Joined
    target: GeoBox
    wish: Wish
    resampling: str
    threads: int | None
    on_block: Callable[[int], None] | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Steps, rows, columns."""
        rows, columns = self.target.shape.yx
        return len(self.joined.slots), rows, columns

    @property
    def size(self) -> int:
        """Bytes of all variables."""
        steps, rows, columns = self.shape
        return (self.dtype.itemsize * len(self.wish.bands) + 1) * steps * rows * columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the bands' values."""
        return np.dtype(np.float32 if self.wish.reflectance else np.uint16)

    def all(self) -> dict[str, NDArray[Any]]:
        """Read everything: all bands of a pixel size are warped together."""
        steps, rows, columns = self.shape
        arrays, provenance = self.part(self.wish.bands, range(steps), slice(0, rows), slice(0, columns))
        values = {band.key: self.finished(band, arrays.pop(band), range(steps)) for band in self.wish.bands}
        return {**values, "provenance": provenance}

    def part(
        self, bands: Sequence[Band], steps: Sequence[int], rows: slice, columns: slice
    ) -> tuple[dict[Band, NDArray[np.uint16]], NDArray[np.uint8]]:
        """Read a part: DN (step, y, x) of each band, and provenance."""
        shape = len(steps), rows.stop - rows.start, columns.stop - columns.start
        arrays: dict[Band, NDArray[np.uint16]] = {band: np.zeros(shape, np.uint16) for band in bands}
        provenance = fill(
            Part(self.target, rows, columns, arrays),
            self.joined.neighbours,
            steps=steps,
            resampling=self.resampling,
            threads=self.threads,
            on_block=self.on_block,
        )
        return arrays, provenance

    def finished(self, band: Band, pixels: NDArray[np.uint16], steps: Sequence[int]) -> NDArray[Any]:
        """Return DN as they are, or as reflectance."""
        if not self.wish.reflectance:
            return pixels
        result: NDArray[np.float32] = np.empty(pixels.shape, np.float32)
        for row, step in enumerate(steps):
            slot = self.joined.slots[step]
            offset = slot.radio_add_offset.get(band.name, 0)
            result[row] = reflectance_of(pixels[row], offset, slot.quantification_value)
        return result


@dataclass(frozen=True, eq=False)
class _LazyArray:
    """A band and its provenance, read when asked for by slices, see `abut.marked`."""

    read: _Reader
    band: Band

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.read.shape

    @property
    def ndim(self) -> int:
        return 3

    @property
    def dtype(self) -> np.dtype[Any]:
        return marked_type(self.read.dtype)

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[Any]:
        time, down, across = (slice(*part.indices(size)) for part, size in zip(key, self.shape, strict=True))
        steps = range(self.shape[0])[time]
        arrays, provenance = self.read.part((self.band,), steps, down, across)
        return marked(self.read.finished(self.band, arrays[self.band], steps), provenance)


def _lazy(read: _Reader, chunks: Mapping[str, int | str] | int | str) -> dict[str, Any]:
    import dask.array  # noqa: PLC0415 - an extra

    sizes = _chunk_sizes(chunks, read.target.dimensions, read.shape)
    found = {}
    for band in read.wish.bands:
        array = _LazyArray(read, band)
        found[band.key] = dask.array.from_array(  # type: ignore[no-untyped-call]
            array, chunks=sizes, name=False, asarray=False, fancy=False, meta=np.empty((0, 0, 0), array.dtype)
        )
    return parted(found)


def _chunk_sizes(
    chunks: Mapping[str, int | str] | int | str, axes: tuple[str, str], shape: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Return the sizes of chunks along time and the axes of the target."""
    if isinstance(chunks, int | str):
        chunks = {"x": chunks, "y": chunks}
    known = {"time": 0, "y": 1, "x": 2, axes[0]: 1, axes[1]: 2}
    sizes = [1, CHUNK_PIXELS, CHUNK_PIXELS]
    for name, value in chunks.items():
        if name not in known:
            raise BadRequestError(f"chunks of {name!r}: the axes are time, {axes[0]} and {axes[1]}")
        if value == "auto":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value == 0 or value < -1:
            raise BadRequestError(f"chunks of {name}: {value!r} is neither a number of pixels, -1 nor 'auto'")
        sizes[known[name]] = shape[known[name]] if value == -1 else value
    return sizes[0], sizes[1], sizes[2]
