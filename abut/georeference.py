"""Where an array lies, as attributes for all readers at once: CF, the Zarr conventions `proj:` and `spatial:`, GDAL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from abut.lattice import Bounds

_CONVENTIONS: Final = {
    "proj": ("geo-proj", "proj:", "f17cb550-5864-4468-aeb7-f3180cfb622f", "Coordinate reference system"),
    "spatial": ("spatial", "spatial:", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4", "Spatial coordinates"),
    "multiscales": ("multiscales", "multiscales", "d35379db-88df-4056-af3a-620245f8e347", "Multiscale layout"),
}


def georeference(bounds: Bounds, size: int, dimensions: tuple[str, str] = ("y", "x")) -> dict[str, Any]:
    """Return where an array that spans some ground lies, for all readers; `size` is its pixel size in metres."""
    rows, columns = bounds.shape(size)
    return {
        "zarr_conventions": [convention("proj"), convention("spatial")],
        "proj:code": str(bounds.zone),
        "spatial:dimensions": list(dimensions),
        "spatial:shape": [rows, columns],
        "spatial:transform": [float(size), 0.0, float(bounds.left), 0.0, -float(size), float(bounds.top)],
        "spatial:transform_type": "affine",
        "spatial:registration": "pixel",
        "spatial:bbox": [bounds.left, bounds.bottom, bounds.right, bounds.top],
        "grid_mapping": "spatial_ref",
        "_CRS": {"url": f"http://www.opengis.net/def/crs/EPSG/0/{bounds.zone.epsg}"},
    }


def convention(name: str) -> dict[str, str]:
    """Return how a node says that it follows a Zarr convention: proj, spatial or multiscales."""
    repository, short, uuid, description = _CONVENTIONS[name]
    return {
        "uuid": uuid,
        "name": short,
        "schema_url": f"https://raw.githubusercontent.com/zarr-conventions/{repository}/refs/tags/v1/schema.json",
        "spec_url": f"https://github.com/zarr-conventions/{repository}/blob/v1/README.md",
        "description": description,
    }
