"""Who may read where reading needs a token: each route of each part, with tokens, tickets, and through proxies."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from abut.archive import create_archive
from ingest.ingest import ingest
from services.access import FREE
from services.app import archive_parts, compose, create_app
from services.settings import PARTS, InvalidSettingError, Settings, load_settings
from services.stac.auth import READ, InvalidTokenError
from services.tickets import Tickets
from tests.provider import AUDIENCE, provider
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp, Message

    from abut.archive import Archive

READER, OTHER, WRITER, REGISTRAR = (f"the-token-of-a-{who}" for who in ("reader", "friend", "writer", "registrar"))
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
KEY = "k" * 32
CLOSED = {
    "read": "token",
    "read_tokens": f"{READER},{OTHER}",
    "write_tokens": WRITER,
    "register_tokens": REGISTRAR,
    "transactions": True,
    "ticket_key": KEY,
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    made = create_archive(tmp_path_factory.mktemp("access") / "archive")
    ingest(made, ToySource(TILES[0]), threads=1)
    return made


@pytest.fixture(scope="module")
def closed(archive: Archive) -> Settings:
    return load_settings(archive=archive.store.url, **CLOSED)


@pytest.fixture(scope="module")
def app(closed: Settings) -> ASGIApp:
    return create_app(closed)


@pytest.fixture(scope="module")
def client(app: ASGIApp) -> Iterator[TestClient]:
    with TestClient(app, client=("127.0.0.1", 50_000)) as made:
        yield made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass
class Answer:
    """What an application answered to a request whose body it must not read."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)


def asked(app: ASGIApp, method: str, path: str, headers: dict[str, str] | None = None, query: str = "") -> Answer:
    """Ask an application that is not even started: whoever answers must need neither store, database nor body."""
    answer = Answer()

    async def receive() -> Message:
        raise AssertionError("the body is read before the token")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}

    sent = {"host": "l1c.example.org", "content-length": "1000000000", **(headers or {})}
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "server": ("l1c.example.org", 80),
        "client": ("192.0.2.7", 1),
        "path": path,
        "raw_path": path.encode(errors="surrogateescape"),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
    }
    asyncio.run(_awaited(app, scope, receive, send))
    return answer


async def _awaited(app: ASGIApp, *given: Any) -> None:
    await app(*given)


def paths_of(app: Any, prefix: str = "") -> Iterator[str]:
    """All paths that an application has, parameters filled with something, and one of parts without routes."""
    routes = getattr(app, "routes", None)
    if not routes:
        yield f"{prefix}/anything"
        return
    if isinstance(app, FastAPI):
        yield from (f"{prefix}{path}" for path in app.openapi()["paths"])
    for route in routes:
        if isinstance(route, Mount):
            yield from paths_of(route.app, f"{prefix}{route.path}")
        elif isinstance(getattr(route, "app", None), Starlette):
            yield from paths_of(route.app, f"{prefix}{getattr(route, 'path', '')}")
        else:
            yield f"{prefix}{getattr(route, 'path', '')}"


def is_free(path: str) -> bool:
    return path in FREE or path == "/viewer" or path.startswith("/viewer/")


def test_every_route_of_every_part_needs_a_token(closed: Settings, app: ASGIApp) -> None:
    """A route that is added anywhere is found here: by the applications' own lists, and by their OpenAPI documents."""
    parts = archive_parts(closed)
    composed = compose(closed, parts, Tickets(KEY.encode()))
    found = {re.sub(r"{[^}]*}", "x", path) for path in paths_of(composed)}
    found |= {path.rstrip("/") for path in found} | {"/zarr/collection.json", "/zarr/zones/32632/2025.zarr/zarr.json"}
    for part in (*PARTS, "zarr/zones"):
        assert any(path.startswith(f"/{part}") for path in found), part
    assert len(found) >= 90
    assert {path for path in found if is_free(path)} == {*FREE, "/viewer", "/viewer/", "/viewer/x"}
    for path in sorted(found):
        if is_free(path):
            continue
        for method in METHODS:
            answer = asked(app, method, path)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="abut"'), (method, path)
            assert answer.headers["cache-control"] == "no-store"


@given(
    path=st.text(st.characters(codec="utf-8"), max_size=40).map(lambda text: f"/{text}"),
    method=st.sampled_from(METHODS),
    query=st.sampled_from(["", "access_token=" + READER, "token=" + READER, "ticket=", "ticket=x.y&ticket=z", "%"]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_and_no_query_leads_around_it(app: ASGIApp, path: str, method: str, query: str) -> None:
    if not is_free(path):
        assert asked(app, method, path, query=query).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {READER}x"},
        {"authorization": f"Bearer{READER}"},
        {"cookie": f"token={READER}"},
        {"x-forwarded-user": "admin", "x-original-url": "/healthz"},
        {"accept": "text/html"},
        {"origin": "https://elsewhere.example"},
    ],
)
def test_nothing_but_a_bearer_token_is_one(app: ASGIApp, headers: dict[str, str]) -> None:
    for path in ("/stac", "/tiles/renders", "/zarr/collection.json", "/cubes/jobs", "/legacy/x"):
        assert asked(app, "GET", path, headers).status == 401


def test_reading_takes_any_scope_and_each_contains_those_below(client: TestClient, archive: Archive) -> None:
    (name,) = archive.product_ids()
    for token in (READER, WRITER, REGISTRAR):
        for path in ("/", "/stac", f"/zarr/products/{name}.json", "/tiles/renders", "/cubes/processes"):
            answer = client.get(path, headers=bearer(token))
            assert answer.status_code == 200, (path, answer.text)
            assert "Authorization" in answer.headers["vary"]
            assert "private" in answer.headers["cache-control"] or "no-store" in answer.headers["cache-control"]
            assert "public" not in answer.headers["cache-control"]
    made: dict[str, Any] = {
        "type": "Collection",
        "id": "mine",
        "stac_version": "1.1.0",
        "description": "x",
        "license": "other",
    }
    made |= {"links": [], "extent": {"spatial": {"bbox": [[0, 0, 1, 1]]}, "temporal": {"interval": [[None, None]]}}}
    assert client.post("/stac/collections", json=made, headers=bearer(READER)).status_code == 403
    assert client.post("/stac/collections", json=made, headers=bearer(WRITER)).status_code == 201
    item = f"/stac/collections/sentinel-2-l1c/items/{name}"
    assert client.delete(item, headers=bearer(WRITER)).status_code == 403
    assert client.post("/stac/search", json={"limit": 1}, headers=bearer(READER)).status_code == 200


def test_probes_and_the_page_that_asks_for_a_token_need_none(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"alive": True}
    assert client.get("/readyz").json()["ready"] is True
    assert client.get("/metrics").status_code == 200
    page = client.get("/", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert page.text.startswith("<!doctype html>")
    script = re.search(r'src="(viewer/[^"]+\.js)"', page.text)
    assert script
    assert client.get(f"/{script[1]}").status_code == 200
    refused = client.get("/")
    assert refused.status_code == 401
    assert refused.json() == {"code": "Unauthorized", "description": f"needs a bearer token of scope {READ}"}


def test_a_browser_s_question_what_it_may_ask_needs_no_token_and_refusals_can_be_read(client: TestClient) -> None:
    asking = {"origin": "https://map.example", "access-control-request-method": "GET"}
    for path in ("/stac/search", "/tiles/renders", "/cubes/processes", "/zarr/collection.json"):
        told = client.options(path, headers={**asking, "access-control-request-headers": "authorization"})
        assert told.status_code in (200, 204), (path, told.text)
        assert "authorization" in told.headers["access-control-allow-headers"].lower()
        refused = client.get(path, headers={"origin": "https://map.example"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
        plain = client.options(path, headers={"origin": "https://map.example"})
        assert plain.status_code == 401


def test_refusals_are_told_to_pages_of_permitted_sites_only(archive: Archive) -> None:
    app = create_app(load_settings(archive=archive.store.url, **CLOSED, cors_origins="https://map.example"))
    for origin, told in [("https://map.example", "https://map.example"), ("https://other.example", None)]:
        answer = asked(app, "GET", "/stac", {"origin": origin})
        assert answer.headers.get("access-control-allow-origin") == told


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"read": "token"}, "ABUT_READ=token needs ABUT_READ_TOKENS or ABUT_OIDC_ISSUER: who may read?"),
        ({"read_tokens": READER}, "ABUT_READ_TOKENS is set, but everybody may read: set ABUT_READ=token"),
        ({"read": "closed"}, "ABUT_READ=closed: Input should be 'open' or 'token'"),
        ({"ticket_key": "short-secret"}, "ABUT_TICKET_KEY: a key has 32 characters at least"),
        (
            {"metrics_token": "short-secret"},
            "ABUT_METRICS_TOKEN: Value should have at least 16 items after validation, not 12",
        ),
    ],
)
def test_settings_that_would_not_protect_are_refused(archive: Archive, given_: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        load_settings(archive=archive.store.url, **given_)
    assert str(refused.value) == said


def test_a_short_token_is_refused_without_being_shown(archive: Archive) -> None:
    with pytest.raises(InvalidSettingError, match="a token of abut:read is shorter than 16") as refused:
        create_app(load_settings(archive=archive.store.url, read="token", read_tokens="brief"))
    assert "brief" not in str(refused.value)


def test_a_provider_s_scopes_decide(archive: Archive) -> None:
    with provider() as idp:
        oidc = {"oidc_issuer": idp.url, "oidc_audience": AUDIENCE}
        app = create_app(load_settings(archive=archive.store.url, read="token", **oidc))
        with TestClient(app) as client:
            for scope in ("abut:read", "stac:write", "openid abut:register"):
                assert client.get("/stac", headers=bearer(idp.token(scope))).status_code == 200
            lacking = client.get("/stac", headers=bearer(idp.token("openid profile")))
            assert lacking.status_code == 403
            assert lacking.headers["www-authenticate"] == (
                'Bearer realm="abut", error="insufficient_scope", scope="abut:read"'
            )
            assert client.get("/stac", headers=bearer(idp.token("abut:read", exp=1))).status_code == 401
            # Without transactions nobody writes, whatever the token says.
            posted = client.post("/stac/collections", json={}, headers=bearer(idp.token("abut:register")))
            assert posted.status_code == 405
        idp.broken = True
        with TestClient(create_app(load_settings(archive=archive.store.url, read="token", **oidc))) as client:
            away = client.get("/stac", headers=bearer(idp.token("abut:read")))
            assert (away.status_code, away.headers["retry-after"]) == (503, "10")
            assert client.get("/healthz").status_code == 200


def ticket_of(client: TestClient, path: str = "/", token: str = READER, **more: Any) -> str:
    answer = client.post("/access/tickets", json={"path": path, **more}, headers=bearer(token))
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["parameter"] == "ticket"
    return str(answer.json()["ticket"])


def test_a_ticket_reads_its_path_and_nothing_else(client: TestClient) -> None:
    ticket = ticket_of(client, "/tiles")
    assert client.get(f"/tiles/renders?ticket={ticket}").status_code == 200
    assert client.head(f"/tiles?ticket={ticket}").status_code in (200, 405)
    for path in ("/stac", "/tilesx", "/zarr/collection.json", "/"):
        refused = client.get(f"{path}?ticket={ticket}")
        assert (refused.status_code, refused.json()["description"]) == (401, "ticket not accepted: it is for /tiles")
    assert client.get(f"/stac?ticket={ticket_of(client)}").status_code == 200
    one = ticket_of(client, "/zarr/collection.json")
    assert client.get(f"/zarr/collection.json?ticket={one}").status_code == 200


def test_a_ticket_changes_nothing(client: TestClient) -> None:
    ticket = ticket_of(client)
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        refused = client.request(method, f"/stac/search?ticket={ticket}")
        assert refused.status_code == 401, method
    more = client.post(f"/access/tickets?ticket={ticket}")
    assert more.status_code == 401  # or a ticket would last for ever


def test_no_answer_has_the_ticket_but_those_that_name_tiles(client: TestClient) -> None:
    ticket = ticket_of(client)
    for path in ("/stac", "/stac/search?limit=1", "/tiles", "/cubes", "/", "/tiles/renders", "/stac/nothing", "/x"):
        joint = "&" if "?" in path else "?"
        answer = client.get(f"{path}{joint}ticket={ticket}")
        assert ticket not in answer.text, path
        assert ticket not in str(answer.headers), path
        plain = client.get(path, headers=bearer(READER))
        assert (answer.status_code, answer.headers.get("etag")) == (plain.status_code, plain.headers.get("etag"))
    for document in ("WebMercatorQuad/tilejson.json?render=ndvi", "WMTSCapabilities.xml?SERVICE=WMTS"):
        answer = client.get(f"/tiles/mosaic/{document}&ticket={ticket}")
        assert answer.status_code == 200, answer.text
        assert f"ticket={ticket}" in answer.text
        assert answer.headers["cache-control"] == "no-store"
    tile = client.get(f"/tiles/mosaic/WebMercatorQuad/tilejson.json?render=ndvi&ticket={ticket}").json()["tiles"][0]
    path = tile.removeprefix("http://testserver").format(z=8, x=132, y=90)
    assert client.get(path).status_code in (200, 204)
    unknown = client.get(f"/tiles/mosaic/WMTSCapabilities.xml?ticket={ticket}", headers=bearer(READER))
    assert (unknown.status_code, ticket in unknown.text) == (200, False)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"path": "tiles"}, "path: 'tiles' is not a path of the service such as /tiles or /zarr/products"),
        ({"path": "/tiles/../stac"}, "path: '/tiles/../stac' is not a path"),
        ({"path": "/a b"}, "path: '/a b' is not a path"),
        ({"seconds": 0}, "seconds: 0 is not from 1 to 3600"),
        ({"seconds": 3601}, "seconds: 3601 is not from 1 to 3600"),
        ({"seconds": True}, "path has to be text, and seconds a whole number"),
        ({"scope": "abut:register"}, "the body is not a JSON object with path and seconds"),
        ([], "the body is not a JSON object with path and seconds"),
    ],
)
def test_tickets_that_make_no_sense_are_not_made(client: TestClient, body: Any, said: str) -> None:
    answer = client.post("/access/tickets", json=body, headers=bearer(READER))
    assert answer.status_code == 400
    assert answer.json()["description"].startswith(said)


def test_bodies_that_are_no_wish_are_refused(client: TestClient) -> None:
    for content in (b"{", b"[" * 4000, b"x" * 5000):
        assert client.post("/access/tickets", content=content, headers=bearer(READER)).status_code == 400
    assert client.post("/access/tickets", headers=bearer(READER)).status_code == 201


def test_a_ticket_ends_and_can_not_be_changed() -> None:
    now = 1_000_000.0
    tickets = Tickets(KEY.encode(), 60, lambda: now)
    ticket, end = tickets.make("somebody", "/tiles", 60)
    assert end == 1_000_060
    assert tickets.holder(ticket, "/tiles/x") == "somebody"
    said, _, signature = ticket.partition(".")
    longer, _, _ = Tickets(b"another" * 5, 10_000, lambda: now).make("somebody", "/", 10_000)[0].partition(".")
    for changed in (
        f"{longer}.{signature}",
        f"{said}.{signature[:-2]}",
        f"{said[:-1]}.{signature}",
        said,
        "",
        ".",
        "é.é",
        ticket.swapcase(),
        f"{said}.{signature}." + "A" * 5000,
    ):
        with pytest.raises(InvalidTokenError):
            tickets.holder(changed, "/tiles")
    with pytest.raises(InvalidTokenError, match="none of this service"):
        Tickets(b"x" * 32, 60, lambda: now).holder(ticket, "/tiles")
    now += 60
    with pytest.raises(InvalidTokenError, match="it has ended"):
        tickets.holder(ticket, "/tiles")


def test_where_everybody_may_read_nothing_is_guarded(archive: Archive) -> None:
    with TestClient(create_app(load_settings(archive=archive.store.url))) as client:
        answer = client.get("/stac")
        assert (answer.status_code, "private" in answer.headers["cache-control"]) == (200, False)
        assert client.post("/access/tickets").status_code == 404


def job(app: ASGIApp, peer: str = "192.0.2.7", **headers: str) -> int:
    """Ask for a job that nobody begins, as the service is not started; return the status."""
    client = TestClient(app, client=(peer, 50_000))
    inputs = {"tile": TILES[0], "datetime": "2023", "bands": ["B09"]}
    sent = {"prefer": "respond-async", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return client.post("/cubes/processes/cube/execution", json={"inputs": inputs}, headers=sent).status_code


def test_a_user_with_a_token_has_so_many_jobs_wherever_they_come_from(archive: Archive, tmp_path: Path) -> None:
    jobs = {"jobs": str(tmp_path / "jobs.sqlite"), "cube_jobs_per_user": 2}
    app = create_app(load_settings(archive=archive.store.url, **CLOSED, **jobs))
    mine, other = bearer(READER), bearer(OTHER)
    assert job(app) == 401
    assert [job(app, "192.0.2.1", **mine), job(app, "127.0.0.1", **mine, x_forwarded_for="192.0.2.9")] == [201, 201]
    assert [job(app, peer, **mine) for peer in ("192.0.2.2", "2001:db8::1", "127.0.0.1")] == [429] * 3
    assert job(app, "192.0.2.1", **other) == 201
    client = TestClient(app)
    assert len(client.get("/cubes/jobs", headers=mine).json()["jobs"]) == 2
    (one,) = client.get("/cubes/jobs", headers=other).json()["jobs"]
    assert client.get(f"/cubes/jobs/{one['jobID']}", headers=mine).status_code == 404
    assert client.delete(f"/cubes/jobs/{one['jobID']}", headers=mine).status_code == 404
    ticket = ticket_of(client, "/cubes/jobs", OTHER)
    assert client.get(f"/cubes/jobs/{one['jobID']}?ticket={ticket}").json()["jobID"] == one["jobID"]
    assert client.delete(f"/cubes/jobs/{one['jobID']}?ticket={ticket}").status_code == 401


def test_a_user_without_a_token_is_an_address_that_only_trusted_proxies_tell(archive: Archive, tmp_path: Path) -> None:
    jobs = {"jobs": str(tmp_path / "jobs.sqlite"), "cube_jobs_per_user": 1}
    app = create_app(load_settings(archive=archive.store.url, **jobs))
    assert job(app, "127.0.0.1", x_forwarded_for="192.0.2.1") == 201
    assert job(app, "127.0.0.1", x_forwarded_for="192.0.2.2") == 201  # behind one proxy, two people
    assert job(app, "127.0.0.1", x_forwarded_for="198.51.100.9, 192.0.2.1") == 429  # what a client wrote before it
    assert job(app, "192.0.2.1", x_forwarded_for="203.0.113.5") == 429  # a stranger's header is none
    assert job(app, "2001:db8:1:2::1") == 201
    assert job(app, "2001:db8:1:2:ffff::9") == 429  # the same network of 64 bits is the same client
    assert job(app, "2001:db8:1:3::1") == 201
    assert job(app, "::ffff:192.0.2.1") == 429
    assert job(app, "192.0.2.1", **bearer(READER)) == 429  # a token that means nothing here
