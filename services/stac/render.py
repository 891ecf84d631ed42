"""Answers as bytes, with the headers that let clients keep them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import Response

from catalog.places import GEOJSON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from services.stac.holders import Found

JSON: Final = "application/json"
"""Media type of catalogues and collections."""

JSON_SCHEMA: Final = "application/schema+json"
"""Media type of queryables and sortables."""

HEADERS: Final = {"Cache-Control": "no-cache", "Vary": "Accept, Accept-Encoding"}
"""Headers of every answer to GET: it may be kept, and has to be checked by its ETag before it is used again."""


def answer(request: Request, body: bytes, media_type: str = JSON) -> Response:
    """Return an answer to GET or POST; to GET with an ETag, and 304 without a body if the client has it already.

    ETags are weak, as the bytes that travel may be compressed.
    """
    if request.method != "GET":
        return Response(body, media_type=media_type)
    tag = etag(body)
    headers = {**HEADERS, "ETag": tag}
    if _has(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def etag(body: bytes) -> str:
    """Return the ETag of an answer."""
    return f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'  # which processors have instructions for


def json_answer(request: Request, value: Any, media_type: str = JSON) -> Response:
    """Return a value as an answer."""
    return answer(request, orjson.dumps(value), media_type)


def features_answer(
    request: Request,
    links: Sequence[Mapping[str, Any]],
    found: Found,
) -> Response:
    """Return a page of a search as an answer.

    Parameters
    ----------
    request : Request
        What is answered.
    links : sequence of mapping
        Links of the page.
    found : Found
        The page.
    """
    rest: dict[str, Any] = {"links": links, "numberReturned": len(found.features)}
    if found.page.matched is not None:
        rest["numberMatched"] = found.page.matched
    if found.completed is not None:
        rest["abut:completed"] = found.completed
    if found.missing:
        rest["abut:missing"] = found.missing
    head = b'{"type":"FeatureCollection","features":['
    return answer(request, b"".join((head, b",".join(found.features), b"],", orjson.dumps(rest)[1:])), GEOJSON)


def _has(if_none_match: str, tag: str) -> bool:
    known = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in known or tag.removeprefix("W/") in known
