"""The landing page of the map tiles."""

from __future__ import annotations

from typing import Any, Final

_CONF: Final = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf"
_REL: Final = "http://www.opengis.net/def/rel/ogc/1.0"
_JSON: Final = "application/json"


def landing_page(base: str, openapi: str) -> dict[str, Any]:
    """Return links to what is here.

    Parameters
    ----------
    base : str
        URL of the map tiles, without a slash at its end.
    openapi : str
        Media type of the OpenAPI document.
    """
    return {
        "title": "Abut: map tiles",
        "description": "Pictures of one product (`/items/{id}/...`) or of what a search finds (`/mosaic/...`).",
        "conformsTo": [f"{_CONF}/{name}" for name in ("core", "tileset", "tilesets-list", "png", "jpeg", "tiff")],
        "links": [
            _link(f"{base}/", "self", _JSON, "This page"),
            _link(f"{base}/api", "service-desc", openapi, "OpenAPI document"),
            _link(f"{base}/api.html", "service-doc", "text/html", "Description for people"),
            _link(f"{base}/renders", "related", _JSON, "Named pictures"),
            _link(f"{base}/mosaic/tiles", f"{_REL}/tilesets-map", _JSON, "Tiles of what is seen last"),
            _link(f"{base}/mosaic/WMTSCapabilities.xml", "wmts", "application/xml", "WMTS capabilities"),
            _link(f"{base}/tileMatrixSets", f"{_REL}/tiling-schemes", _JSON, "Sets of tiles"),
        ],
    }


def _link(href: str, rel: str, kind: str, title: str) -> dict[str, str]:
    return {"href": href, "rel": rel, "type": kind, "title": title}
