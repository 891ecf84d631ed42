"""Streams of all matches: NDJSON and GeoJSON text sequences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from services.stac import stream as streaming
from tests.stac.items import DAYS, L1C, RELEASED, product_id
from tests.stac.serving import client_of, make_app

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from starlette.testclient import TestClient

    from services.stac.backend import Backend


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a stream that are smaller than what is found."""
    monkeypatch.setattr(streaming, "PAGE", 7)


def everything(api: TestClient, **parameters: Any) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = api.get("/search", params={"limit": 100, **parameters}).json()["features"]
    return features


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_stream_by_parameter_or_header_is_all_items_in_order(api: TestClient) -> None:
    wanted = everything(api)
    for answer in (
        api.get("/search?f=ndjson"),
        api.get("/search", headers={"Accept": "application/x-ndjson"}),
        api.get("/search", headers={"Accept": "application/geo+json;q=0.5, application/x-ndjson"}),
        api.post("/search", json={}, headers={"Accept": "application/x-ndjson"}),
    ):
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert lines(answer.text) == wanted


def test_geojson_sequence_has_a_separator_before_each_item(api: TestClient) -> None:
    for answer in (
        api.get("/search?f=geojson-seq"),
        api.get("/search", headers={"Accept": "application/geo+json-seq"}),
    ):
        assert answer.headers["content-type"] == "application/geo+json-seq"
        records = answer.content.split(b"\x1e")
        assert records[0] == b""
        assert all(record.endswith(b"\n") for record in records[1:])
        assert [json.loads(record) for record in records[1:]] == everything(api)


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/geo+json, application/x-ndjson;q=0.9", "x", "a;q=b"]
)
def test_page_is_the_answer_unless_a_stream_is_preferred(api: TestClient, accept: str) -> None:
    answer = api.get("/search?limit=1", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/geo+json"
    assert "Accept" in answer.headers["vary"]


def test_parameter_goes_before_header(api: TestClient) -> None:
    answer = api.get("/search?f=geojson&limit=1", headers={"Accept": "application/x-ndjson"})
    assert answer.headers["content-type"] == "application/geo+json"


def test_limit_bounds_the_whole_stream(api: TestClient) -> None:
    for limit in (1, 7, 14, 16):
        assert lines(api.get(f"/search?f=ndjson&limit={limit}").text) == everything(api)[:limit]
    assert len(lines(api.get("/search?f=ndjson&limit=123456789").text)) == len(everything(api))


def test_stream_of_a_collection_with_filter_and_fields(api: TestClient) -> None:
    query = {"filter": "eo:cloud_cover < 50", "fields": "id,properties.eo:cloud_cover"}
    streamed = lines(api.get(f"/collections/{L1C}/items", params={**query, "f": "ndjson"}).text)
    assert streamed == everything(api, **query)
    assert len(streamed) > 7


def test_stream_of_nothing_is_empty(api: TestClient) -> None:
    answer = api.get("/search?f=ndjson&ids=nothing")
    assert (answer.status_code, answer.content) == (200, b"")


def test_complete_stream_has_the_holders(api: TestClient) -> None:
    query = {"ids": product_id(*RELEASED), "complete": "true", "f": "ndjson"}
    ids = [item["id"] for item in lines(api.get("/search", params=query).text)]
    assert set(ids) == {product_id(name, RELEASED[1]) for name in ("32TNM", "32TMM", "32TNN")}


def test_what_is_wrong_with_a_streamed_search_is_an_error(api: TestClient) -> None:
    assert api.get("/search?f=ndjson&bbox=1").status_code == 400
    assert api.get("/search?f=ndjson&token=rubbish").status_code == 400
    assert api.get("/search?f=ndjson&limit=0").status_code == 400


def test_streams_are_compressed(api: TestClient) -> None:
    for coding in ("br", "gzip"):
        answer = api.get("/search?f=ndjson", headers={"Accept-Encoding": coding})
        assert answer.headers["content-encoding"] == coding
        assert lines(answer.text) == everything(api)


class Counting:
    """A database that counts how often it is searched."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.searches = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    async def search(self, *given: Any) -> Any:
        self.searches += 1
        return await self.backend.search(*given)


@pytest.mark.parametrize("version", ["2.3", "2.4"])
def test_a_client_that_leaves_is_not_searched_for(on_sqlite: Backend, version: str) -> None:
    counting: Any = Counting(on_sqlite)
    app = make_app(counting)
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/search",
        "raw_path": b"/search",
        "query_string": b"f=ndjson",
        "root_path": "",
        "headers": [(b"host", b"a")],
        "server": ("a", 80),
        "client": ("b", 1),
        "asgi": {"version": "3.0", "spec_version": version},
    }

    async def leave_after_the_first_chunk() -> None:
        left = anyio.Event()
        began = False

        async def receive() -> dict[str, Any]:
            nonlocal began
            if not began:
                began = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message.get("body"):
                left.set()
                await anyio.lowlevel.checkpoint()
                if version == "2.4":
                    raise OSError("the client left")

        async with counting.backend.running():
            await app(scope, receive, send)

    anyio.run(leave_after_the_first_chunk)
    assert counting.searches <= 2


def test_database_is_asked_for_one_small_page_at_a_time(on_sqlite: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    counting: Any = Counting(on_sqlite)
    monkeypatch.setattr(streaming, "PAGE", 10)
    with client_of(make_app(counting)) as client:
        number = len(lines(client.get("/search?f=ndjson").text))
    assert counting.searches == -(-number // 10)
    assert number > len(DAYS) * 5
