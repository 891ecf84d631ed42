"""What a service has where, for those who announce it: known without opening an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from services.settings import PartName, Settings

_PLACES: Final[tuple[tuple[PartName, str, str], ...]] = (
    ("stac", "/stac", "STAC API: search for products"),
    ("tiles", "/tiles", "Map tiles and other pictures, of one product or of a mosaic: XYZ, TileJSON, WMTS"),
    ("cubes", "/cubes", "Cubes: any ground and time; OGC API - Processes"),
    ("legacy", "/legacy", "Legacy tiles, bit for bit: /<product id>?format=safe or geotiff"),
    ("zarr", "/zarr/zones", "Zones as one Zarr: /<EPSG code>/<year, month or day>.zarr"),
    ("zarr", "/zarr", "Objects of the archive, read only"),
)
"""What is mounted where: the part, its path, what it is."""

TITLES: Final = {path: title for _, path, title in _PLACES}
"""What is mounted, by path."""


def places(settings: Settings) -> list[tuple[str, str]]:
    """Return path and title of what `services.app.archive_parts` mounts."""
    return [(path, title) for part, path, title in _PLACES if part in settings.parts]
