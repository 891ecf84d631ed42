"""What is told of requests: in the words of their URLs, and of requests that clients gave up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI

from services.cubes.answers import RefusedError
from services.tiles.routes import PictureRoute
from services.tiles.wish import Wish

if TYPE_CHECKING:
    from starlette.types import Message


def test_a_wish_is_said_in_the_words_of_its_url() -> None:
    wish = Wish(ids=("a", "b"), period="2025-07", tiles=("32TNM",), cloud=20.0, orbit=108)
    assert wish.said == "ids=a,b, datetime=2025-07, tiles=32TNM, cloud=20, orbit=108"
    assert Wish(item="a.SAFE").said == "item=a"
    assert Wish().said == "any product"


def test_what_is_said_fits_into_a_header() -> None:
    said = Wish(filter="\n\u4e2d" + "x" * 1_000).said
    assert said.startswith("filter=\\n\\u4e2dxx")
    assert len(said) == 300


def _given_up(*, gone: bool) -> int:
    """Answer a request that is refused, whose client is gone or waits."""
    app = FastAPI(openapi_url=None)
    statuses: list[int] = []

    def refused() -> None:
        raise RefusedError(503, "it takes too long")

    async def nothing() -> None: ...

    app.router.add_api_route("/", nothing, dependencies=[Depends(refused)], route_class_override=PictureRoute)
    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": []}

    async def receive() -> Message:
        return {"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    asyncio.run(app({**scope, "root_path": "", "scheme": "http", "server": ("localhost", 80)}, receive, send))
    return statuses[0]


def test_what_a_client_gave_up_is_no_failure_of_the_server() -> None:
    assert _given_up(gone=True) == 499
    assert _given_up(gone=False) == 503
