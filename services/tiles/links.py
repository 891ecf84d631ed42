"""Links from the collection and its items to their pictures (web map links extension)."""

from __future__ import annotations

from typing import Final

from catalog.places import ItemLink
from catalog.renders import DEFAULT, RENDERS

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
    """Return the links that each item gets because map tiles are served: to its pictures, each by its name.

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
    return (*(_xyz(item, name) for name in RENDERS), _tilejson(item, DEFAULT), _wmts(item, "item"), preview)


def collection_links(base: str) -> tuple[ItemLink, ...]:
    """Return the links that the collection gets: to each named picture of all products, the latest on top."""
    mosaic = f"{base}/tiles/mosaic"
    maps = [link for name in RENDERS for link in (_xyz(mosaic, name), _tilejson(mosaic, name))]
    return (*maps, _wmts(mosaic, "mosaic"))


def _xyz(place: str, name: str) -> ItemLink:
    """Return the link to a named picture as a template of map tiles."""
    tiles = f"{place}/tiles/{SET}/{{{{z}}}}/{{{{x}}}}/{{{{y}}}}.png?render={name}"
    return ItemLink("xyz", tiles, PNG, RENDERS[name].title, (("render", name),), stored=True)


def _tilejson(place: str, name: str) -> ItemLink:
    """Return the link to the description of a named picture's map tiles."""
    href = f"{place}/{SET}/tilejson.json?render={name}"
    return ItemLink("tilejson", href, JSON, RENDERS[name].title, (("render", name),), stored=True)


def _wmts(place: str, layer: str) -> ItemLink:
    """Return the link to the default picture as WMTS; clients may name another picture in place of it."""
    more = (("render", DEFAULT), ("wmts:layer", f"{layer}_{SET}_default"))
    title = RENDERS[DEFAULT].title
    return ItemLink("wmts", f"{place}/WMTSCapabilities.xml?render={DEFAULT}", XML, title, more, stored=True)
