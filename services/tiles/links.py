"""Links from items of the STAC API to their pictures (web map links extension)."""

from __future__ import annotations

from catalog.places import ItemLink


def tile_links(base: str) -> tuple[ItemLink, ...]:
    """Return the links that each item gets because map tiles are served.

    Parameters
    ----------
    base : str
        URL of all that is served.
    """
    item = f"{base}/tiles/items/{{id}}"
    return (
        ItemLink("tilejson", f"{item}/WebMercatorQuad/tilejson.json", "application/json", "True colour as map tiles"),
        ItemLink("wmts", f"{item}/WMTSCapabilities.xml", "application/xml", "True colour as WMTS"),
        ItemLink("preview", f"{item}/preview.png", "image/png", "True colour"),
    )
