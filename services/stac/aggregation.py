"""Aggregations: how many items of a search there are by month, tile, cloud cover and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attr
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.extensions.aggregation import AggregationExtension
from stac_fastapi.extensions.aggregation.client import AsyncBaseAggregationClient

from abut.errors import BadRequestError
from catalog.aggregation import AGGREGATIONS
from services.stac import links, models, parameters, requests
from services.stac.render import json_answer
from services.stac.routes import add_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

    from catalog.places import Places
    from services.stac.backend import Backend
    from services.stac.collections import Shelf


@attr.s(kw_only=True)
class AggregationClient(AsyncBaseAggregationClient):
    """Answers requests for aggregations."""

    backend: Backend = attr.ib()
    shelf: Shelf = attr.ib()
    places: Callable[[Request], Places] = attr.ib()

    async def get_aggregations(  # type: ignore[override]  # answers are bytes
        self, collection_id: str | None = None, *, request: Request, **_: Any
    ) -> Response:
        """Return which aggregations there are."""
        if collection_id is not None:
            await self.shelf.stored(collection_id)
        return self._answer(request, [aggregation.description() for aggregation in AGGREGATIONS])

    async def get_aggregate(self, *, request: Request, **values: Any) -> Response:
        """Return aggregations of a search that a URL describes."""
        return await self._aggregated(request, requests.of_url(values))

    async def post_aggregate(self, _model: Any = None, *, request: Request, **_: Any) -> Response:
        """Return aggregations of a search that a body describes."""
        return await self._aggregated(request, await requests.of_body(request))

    async def _aggregated(self, request: Request, values: Mapping[str, Any]) -> Response:
        collection = request.path_params.get("collection_id")
        if collection is not None:
            await self.shelf.stored(collection)
        names = _names(values)
        search = requests.search(values, collection)
        return self._answer(request, await self.backend.aggregate(search, names))

    def _answer(self, request: Request, aggregations: list[dict[str, Any]]) -> Response:
        places = self.places(request)
        made = {
            "type": "AggregationCollection",
            "aggregations": aggregations,
            "links": [links.itself(request, places), links.root(places)],
        }
        return json_answer(request, made)


@attr.s
class Aggregations(AggregationExtension):
    """The extension of stac-fastapi, with models of its own for collections, and filters in all of them."""

    def register(self, app: FastAPI) -> None:
        """Add the routes."""
        client = self.client
        assert isinstance(client, AggregationClient)  # noqa: S101 - as `create_stac_app` makes it
        for prefix, title, plain, get, post in (
            ("", "", models.Root, models.AggregateGet, models.AggregatePost),
            (
                "/collections/{collection_id}",
                "Collection ",
                models.Collection,
                models.CollectionAggregateGet,
                models.CollectionAggregateBody,
            ),
        ):
            for path, method, function, model in (
                ("aggregations", "GET", client.get_aggregations, plain),
                ("aggregations", "POST", client.get_aggregations, plain),
                ("aggregate", "GET", client.get_aggregate, get),
            ):
                name = f"{title}{path.capitalize()}"
                add_endpoint(self.router, method, f"{prefix}/{path}", function, model=model, name=name)
            self.router.add_api_route(
                f"{prefix}/aggregate",
                create_async_endpoint(client.post_aggregate, post),
                methods=["POST"],
                name=f"{title}Aggregate",
                response_model=None,
            )
        app.include_router(self.router, tags=["Aggregation"])


def _names(values: Mapping[str, Any]) -> list[str]:
    """Return the names of the aggregations that are wanted: all, if none is named."""
    known = [aggregation.name for aggregation in AGGREGATIONS]
    wanted = parameters.names("aggregations", values.get("aggregations")) or known
    for name in wanted:
        if name not in known:
            raise BadRequestError(f"aggregations: {name!r} is none of {', '.join(known)}")
    return list(wanted)
