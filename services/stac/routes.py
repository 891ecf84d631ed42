"""Routes of the API, as stac-fastapi has them, and endpoints that read the parameters of URLs quickly.

Without `from __future__ import annotations`: FastAPI reads the annotations when the program runs.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.dependencies.utils import get_dependant
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from stac_fastapi.api.app import StacApi
from stac_fastapi.types.search import APIRequest
from starlette.requests import Request

from services.stac import models

type Function = Callable[..., Any]
"""A function that answers requests, with bytes."""


def add_endpoint(
    router: APIRouter, method: str, path: str, function: Function, *, model: type[APIRequest], name: str
) -> None:
    """Add a route whose function is handed the parameters of a URL.

    FastAPI looks in each request for each parameter that there is, which takes longer than most searches. So it is
    asked once what they are: they are described as it describes them, and it checks those that are given.

    Parameters
    ----------
    router : APIRouter
        Gets the route.
    method, path : str
        What is asked of which path, such as ``/collections/{collection_id}``.
    function : callable
        Answers; it is handed the request and what the model makes of the parameters.
    model : type of APIRequest
        The parameters.
    name : str
        Name of the route.
    """

    async def parameters(**given: Any) -> APIRequest:
        return model(**given)

    parameters.__signature__ = inspect.signature(model)  # type: ignore[attr-defined]  # what FastAPI reads
    dependant = get_dependant(path=path, call=parameters)
    of_path = {field.alias: field for field in dependant.path_params}
    of_query = {field.alias: field for field in dependant.query_params}

    async def answered(request: Request) -> Any:
        values = _read(of_path, request.path_params, "path") | _read(of_query, request.query_params, "query")
        return await function(request=request, **model(**values).kwargs())

    async def described(_: Annotated[Any, Depends(parameters)]) -> None:
        """Stand for the endpoint where it is described."""

    router.add_api_route(
        path,
        answered,
        methods=[method],
        name=name,
        response_model=None,
        openapi_extra={"parameters": _described(path, described)},
    )


def _read(fields: Mapping[str, Any], given: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the values of the parameters that are given, by their names in the model."""
    values: dict[str, Any] = {}
    errors: list[Any] = []
    for alias, text in given.items():
        field = fields.get(alias)
        if field is not None:
            values[field.name], wrong = field.validate(text, loc=(place, alias))
            errors += wrong
    if errors:
        raise RequestValidationError(errors)
    return values


def _described(path: str, endpoint: Callable[..., Any]) -> list[dict[str, Any]]:
    """Return how FastAPI describes the parameters of an endpoint."""
    router = APIRouter()
    router.add_api_route(path, endpoint, methods=["GET"])
    document = get_openapi(title="", version="", routes=router.routes)
    schemas = document.get("components", {}).get("schemas", {})

    def whole(part: Any) -> Any:
        """Return a part of the document, which is not kept, with the schemas that it refers to."""
        if isinstance(part, dict) and "$ref" in part:
            return whole(schemas[part["$ref"].rpartition("/")[2]])
        if isinstance(part, dict):
            return {key: whole(value) for key, value in part.items()}
        return [whole(value) for value in part] if isinstance(part, list) else part

    found: list[dict[str, Any]] = whole(document["paths"][path]["get"].get("parameters", []))
    return found


class Api(StacApi):
    """stac-fastapi's, without its health checks: the service that mounts the API has its own."""

    def register_core(self) -> None:
        """Add the routes of core, collections, features and item search."""
        collection = "/collections/{collection_id}"
        for path, name, function, model in (
            ("/", "Landing Page", self.client.landing_page, models.Root),
            ("/conformance", "Conformance Classes", self.client.conformance, models.Root),
            ("/search", "Search", self.client.get_search, self.search_get_request_model),
            ("/collections", "Collections", self.client.all_collections, self.collections_get_request_model),
            (collection, "Collection", self.client.get_collection, self.collection_get_request_model),
            (f"{collection}/items", "Items", self.client.item_collection, self.items_get_request_model),
            (f"{collection}/items/{{item_id}}", "Item", self.client.get_item, self.item_get_request_model),
        ):
            add_endpoint(self.router, "GET", path, function, model=model, name=name)
        self.register_post_search()

    def add_health_check(self) -> None:
        """Add nothing."""
