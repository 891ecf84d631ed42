"""Links of answers: to pages, and to what belongs to the whole API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from catalog.places import GEOJSON
from services.stac.render import JSON, JSON_SCHEMA
from services.stac.urls import route_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from catalog.places import Places
    from catalog.search import Page

QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
"""Relation of links to what can be searched by."""

SORTABLES = "http://www.opengis.net/def/rel/ogc/1.0/sortables"
"""Relation of links to what can be sorted by."""


def root(places: Places) -> dict[str, str]:
    """Return the link to the landing page."""
    return {"rel": "root", "type": JSON, "href": f"{places.api}/"}


def itself(request: Request, places: Places, media_type: str = JSON) -> dict[str, str]:
    """Return the link to the answer itself."""
    return {"rel": "self", "type": media_type, "href": _with(request, places)}


def searching(parent: str) -> list[dict[str, str]]:
    """Return the links to what helps to search, of the API or of a collection, whose URL is given."""
    return [
        {"rel": QUERYABLES, "type": JSON_SCHEMA, "href": f"{parent}/queryables", "title": "Queryables"},
        {"rel": SORTABLES, "type": JSON_SCHEMA, "href": f"{parent}/sortables", "title": "Sortables"},
        {"rel": "aggregate", "type": JSON, "href": f"{parent}/aggregate", "title": "Aggregation"},
        {"rel": "aggregations", "type": JSON, "href": f"{parent}/aggregations", "title": "Aggregations there are"},
    ]


def pages(request: Request, places: Places, page: Page, body: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the links to the pages around a page of items.

    Parameters
    ----------
    request : Request
        What is answered.
    places : Places
        Where the client finds things.
    page : Page
        The page.
    body : mapping or None
        The body of a POST: the links say what to post. They name all of it, for clients that can't merge.
    """
    links: list[dict[str, Any]] = []
    for rel, token in (("next", page.next), ("prev", page.prev)):
        if token is None:
            continue
        if body is None:
            links.append({"rel": rel, "type": GEOJSON, "method": "GET", "href": _with(request, places, token=token)})
        else:
            wanted = {**body, "token": token}
            href = _with(request, places)
            links.append({"rel": rel, "type": GEOJSON, "method": "POST", "href": href, "body": wanted, "merge": False})
    return links


def offsets(request: Request, places: Places, offset: int, limit: int, number: int) -> list[dict[str, str]]:
    """Return the links to the pages around a page of a list that is counted through."""
    links = []
    if offset + limit < number:
        links.append({"rel": "next", "type": JSON, "href": _with(request, places, offset=str(offset + limit))})
    if offset > 0:
        links.append({"rel": "prev", "type": JSON, "href": _with(request, places, offset=str(max(offset - limit, 0)))})
    return links


def _with(request: Request, places: Places, **changed: str) -> str:
    """Return the URL of a request, with some parameters changed."""
    query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = [(name, value) for name, value in query if name not in changed]
    parameters = urlencode([*kept, *changed.items()])
    path = quote(route_path(request.scope), safe="/:@!$&'()*+,;=~")
    return f"{places.api}{path}" + (f"?{parameters}" if parameters else "")
