"""The OpenAPI document of the map tiles: titiler's, with the answers that Abut gives beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["code", "description"],
    "properties": {"code": {"type": "string"}, "description": {"type": "string"}},
}

_ANSWERS: Final = {
    "204": "A tile that has nothing; the header `Abut-Reason` says why.",
    "304": "Unchanged since the answer whose ETag the request has.",
    "400": "The request has no meaning.",
    "404": "There is no such product, or nothing was found.",
    "409": "Digital numbers of products with different offsets would be mixed.",
    "413": "The picture would be too large, or made of too many objects.",
    "414": "The URL is too long.",
    "415": "The body is not JSON.",
    "424": "An object of the product that is asked for is broken or lost.",
    "429": "Too many requests of one client.",
    "501": "Needs something that is not installed.",
    "503": "Too much to do, or the archive does not answer; try again.",
}


def described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what describes an application, to take the place of its method ``openapi``."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            made.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
            for operations in made["paths"].values():
                for operation in operations.values():
                    _amend(operation)
            app.openapi_schema = made
        return app.openapi_schema

    return openapi


def _amend(operation: dict[str, Any]) -> None:
    """Describe the answers of an operation, and each parameter once."""
    answers = operation["responses"]
    answers.pop("422", None)
    for status, description in _ANSWERS.items():
        told = answers.setdefault(status, {"description": description})
        if status >= "400":
            told["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    parameters = {(one["in"], one["name"]): one for one in reversed(operation.get("parameters", []))}
    if parameters:
        operation["parameters"] = list(reversed(parameters.values()))
