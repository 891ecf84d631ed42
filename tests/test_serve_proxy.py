"""Behind proxies: whose headers are believed, and what URLs and addresses come of them."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from services.proxy import BASE, Front, behind

if TYPE_CHECKING:
    from starlette.requests import Request

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("::1"))


async def tell(request: Request) -> JSONResponse:
    headers = [name for name in request.headers if "forwarded" in name]
    client = request.client.host if request.client else None
    return JSONResponse({"base": request.scope[BASE], "client": client, "url": str(request.url), "headers": headers})


APP = Starlette(routes=[Mount("/stac", routes=[Route("/here", tell)])])


def ask(
    front: Front, path: str = "/stac/here", peer: str = "10.0.0.1", **headers: str
) -> dict[str, Any] | httpx.Response:
    names = [(name.replace("_", "-"), value) for name, value in headers.items()]

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(behind(APP, front), client=(peer, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://inside:8000") as client:
            return await client.get(path, headers=names)

    answer = asyncio.run(call())
    return answer.json() if answer.status_code == 200 else answer


def told(front: Front, path: str = "/stac/here", peer: str = "10.0.0.1", **headers: str) -> dict[str, Any]:
    answer = ask(front, path, peer, **headers)
    assert isinstance(answer, dict), answer
    return answer


def test_without_a_proxy_the_request_says_where_it_went() -> None:
    assert told(Front())["base"] == "http://inside:8000"
    assert told(Front(), peer="192.0.2.1")["client"] == "192.0.2.1"


def test_a_trusted_proxy_says_where_the_client_is_and_what_it_sees() -> None:
    found = told(
        Front(TRUSTED),
        x_forwarded_proto="https",
        x_forwarded_host="data.example.org",
        x_forwarded_prefix="/abut",
        x_forwarded_for="192.0.2.1",
    )
    assert found == {
        "base": "https://data.example.org/abut",
        "client": "192.0.2.1",
        "url": "https://data.example.org/abut/stac/here",
        "headers": [],
    }
    assert told(Front(TRUSTED), forwarded="for=192.0.2.1;proto=https;host=a.example")["base"] == "https://a.example"


@pytest.mark.parametrize(("peer", "believed"), [("::ffff:10.0.0.1", True), ("::ffff:11.0.0.1", False), ("::1", True)])
def test_a_proxy_is_known_where_the_service_listens_on_ipv6(peer: str, believed: bool) -> None:
    found = told(Front(TRUSTED), peer=peer, x_forwarded_for="192.0.2.1, ::ffff:10.0.0.2")
    assert found["client"] == ("192.0.2.1" if believed else peer)


def test_a_strangers_headers_are_not_believed() -> None:
    found = told(
        Front(TRUSTED),
        peer="192.0.2.66",
        x_forwarded_proto="https",
        x_forwarded_host="evil.example",
        x_forwarded_prefix="/evil",
        x_forwarded_for="10.0.0.1",
        forwarded="host=evil.example",
    )
    assert (found["base"], found["client"], found["headers"]) == ("http://inside:8000", "192.0.2.66", [])


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.0.0.9", "192.0.2.1"),
        ("203.0.113.5, 192.0.2.1, 10.0.0.9", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.8, 10.0.0.9", "10.0.0.8"),
        ("nonsense", "10.0.0.1"),
        ("192.0.2.1, nonsense", "10.0.0.1"),
        ("999.1.1.1", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy_of_ours(chain: str, client: str) -> None:
    assert told(Front(TRUSTED), x_forwarded_for=chain)["client"] == client


def test_the_operators_url_goes_before_what_requests_say() -> None:
    front = Front(TRUSTED, "https://data.example.org/l1c")
    for path in ("/stac/here", "/l1c/stac/here"):  # proxies that take their prefix off, and such that leave it
        found = told(front, path, x_forwarded_host="other.example", x_forwarded_prefix="/other")
        assert found["base"] == "https://data.example.org/l1c"
        assert found["url"] == "https://data.example.org/l1c/stac/here"


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"forwarded": 'for=1.2.3.4;proto=https;host="eo.example.org"'}, "https://eo.example.org"),
        ({"forwarded": "for=_hidden"}, "http://inside:8000"),
        ({"x_forwarded_proto": "https", "x_forwarded_host": "eo.example.org"}, "https://eo.example.org"),
        (
            {"x_forwarded_proto": "https", "x_forwarded_host": "a.example.org", "x_forwarded_port": "8443"},
            "https://a.example.org:8443",
        ),
        ({"x_forwarded_proto": "https", "x_forwarded_port": "443"}, "https://inside"),
        ({"x_forwarded_prefix": "/eo/v1/"}, "http://inside:8000/eo/v1"),
        ({"x_forwarded_host": "[2001:db8::1]:8000"}, "http://[2001:db8::1]:8000"),
        ({"x_forwarded_host": "evil.example.org/<script>", "x_forwarded_proto": "javascript"}, "http://inside:8000"),
        ({"x_forwarded_prefix": "/../x y"}, "http://inside:8000"),
    ],
)
def test_urls_are_those_that_the_client_of_a_proxy_sees(headers: dict[str, str], base: str) -> None:
    assert told(Front(TRUSTED), **headers)["base"] == base


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        # One proxy, which adds what it saw to what the client wrote.
        ({"forwarded": "host=evil.example;proto=http, for=192.0.2.1;host=a.example;proto=https"}, "https://a.example"),
        ({"forwarded": "for=10.0.0.9;host=evil.example, for=192.0.2.1;host=a.example"}, "http://a.example"),
        ({"forwarded": 'for="x;host=evil.example, for=192.0.2.1;host=a.example'}, "http://a.example"),
        ({"forwarded": "host=evil.example, for=unknown;host=a.example"}, "http://a.example"),
        (
            {"x_forwarded_for": "10.0.0.9, 192.0.2.1", "x_forwarded_host": "evil.example, a.example"},
            "http://a.example",
        ),
        (
            {"x_forwarded_host": "evil.example, a.example", "x_forwarded_proto": "http, https"},
            "https://a.example",
        ),
        ({"x_forwarded_prefix": "/evil, /l1c"}, "http://inside:8000/l1c"),
        ({"x_forwarded_host": "a.example", "x_forwarded_port": "666, 8443"}, "http://a.example:8443"),
        # Two of ours: what the outer one saw.
        (
            {"forwarded": "host=evil.example, for=192.0.2.1;host=a.example;proto=https, for=10.0.0.2;host=inner"},
            "https://a.example",
        ),
        ({"forwarded": "for=192.0.2.1, for=10.0.0.2;host=a.example;proto=https"}, "https://a.example"),
        (
            {"x_forwarded_for": "192.0.2.1, 10.0.0.2", "x_forwarded_host": "evil.example, a.example, inner"},
            "http://a.example",
        ),
        # The inner one replaces what the outer one wrote.
        ({"x_forwarded_for": "192.0.2.1, 10.0.0.2", "x_forwarded_host": "a.example"}, "http://a.example"),
        # The proxy writes one kind, and lets the other through: one of them is the client's.
        (
            {"forwarded": "host=evil.example", "x_forwarded_host": "a.example", "x_forwarded_prefix": "/a"},
            "http://inside:8000",
        ),
        ({"forwarded": "host=a.example;proto=https", "x_forwarded_proto": "https"}, "https://inside:8000"),
        (
            {
                "forwarded": "for=192.0.2.1;host=a.example;proto=https",
                "x_forwarded_for": "192.0.2.1",
                "x_forwarded_host": "a.example",
                "x_forwarded_proto": "https",
            },
            "https://a.example",
        ),
    ],
)
def test_what_clients_write_into_the_headers_of_proxies_is_not_believed(headers: dict[str, str], base: str) -> None:
    assert told(Front(TRUSTED), **headers)["base"] == base


def test_a_client_that_writes_another_kind_of_header_hides_nobody() -> None:
    said = {"forwarded": "for=203.0.113.5", "x_forwarded_for": "192.0.2.1"}
    assert told(Front(TRUSTED), **said)["client"] == "10.0.0.1", "the proxy: it is not known which of them wrote it"


def test_headers_that_a_proxy_adds_in_lines_of_their_own_come_last() -> None:
    async def call() -> Any:
        transport = httpx.ASGITransport(behind(APP, Front(TRUSTED)), client=("10.0.0.1", 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://inside:8000") as client:
            lines = [("x-forwarded-host", "evil.example"), ("x-forwarded-host", "a.example")]
            return (await client.get("/stac/here", headers=lines)).json()

    assert asyncio.run(call())["base"] == "http://a.example"


@pytest.mark.parametrize("host", ["evil.example/a", "a b", "<script>", "a:b", "user@host", "a" * 300])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    answer = ask(Front(), host=host)
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == 400


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40), st.sampled_from(["for", "host", "prefix"])
)
def test_whatever_a_proxy_says_the_url_stays_one(value: str, name: str) -> None:
    base = told(Front(TRUSTED), **{f"x_forwarded_{name}": value.strip()})["base"]
    parts = httpx.URL(base)
    assert parts.scheme == "http"
    assert not parts.query
    assert not set(base) & set(' "<>\\{}')
