"""The STAC extensions that items and the collection declare, by the address of their schemas."""

from __future__ import annotations

from typing import Final

_BASE: Final = "https://stac-extensions.github.io"

DATACUBE: Final = f"{_BASE}/datacube/v2.3.0/schema.json"
"""Dimensions of all products together."""
EO: Final = f"{_BASE}/eo/v1.1.0/schema.json"
"""Cloud cover; common names and wavelengths of bands.

Version 1.1.0, which permits ``eo:bands`` beside STAC's own ``bands``: that is where pystac, and so odc-stac, look for
common names. Version 2.0.0 forbids it. The fields of ``bands`` are named as version 2.0.0 names them.
"""
FILE: Final = f"{_BASE}/file/v2.1.0/schema.json"
"""Sizes of the legacy files."""
GRID: Final = f"{_BASE}/grid/v1.1.0/schema.json"
"""``grid:code``: the tile."""
MGRS: Final = f"{_BASE}/mgrs/v1.0.0/schema.json"
"""The parts of the tile's name."""
PROCESSING: Final = f"{_BASE}/processing/v1.2.0/schema.json"
"""Level and baseline."""
PRODUCT: Final = f"{_BASE}/product/v1.0.0/schema.json"
"""Product type."""
PROJECTION: Final = f"{_BASE}/projection/v2.0.0/schema.json"
"""Zone, shapes and transforms."""
RASTER: Final = f"{_BASE}/raster/v2.0.0/schema.json"
"""Scale and offset of the digital numbers."""
RENDER: Final = f"{_BASE}/render/v2.0.0/schema.json"
"""Pictures that tile servers can make."""
SAT: Final = f"{_BASE}/sat/v1.2.0/schema.json"
"""Orbits."""
SENTINEL2: Final = f"{_BASE}/sentinel-2/v1.0.0/schema.json"
"""Identifiers of datatake, datastrip and granule."""
STORAGE: Final = f"{_BASE}/storage/v2.0.0/schema.json"
"""Which bucket assets lie in: of items whose hrefs are ``s3://``."""
TIMESTAMPS: Final = f"{_BASE}/timestamps/v1.1.0/schema.json"
"""When a product was published in the archive."""
VIEW: Final = f"{_BASE}/view/v1.1.0/schema.json"
"""Mean directions of sun and sensor."""
WEB_MAP_LINKS: Final = f"{_BASE}/web-map-links/v1.2.0/schema.json"
"""Links to map tiles: of items and the collection as they are served, where tiles are."""
ZARR: Final = f"{_BASE}/zarr/v1.1.0/schema.json"
"""Kind and format of the Zarr nodes that assets point to."""

ITEM: Final = (EO, FILE, GRID, MGRS, PROCESSING, PRODUCT, PROJECTION, RASTER, SAT, SENTINEL2, TIMESTAMPS, VIEW, ZARR)
"""What every item declares."""

COLLECTION: Final = (DATACUBE, EO, MGRS, PROCESSING, PRODUCT, PROJECTION, RASTER, RENDER, SAT, VIEW)
"""What the collection declares; the schemas of the others know no collections, or none without assets."""

MAP_RELATIONS: Final = frozenset({"xyz", "tilejson", "wmts"})
"""Relations of links that `WEB_MAP_LINKS` describes."""

ZARR_GROUP_TYPE: Final = "application/vnd.zarr; version=3"
"""Media type of a Zarr node that clients open as a group or array of their own choice."""

ZARR_ARRAY_TYPE: Final = "application/x-zarr"
"""Media type of a band's array: the one that odc-stac takes for a raster."""
