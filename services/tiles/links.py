"""Links from the collection and its items to their pictures (web map links extension)."""

from __future__ import annotations

from typing import Final

from catalog.places import ItemLink
from catalog.renders import RENDERS
from services.tiles.renders import DEFAULT

JSON: Final = "application/json"
"""Media type of TileJSON."""
PNG: Final = "image/png"
"""Media type of map tiles and previews."""
XML: Final = "application/xml"
"""Media type of the capabilities of WMTS."""
SET: Final = "WebMercatorQuad"
"""Set of tiles that the links lead to; there are others."""
PREVIEW: Final = 512
"""Pixels of a preview's longer side."""


def tile_links(base: str) -> tuple[ItemLink, ...]:
    """Return the links that each item gets because map tiles are served: to its default picture.

    Parameters
    ----------
    base : str
        URL of all that is served.
    """
    item = f"{base}/tiles/items/{{id}}"
    preview = ItemLink(
        "preview",
        f"{item}/preview.png?render={DEFAULT}&max_size={PREVIEW}",
        PNG,
        RENDERS[DEFAULT].title,
        stored=True,
    )
    return (*_maps(item, DEFAULT), _wmts(item, "item"), preview)


def collection_links(base: str) -> tuple[ItemLink, ...]:
    """Return the links that the collection gets: to each named picture of all products, the latest on top."""
    mosaic = f"{base}/tiles/mosaic"
    return (*(link for name in RENDERS for link in _maps(mosaic, name)), _wmts(mosaic, "mosaic"))


def _maps(place: str, name: str) -> tuple[ItemLink, ...]:
    """Return the links to a named picture as map tiles."""
    title, render = RENDERS[name].title, (("render", name),)
    tiles = f"{place}/tiles/{SET}/{{{{z}}}}/{{{{x}}}}/{{{{y}}}}.png?render={name}"
    return (
        ItemLink("xyz", tiles, PNG, title, render, stored=True),
        ItemLink("tilejson", f"{place}/{SET}/tilejson.json?render={name}", JSON, title, render, stored=True),
    )


def _wmts(place: str, layer: str) -> ItemLink:
    """Return the link to the default picture as WMTS; clients may name another picture in place of it."""
    more = (("render", DEFAULT), ("wmts:layer", f"{layer}_{SET}_default"))
    title = RENDERS[DEFAULT].title
    return ItemLink("wmts", f"{place}/WMTSCapabilities.xml?render={DEFAULT}", XML, title, more, stored=True)
