"""A tile and the ground around it as GeoTIFF: files as of a legacy tile, only larger."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from abut.export.folder import folder_name, new_folder
from abut.export.gdal import Grid, require_pixels, require_rasterio, write_tiff
from abut.export.geotiff import TIFF_OPTIONS, band_profile, mask_file, mask_profile
from abut.export.rasters import datasets
from abut.export.source import Scaling, safe_layout
from abut.layout import BAND
from abut.window import tile_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from abut.connection import Connection
    from abut.product import Product


def export_neighbourhood(
    connection: Connection,
    product: Product,
    buffer: float,
    out: Path,
    *,
    bands: Iterable[str] | None = None,
    done: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write bands and masks of a tile and of what the same datatake saw around it, into a new folder.

    Names and tags are those of `abut.export.geotiff.export_geotiff`; the images reach `buffer` metres farther on all
    sides. Where another zone takes part, ``..._PROVENANCE_10m.tif`` (20m, 60m) says where values come from: 0 nodata,
    1 this zone, 2 reprojected. Masks are those of this zone. One band at a time is in memory.

    Parameters
    ----------
    connection : Connection
        The archive.
    product : Product
        The product; its own strip goes first.
    buffer : float
        Metres, rounded up to a multiple of 60.
    out : Path
        Folder in which to put the folder ``<product id>_<buffer>m``; made if missing.
    bands : iterable of str, optional
        Names of bands; their masks come along. Default: all.
    done : callable
        Called with the name of each file that was written.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ExportError
        If a folder of that name is there, it can't be written (disk full), or a file reads back unequal.
    AbutError
        As `Connection.neighbourhood`.
    """
    require_rasterio()
    window = tile_window(product.tile, buffer)
    grown = product.tile.ulx - window.left
    layout = safe_layout(product)
    chosen = product.record.bands if bands is None else dict.fromkeys(bands)
    images = {name: PurePosixPath(layout.images[name]).stem for name in chosen}
    target = out / folder_name(f"{product.id}_{grown}m", product.id)
    written: list[Path] = []
    provenance: dict[int, NDArray[np.uint8]] = {}
    with new_folder(target) as work:

        def put(name: str, pixels: NDArray[Any], resolution: int, profile: Mapping[str, Any]) -> None:
            path = work.content / name
            write_tiff(path, Grid(window, resolution), pixels, **profile)
            require_pixels(path, hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest())
            written.append(target / name)
            done(name)

        for name, image in images.items():
            cube = connection.neighbourhood(product.id, buffer, bands=[name], masks=True)
            for dataset in datasets(cube).values():
                for variable, pixels in dataset.data_vars.items():
                    found, size = pixels.to_numpy()[0], _resolution(dataset)
                    mask = _mask(str(variable), name)
                    if variable == BAND[name].key:
                        put(f"{image}.tif", found, size, band_profile(product, name, _scaling(dataset)))
                    elif variable == "provenance":
                        provenance[size] = np.maximum(provenance.get(size, found), found)
                    elif mask is not None and mask_file(mask, image) not in {path.name for path in written}:
                        put(mask_file(mask, image), found, size, mask_profile(product, mask))
        start = next(iter(images.values())).rpartition("_")[0]
        for size, found in provenance.items():
            put(f"{start}_PROVENANCE_{size}m.tif", found, size, {"tags": {"PRODUCT": product.id}, **TIFF_OPTIONS})
    return written


def _mask(variable: str, band: str) -> str | None:
    """Return the name of a mask by that of its variable."""
    if variable == "l1c_classification":
        return "classification"
    start, _, kind = variable.partition("_")
    return f"{kind}/{band}" if start == BAND[band].key and kind else None


def _resolution(dataset: xr.Dataset) -> int:
    return round(float(dataset["spatial_ref"].attrs["GeoTransform"].split()[1]))


def _scaling(dataset: xr.Dataset) -> Scaling:
    return Scaling(int(dataset["radio_add_offset"][0, 0]), int(dataset["quantification_value"][0]))
