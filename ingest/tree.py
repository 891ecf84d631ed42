"""The Zarr tree of a product: groups, empty arrays and their attributes, for all readers at once.

The tree is made in memory by zarr-python; its objects are then written like all others. See `ingest.attributes`.
"""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from pyproj import CRS
from zarr.storage import MemoryStore

from abut import layout
from abut.codec import zarr_codecs, zarr_codecs_for
from abut.georeference import georeference
from abut.lattice import BLOCK_SIZE, RESOLUTIONS
from ingest.attributes import HELD_ONLY, band_attributes, multiscales, root_attributes
from ingest.overviews import CHUNK, reductions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from zarr.core.buffer import Buffer

    from abut.lattice import Bounds
    from abut.metadata import ProductMetadata


class Tree:
    """The Zarr tree of one product, being made."""

    def __init__(self, metadata: ProductMetadata, profile: str) -> None:
        self.metadata = metadata
        self._profile = profile
        self._objects: dict[str, Buffer] = {}
        self._store = MemoryStore(self._objects)
        self._crs = CRS.from_epsg(metadata.tile.zone.epsg)
        self.root = zarr.create_group(store=self._store, zarr_format=3, attributes=root_attributes(metadata))
        self._reflectance()
        self._overviews()
        self._angles()

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Yield every object of the tree, key and bytes; metadata is consolidated in the root."""
        with warnings.catch_warnings():
            # Consolidated metadata is an extension of Zarr v3, as the warning says; every reader named here knows it.
            warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)
            zarr.consolidate_metadata(self._store)
        for key, value in self._objects.items():
            yield key, value.to_bytes()

    def add_mask(
        self,
        path: str,
        resolution: int,
        band: str | None,
        strips: Iterable[NDArray[np.uint8]],
        about: Mapping[str, Any],
    ) -> str:
        """Write a mask of the legacy footprint at its place in the hull, one row of chunks at a time.

        Parameters
        ----------
        path : str
            Path of the array.
        resolution : int
            Its pixel size in metres.
        band : str or None
            Its place on the band axis (in the order of `abut.layout.bands_of`), if the array has one.
        strips : iterable of ndarray of uint8, shape (rows, 109800 / resolution)
            The mask from north to south.
        about : mapping
            Attributes of the array.

        Returns
        -------
        str
            SHA-256 of the mask, C order, hex.
        """
        tile = self.metadata.tile
        names = [entry.name for entry in layout.bands_of(resolution)]
        array = self._mask_array(path, resolution, names if band else None, about)
        rows, columns = tile.hull.bounds.slices(tile.footprint, resolution)
        side = array.chunks[-1]
        whole = hashlib.sha256()
        buffer = np.zeros((side, columns.stop - columns.start), np.uint8)
        row = rows.start
        for strip in strips:
            whole.update(np.ascontiguousarray(strip))
            rest = strip
            while len(rest):
                start = row % side
                part = rest[: side - start]
                buffer[start : start + len(part)] = part
                rest, row = rest[len(part) :], row + len(part)
                if row % side == 0 or row == rows.stop:
                    first = max(rows.start, (row - 1) // side * side)
                    filled = buffer[first % side : first % side + row - first]
                    for left in range(columns.start // side * side, columns.stop, side):
                        right = min(left + side, columns.stop)
                        left = max(left, columns.start)  # noqa: PLW2901 - within the footprint
                        chunk = filled[:, left - columns.start : right - columns.start]
                        if chunk.any():  # zarr finds out too, but reads each chunk several times for that
                            where = (slice(first, row), slice(left, right))
                            array[(names.index(band), *where) if band else where] = chunk
        return whole.hexdigest()

    def add_array(self, path: str, data: NDArray[Any], dimensions: tuple[str, ...], **attributes: Any) -> None:
        """Write a small array whole."""
        self.root.create_array(
            path,
            data=np.ascontiguousarray(data),
            chunks=data.shape,
            dimension_names=dimensions,
            attributes=attributes,
            **zarr_codecs_for(data.dtype),
        )

    def _mask_array(
        self, path: str, resolution: int, names: list[str] | None, about: Mapping[str, Any]
    ) -> zarr.Array[Any]:
        if path in self.root:
            found = self.root[path]
            assert isinstance(found, zarr.Array)  # noqa: S101 - made below
            return found
        bounds = self.metadata.tile.hull.bounds
        side = layout.MASK_BLOCKS * BLOCK_SIZE // resolution
        shape = bounds.shape(resolution)
        extra: dict[str, Any] = {"band_names": names} if names else {}
        group, _, name = path.rpartition("/")
        self._coordinates(group, bounds, resolution, suffix=f"_{name}")
        return self.root.create_array(
            path,
            shape=(len(names), *shape) if names else shape,
            chunks=(1, side, side) if names else (side, side),
            dtype="uint8",
            fill_value=0,
            # The arrays of a group have axes of their own: xarray wants all axes of a name to have one length.
            dimension_names=(f"band_{name}", f"y_{name}", f"x_{name}") if names else (f"y_{name}", f"x_{name}"),
            attributes={**georeference(bounds, resolution, (f"y_{name}", f"x_{name}")), **about, **extra},
            **zarr_codecs_for(np.dtype("u1")),
        )

    def _reflectance(self) -> None:
        bounds = self.metadata.tile.hull.bounds
        for resolution in RESOLUTIONS:
            members = [band for band in self.metadata.bands if band.band.resolution == resolution]
            group = f"{layout.REFLECTANCE}/r{resolution}m"
            self.root.create_group(group, attributes=georeference(bounds, resolution) | {"description": HELD_ONLY})
            self._coordinates(group, bounds, resolution)
            for band in members:
                self.root.create_array(
                    band.band.path,
                    shape=bounds.shape(resolution),
                    chunks=(band.band.block_pixels,) * 2,
                    dtype="uint16",
                    fill_value=0,
                    dimension_names=("y", "x"),
                    attributes=georeference(bounds, resolution) | band_attributes(self.metadata, band),
                    **zarr_codecs(self._profile),
                )

    def _overviews(self) -> None:
        bounds = self.metadata.tile.hull.bounds
        for resolution in RESOLUTIONS:
            pyramid = f"{layout.OVERVIEWS}/r{resolution}m"
            self.root.create_group(pyramid, attributes=multiscales(resolution))
            for reduction in reductions(resolution):
                size = resolution * reduction
                group = f"{pyramid}/{reduction}"
                self.root.create_group(group, attributes=georeference(bounds, size))
                self._coordinates(group, bounds, size)
                for band in self.metadata.bands:
                    if band.band.resolution == resolution:
                        self.root.create_array(
                            f"{group}/{band.band.key}",
                            shape=bounds.shape(size),
                            chunks=(CHUNK, CHUNK),
                            dtype="uint16",
                            fill_value=0,
                            dimension_names=("y", "x"),
                            attributes=georeference(bounds, size)
                            | band_attributes(self.metadata, band)
                            | {"cell_methods": "area: mean (of pixels that have data, before any release)"},
                            **zarr_codecs("default"),
                        )

    def _angles(self) -> None:
        metadata, step, group = self.metadata, 5000, layout.GEOMETRY
        angles = {"flag_meanings": "zenith azimuth", "units": "degree"}
        tile = metadata.tile
        nodes = np.arange(metadata.sun_angles.shape[-1], dtype=np.float64) * step
        self.root.create_group(
            group,
            attributes={"proj:code": str(tile.zone), "description": "Nodes every 5 km from the tile's own corner"},
        )
        self.add_array(f"{group}/x", tile.ulx + nodes, ("x",), standard_name="projection_x_coordinate", units="m")
        self.add_array(f"{group}/y", tile.uly - nodes, ("y",), standard_name="projection_y_coordinate", units="m")
        self.add_array(
            f"{group}/sun_angles",
            metadata.sun_angles,
            ("angle", "y", "x"),
            long_name="Sun zenith and azimuth",
            **angles,
        )
        self.add_array(
            f"{group}/viewing_incidence_angles",
            metadata.view_angles,
            ("band", "detector", "angle", "y", "x"),
            long_name="Viewing zenith and azimuth of each band and detector (detector ids count from 1)",
            band_names=[band.band.name for band in metadata.bands],
            **angles,
        )
        self.add_array(
            f"{group}/mean_sun_angles",
            np.array([metadata.mean_sun_zenith, metadata.mean_sun_azimuth]),
            ("angle",),
            long_name="Mean sun zenith and azimuth",
            **angles,
        )
        means = [(band.mean_view_zenith, band.mean_view_azimuth) for band in metadata.bands]
        self.add_array(
            f"{group}/mean_viewing_incidence_angles",
            np.array(means, dtype=np.float64),
            ("band", "angle"),
            long_name="Mean viewing zenith and azimuth of each band",
            band_names=[band.band.name for band in metadata.bands],
            **angles,
        )

    def _coordinates(self, group: str, bounds: Bounds, size: int, suffix: str = "") -> None:
        """Write pixel centres and the grid mapping beside the arrays of a group."""
        rows, columns = bounds.shape(size)
        for name, values in (
            (f"x{suffix}", bounds.left + size * (np.arange(columns) + 0.5)),
            (f"y{suffix}", bounds.top - size * (np.arange(rows) + 0.5)),
        ):
            standard = f"projection_{name[0]}_coordinate"
            self.add_array(f"{group}/{name}", values, (name,), standard_name=standard, axis=name[0].upper(), units="m")
        if f"{group}/spatial_ref" not in self.root:
            self.root.create_array(
                f"{group}/spatial_ref", shape=(), dtype="int32", fill_value=0, attributes=self._crs.to_cf()
            )
            self.root.require_group(group).attrs["coordinates"] = (
                "spatial_ref"  # to xarray a coordinate, not a variable
            )
