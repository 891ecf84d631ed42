"""The landing page: what the API is, what it can do, and where its parts are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from catalog.announced import ARCHIVE
from catalog.places import GEOJSON
from services.stac import links
from services.stac.render import JSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from catalog.places import Places
    from services.stac.options import Options

STAC_VERSION: Final = "1.1.0"
"""Version of STAC that catalogue and collections follow."""

OPENAPI_PATH: Final = "/api"
"""Path of the OpenAPI document."""

DOCS_PATH: Final = "/api.html"
"""Path of the page for people that describes it."""

OPENAPI: Final = "application/vnd.oai.openapi+json;version=3.1"
"""Media type of the OpenAPI document."""


def landing_page(
    options: Options, places: Places, conformance: list[str], collections: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the landing page.

    Parameters
    ----------
    options : Options
        What the operator calls the API, and further links.
    places : Places
        Where the client finds things.
    conformance : list of str
        Conformance classes.
    collections : iterable of mapping
        Collections as they are stored.
    """
    api = places.api
    children = [
        {"rel": "child", "type": JSON, "href": places.collection(one["id"]), "title": one.get("title", one["id"])}
        for one in collections
    ]
    return {
        "type": "Catalog",
        "id": options.id,
        "title": options.title,
        "description": options.description,
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        **({ARCHIVE: options.archive} if options.archive else {}),
        "conformsTo": conformance,
        "links": [
            {"rel": "self", "type": JSON, "href": f"{api}/", "title": "This document"},
            links.root(places),
            {"rel": "data", "type": JSON, "href": f"{api}/collections", "title": "Collections"},
            {"rel": "conformance", "type": JSON, "href": f"{api}/conformance", "title": "Conformance classes"},
            {"rel": "search", "type": GEOJSON, "href": f"{api}/search", "method": "GET", "title": "Search"},
            {"rel": "search", "type": GEOJSON, "href": f"{api}/search", "method": "POST", "title": "Search"},
            *links.searching(api),
            {"rel": "service-desc", "type": OPENAPI, "href": f"{api}{OPENAPI_PATH}", "title": "OpenAPI document"},
            {"rel": "service-doc", "type": "text/html", "href": f"{api}{DOCS_PATH}", "title": "Description"},
            *_further(options, api),
            *children,
        ],
    }


def _further(options: Options, api: str) -> list[dict[str, str]]:
    return [
        {"rel": one.rel, "type": one.type, "href": urljoin(f"{api}/", one.href), "title": one.title}
        for one in options.links
    ]
