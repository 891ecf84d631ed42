"""Routes of the API, as stac-fastapi has them, and endpoints that need no thread to read their parameters.

Without `from __future__ import annotations`: FastAPI reads the annotations when the program runs.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends
from stac_fastapi.api.app import StacApi
from stac_fastapi.types.search import APIRequest
from starlette.requests import Request

from services.stac import models

type Function = Callable[..., Any]
"""A function that answers requests, with bytes."""


def endpoint(function: Function, model: type[APIRequest]) -> Function:
    """Return an endpoint that hands the parameters of a URL to a function.

    FastAPI makes the objects of a class in a thread, which costs more than most searches; those of a coroutine it
    makes at once.
    """

    async def parameters(**given: Any) -> APIRequest:
        return model(**given)

    parameters.__signature__ = inspect.signature(model)  # type: ignore[attr-defined]  # what FastAPI reads

    async def answered(request: Request, values: Annotated[Any, Depends(parameters)]) -> Any:
        return await function(request=request, **values.kwargs())

    return answered


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
            answer = endpoint(function, model)
            self.router.add_api_route(path, answer, name=name, methods=["GET"], response_model=None)
        self.register_post_search()

    def add_health_check(self) -> None:
        """Add nothing."""
