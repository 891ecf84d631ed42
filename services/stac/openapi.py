"""The OpenAPI document: FastAPI's, with the answers that are really given."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi

from services.stac.landing import STAC_VERSION
from services.stac.render import JSON, JSON_SCHEMA
from services.stac.stream import MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

GEOJSON: Final = "application/geo+json"

_COLLECTION: Final = "/collections/{collection_id}"

_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})

_STAC: Final = {"type": "object", "properties": {"stac_version": {"type": "string", "examples": [STAC_VERSION]}}}

_LINKS: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["rel", "href"],
        "properties": {"rel": {"type": "string"}, "href": {"type": "string", "format": "uri-reference"}},
    },
}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


SCHEMAS: Final = {
    "Problem": _object(
        ["code", "description"],
        code={"type": "string", "description": "For programs."},
        description={"type": "string", "description": "For people: what is wrong, with the value."},
    ),
    "LandingPage": _object(
        ["type", "id", "stac_version", "description", "conformsTo", "links"],
        type={"const": "Catalog"},
        id={"type": "string"},
        stac_version={"type": "string"},
        description={"type": "string"},
        conformsTo={"type": "array", "items": {"type": "string", "format": "uri"}},
        links=_LINKS,
    ),
    "Conformance": _object(["conformsTo"], conformsTo={"type": "array", "items": {"type": "string", "format": "uri"}}),
    "CollectionOrPart": _object(["id"], id={"type": "string"}, links=_LINKS),
    "Collections": _object(
        ["collections", "links"],
        collections={"type": "array", "items": {"$ref": "#/components/schemas/CollectionOrPart"}},
        links=_LINKS,
        numberMatched={"type": "integer", "minimum": 0},
        numberReturned={"type": "integer", "minimum": 0},
    ),
    "StacCollection": _object(
        ["type", "id", "stac_version", "description", "license", "extent", "links"],
        type={"const": "Collection"},
        id={"type": "string"},
        stac_version={"type": "string"},
        extent={"type": "object", "required": ["spatial", "temporal"]},
        links=_LINKS,
    ),
    "StacItem": _object(
        ["type", "id", "stac_version", "geometry", "properties", "links", "assets", "collection"],
        type={"const": "Feature"},
        id={"type": "string"},
        stac_version={"type": "string"},
        geometry={"type": ["object", "null"]},
        properties={"type": "object"},
        links=_LINKS,
        assets={"type": "object"},
        collection={"type": "string"},
    ),
    "ItemOrPart": _object(["id", "collection"], id={"type": "string"}, collection={"type": "string"}, links=_LINKS),
    "FeatureCollection": _object(
        ["type", "features", "links", "numberReturned"],
        **{
            "type": {"const": "FeatureCollection"},
            "features": {"type": "array", "items": {"$ref": "#/components/schemas/ItemOrPart"}},
            "links": _LINKS,
            "numberReturned": {"type": "integer", "minimum": 0},
            "numberMatched": {
                "type": "integer",
                "minimum": 0,
                "description": "Of the whole search; on its first page, where it is known.",
            },
            "abut:completed": {
                "type": "array",
                "items": {"type": "string"},
                "description": "With `complete`: items of this page that were added, for the blocks they hold.",
            },
            "abut:missing": {
                "type": "array",
                "items": {"type": "string"},
                "description": "With `complete`: products that hold blocks of the page's and were withdrawn.",
            },
        },
    ),
    "ItemOrItems": {
        "anyOf": [
            {"$ref": "#/components/schemas/StacItem"},
            _object(
                ["type", "features"],
                type={"const": "FeatureCollection"},
                features={"type": "array", "items": {"$ref": "#/components/schemas/StacItem"}},
            ),
        ]
    },
    "BulkTransaction": _object(
        ["received", "success", "skipped", "errors"],
        received={"type": "integer", "minimum": 0},
        success={"type": "integer", "minimum": 0},
        skipped={"type": "integer", "minimum": 0, "description": "Those that the catalogue has a newer revision of."},
        errors={"type": "array", "items": _object(["id", "msg"], id={"type": "string"}, msg={"type": "string"})},
    ),
    "RegisteredCollections": _object(
        ["collections"],
        collections={"type": "array", "items": {"$ref": "#/components/schemas/CollectionOrPart"}},
    ),
    "RegisteredItems": _object(
        ["next"],
        items={"type": "array", "items": {"$ref": "#/components/schemas/StacItem"}},
        ids={"type": "array", "items": {"type": "string"}},
        next={"type": ["string", "null"], "description": "What to ask for with `after`; null: there are no more."},
    ),
    "JsonSchema": _object(["$schema", "$id", "type", "properties"], properties={"type": "object"}),
    "AggregationCollection": _object(
        ["type", "aggregations", "links"],
        type={"const": "AggregationCollection"},
        aggregations={
            "type": "array",
            "items": _object(["name", "data_type"], name={"type": "string"}, data_type={"type": "string"}),
        },
        links=_LINKS,
    ),
}
"""Schemas of answers. Items and collections are described by STAC itself, at length; here is what all of them have."""

_ANSWERS: Final = {
    "/": (JSON, "LandingPage"),
    "/conformance": (JSON, "Conformance"),
    "/collections": (JSON, "Collections"),
    _COLLECTION: (JSON, "StacCollection"),
    f"{_COLLECTION}/items": (GEOJSON, "FeatureCollection"),
    f"{_COLLECTION}/items/{{item_id}}": (GEOJSON, "StacItem"),
    "/search": (GEOJSON, "FeatureCollection"),
    "/queryables": (JSON_SCHEMA, "JsonSchema"),
    "/sortables": (JSON_SCHEMA, "JsonSchema"),
    "/aggregations": (JSON, "AggregationCollection"),
    "/aggregate": (JSON, "AggregationCollection"),
}

_WRITTEN: Final = {
    ("post", "/collections"): ("201", JSON, "StacCollection"),
    ("put", _COLLECTION): ("200", JSON, "StacCollection"),
    ("patch", _COLLECTION): ("200", JSON, "StacCollection"),
    ("post", f"{_COLLECTION}/items"): ("201", GEOJSON, "ItemOrItems"),
    ("put", f"{_COLLECTION}/items/{{item_id}}"): ("200", GEOJSON, "StacItem"),
    ("patch", f"{_COLLECTION}/items/{{item_id}}"): ("200", GEOJSON, "StacItem"),
    ("post", f"{_COLLECTION}/bulk_items"): ("200", JSON, "BulkTransaction"),
    ("get", "/register"): ("200", JSON, "RegisteredCollections"),
    ("get", "/register/{collection_id}"): ("200", JSON, "RegisteredItems"),
    ("get", "/register/{collection_id}/{item_id}"): ("200", JSON, "StacItem"),
}
"""What those with a token are answered: status, media type, schema."""

_READS_WITH_BODY: Final = ("/search", "/aggregate", "/aggregations")

_TOKEN: Final = {"type": "http", "scheme": "bearer", "description": "Token of a writer or of an archive."}

_SCHEMA: Final = "#/components/schemas/"

_STREAMED: Final = ("/search", f"{_COLLECTION}/items")


def document(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what describes an application, to take the place of its method ``openapi``."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            _amend(made)
            app.openapi_schema = made
        return app.openapi_schema

    return openapi


def _amend(made: dict[str, Any]) -> None:
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            if method not in _METHODS:
                continue
            known = _ANSWERS.get(path) or _ANSWERS.get(path.removeprefix(_COLLECTION))
            if known and (method == "get" or path.endswith(_READS_WITH_BODY)):
                operation["responses"] = {"200": _success(path, method, *known)}
            if (method, path) in _WRITTEN:
                _add_written(operation, *_WRITTEN[method, path])
            _add_path_parameters(operation, path)
            _add_problems(operation, path, method)
    schemas.update(SCHEMAS)
    if any("security" in operation for operations in made["paths"].values() for operation in operations.values()):
        made["components"]["securitySchemes"] = {"token": _TOKEN}
    _drop_unused(made)


def _success(path: str, method: str, media: str, name: str) -> dict[str, Any]:
    content: dict[str, Any] = {media: {"schema": {"$ref": f"{_SCHEMA}{name}"}}}
    if path in _STREAMED:
        content |= {streamed: {"schema": {"type": "string"}} for streamed in MEDIA_TYPES.values()}
    answer: dict[str, Any] = {"description": "The answer.", "content": content}
    if method == "get":
        answer["headers"] = {
            "ETag": {"description": "Changes with the content; not of streams.", "schema": {"type": "string"}}
        }
    return answer


def _add_written(operation: dict[str, Any], status: str, media: str, name: str) -> None:
    """Describe the answer of an operation that needs a token."""
    answer = {"description": "The answer.", "content": {media: {"schema": {"$ref": f"{_SCHEMA}{name}"}}}}
    operation["responses"][status] = operation["responses"].get(status, {}) | answer


def _add_path_parameters(operation: dict[str, Any], path: str) -> None:
    """Describe the parameters of a path that the operation itself does not name."""
    parameters = operation.setdefault("parameters", [])
    named = {one["name"] for one in parameters if one["in"] == "path"}
    for name in re.findall(r"{([^}]+)}", path):
        if name not in named:
            parameters.append({"name": name, "in": "path", "required": True, "schema": {"type": "string"}})


def _add_problems(operation: dict[str, Any], path: str, method: str) -> None:
    """Describe the errors of an operation; what it says of its own stays."""
    answers = operation["responses"]
    answers.pop("422", None)
    problems = {
        "400": "The request has no meaning.",
        "414": "The URL is too long.",
        "503": "The catalogue does not answer; try again.",
    }
    if method == "get" and "ETag" in answers.get("200", {}).get("headers", {}):
        answers["304"] = {"description": "Unchanged since the answer whose ETag the request has."}
    if "{" in path:
        problems["404"] = "There is no such collection or item."
    if "requestBody" in operation:
        problems |= {"413": "The body is too large.", "415": "The body is not JSON."}
    content = {JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, description in sorted(problems.items()):
        answers.setdefault(status, {"description": description})
    for status, answer in answers.items():
        if status >= "400":
            answer["content"] = content
    if "401" in answers:
        operation["security"] = [{"token": []}]
        answers["401"]["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}


def _drop_unused(made: dict[str, Any]) -> None:
    """Drop the schemas of answers that FastAPI would give: what no path leads to."""
    schemas = made["components"]["schemas"]
    used: set[str] = set()
    found = _named(made["paths"])
    while found:
        used |= found
        found = set().union(*(_named(schemas[name]) for name in found)) - used
    made["components"]["schemas"] = {name: schema for name, schema in schemas.items() if name in used}


def _named(part: Any) -> set[str]:
    """Return the names of the schemas that a part of the document refers to."""
    return set(re.findall(rf"'{_SCHEMA}([^']+)'", repr(part)))
