"""Legacy tiles as labelled arrays: bands, masks and angles of a product with their georeference, in xarray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from pyproj import CRS

from abut.lattice import RESOLUTIONS
from abut.layout import BAND, QUALITY_BITS
from abut.legacy import plan, read_band
from abut.masks import mask_resolution, read_angles, read_mask
from abut.metadata import ANGLE_NODES, ANGLE_STEP, DETECTORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from abut.archive import Archive
    from abut.lattice import Bounds
    from abut.layout import Band
    from abut.product import Product


def legacy_tile(
    archive: Archive, product: Product, *, bands: Iterable[Band | str] | None = None, masks: bool = True
) -> xr.DataTree:
    """Return a legacy tile with its georeference, read whole into memory; every digest is checked.

    Parameters
    ----------
    archive : Archive
        The archive.
    product : Product
        The product.
    bands : iterable of Band or str, optional
        Which bands. Default: all thirteen, which take 1.3 GB.
    masks : bool
        Whether to read the masks of these bands (uint8, as many pixels), the classification, and the angles.

    Returns
    -------
    xarray.DataTree
        Groups ``r10m``, ``r20m`` and ``r60m``, as far as there are bands of them: variables ``b02`` ... of uint16 DN
        (0 is nodata; ``radio_add_offset`` as attribute), ``b02_detector_footprint`` (detector id),
        ``b02_quality`` (eight planes as bits), in ``r60m`` also ``l1c_classification``; dimensions y (north to
        south) and x, coordinates of pixel centres in metres, and ``spatial_ref``. Group ``geometry``: ``sun_angles``
        (angle, y, x) and ``viewing_incidence_angles`` (band, detector, angle, y, x) in degrees, nodes every 5 km
        from the tile's own corner.

    Raises
    ------
    MissingObjectError
        If an object that the ledger says is held is not there.
    DigestMismatchError
        If something is not what was ingested.
    """
    wanted = product.record.bands if bands is None else bands
    chosen = [BAND[band] if isinstance(band, str) else band for band in wanted]
    sources = plan(archive, product)
    groups: dict[str, xr.Dataset] = {}
    for resolution in RESOLUTIONS:
        variables: dict[str, Any] = {}
        for band in (band for band in chosen if band.resolution == resolution):
            pixels = read_band(archive, product, band, sources=sources)
            offset = product.record.safe.get("offsets", {}).get(band.name, 0)
            variables[band.key] = (("y", "x"), pixels, {"radio_add_offset": offset, "nodata": 0, "units": "1"})
        if masks:
            variables |= _masks(archive, product, resolution, {band.name for band in chosen})
        if variables:
            groups[f"r{resolution}m"] = _placed(variables, product.tile.footprint, resolution)
    if masks:
        groups["geometry"] = _angles(archive, product)
    tree = xr.DataTree.from_dict({f"/{name}": dataset for name, dataset in groups.items()})
    tree.attrs = {"product": product.id, "tile": product.tile.id, "proj:code": str(product.tile.zone)}
    return tree


def _masks(archive: Archive, product: Product, resolution: int, bands: set[str]) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    for name in product.record.masks:
        kind, _, band = name.partition("/")
        if mask_resolution(name) != resolution or (band and band not in bands):
            continue
        about = {"flag_meanings": " ".join(QUALITY_BITS).lower()} if kind == "quality" else {}
        variable = f"{band.lower()}_{kind}" if band else "l1c_classification"
        variables[variable] = (("y", "x"), read_mask(archive, product, name), about)
    return variables


def _placed(variables: dict[str, Any], bounds: Bounds, resolution: int) -> xr.Dataset:
    rows, columns = bounds.shape(resolution)
    dataset = xr.Dataset(
        variables,
        coords={
            "y": ("y", bounds.top - resolution * (np.arange(rows) + 0.5), _axis("y")),
            "x": ("x", bounds.left + resolution * (np.arange(columns) + 0.5), _axis("x")),
            "spatial_ref": ((), 0, CRS.from_epsg(bounds.zone.epsg).to_cf()),
        },
    )
    for variable in dataset.data_vars.values():
        variable.encoding["grid_mapping"] = "spatial_ref"
    return dataset


def _angles(archive: Archive, product: Product) -> xr.Dataset:
    sun, viewing = read_angles(archive, product)
    nodes = ANGLE_STEP * np.arange(ANGLE_NODES)
    return xr.Dataset(
        {
            "sun_angles": (("angle", "y", "x"), sun, {"units": "degree"}),
            "viewing_incidence_angles": (("band", "detector", "angle", "y", "x"), viewing, {"units": "degree"}),
        },
        coords={
            "angle": ["zenith", "azimuth"],
            "band": list(BAND),
            "detector": np.arange(1, DETECTORS + 1),
            "y": ("y", product.tile.uly - nodes, _axis("y")),
            "x": ("x", product.tile.ulx + nodes, _axis("x")),
        },
    )


def _axis(name: str) -> dict[str, str]:
    return {"standard_name": f"projection_{name}_coordinate", "units": "m", "axis": name.upper()}
