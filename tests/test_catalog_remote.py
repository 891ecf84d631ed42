"""A catalogue behind a STAC API: retries, refusals, and the same items as in a catalogue of one's own."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING, Any, override

import httpx
import pytest

from abut.errors import CatalogueError
from catalog.announced import BULK, REGISTER
from catalog.opening import open_catalogue
from catalog.remote import RemoteCatalogue, open_remote
from catalog.remote_http import Patience
from tests.stac.items import L1C, OTHER, WITHDRAWN, collections, copies, product_id
from tests.writing import REGISTRAR, WRITER, live, photo, writing_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from catalog.interface import Catalogue

QUICK = Patience(tries=4, first=0.02, longest=0.2, connect=2, answer=5)


@dataclass
class Moody:
    """A server before another one, that fails some requests before or after it has passed them on."""

    target: str
    before: list[Callable[[], tuple[int, dict[str, str]]]] = field(default_factory=list)
    """What to answer instead of passing the next requests on."""
    lost: int = 0
    """How many answers to get lost after the request was passed on."""
    only: str = ""
    """Method that is concerned; empty: all."""
    seen: list[tuple[str, float]] = field(default_factory=list)
    """Methods and times of all requests."""


@contextlib.contextmanager
def moody(target: str) -> Iterator[tuple[str, Moody]]:
    state = Moody(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.seen.append((self.command, time.monotonic()))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            concerned = not state.only or self.command == state.only
            if concerned and state.before:
                status, headers = state.before.pop(0)()
                if status == 0:
                    self.close_connection = True
                    return
                self._send(status, headers, b"try later")
                return
            sent = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            answer = httpx.request(self.command, f"{state.target}{self.path}", headers=sent, content=body, timeout=30)
            if concerned and state.lost:
                state.lost -= 1
                self.close_connection = True
                return
            kept = {name: answer.headers[name] for name in ("content-type", "location") if name in answer.headers}
            self._send(answer.status_code, kept, answer.content)

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if status != 204:
                self.wfile.write(body)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's names

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answering(status: int, **headers: str) -> Callable[[], tuple[int, dict[str, str]]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: (status, named)


CUT: Callable[[], tuple[int, dict[str, str]]] = answering(0)
"""The connection is closed without an answer."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue behind the server."""
    return tmp_path_factory.mktemp("catalogue") / "catalog.sqlite"


@pytest.fixture(scope="module")
def server(file: Path) -> Iterator[str]:
    with live(writing_app(str(file))) as url:
        yield url


@pytest.fixture
def own(file: Path, server: str) -> Iterator[Catalogue]:
    """The catalogue behind the server, empty but for its collections."""
    assert server
    with open_catalogue(file) as catalogue:
        for collection in catalogue.collections():
            catalogue.remove_collection(collection["id"])
        for made in collections():
            catalogue.put_collection(made)
        yield catalogue


@pytest.fixture
def remote(server: str, own: Catalogue) -> Iterator[RemoteCatalogue]:
    assert own
    with open_remote(server, REGISTRAR, patience=QUICK) as catalogue:
        yield catalogue


@pytest.fixture
def between(server: str, own: Catalogue) -> Iterator[tuple[RemoteCatalogue, Moody]]:
    """The same, through a server that fails."""
    assert own
    with moody(server) as (url, state), open_remote(url, REGISTRAR, patience=QUICK) as catalogue:
        state.seen.clear()
        yield catalogue, state


def test_a_server_of_abut_is_known_as_one(remote: RemoteCatalogue, server: str) -> None:
    assert (remote.is_abut, remote.has_bulk, remote.url) == (True, True, server)


def test_items_come_back_as_they_were_handed_in(remote: RemoteCatalogue, own: Catalogue) -> None:
    items = copies()
    assert remote.upsert_many(items) == len(items)
    assert remote.collections() == own.collections()
    assert list(remote.items(withdrawn=True)) == list(own.items(withdrawn=True))
    assert list(remote.items()) == list(own.items())
    for collection in (L1C, OTHER):
        assert (
            remote.ids(collection)
            == own.ids(collection)
            == {one["id"] for one in items if one["collection"] == collection}
        )
        assert list(remote.items(collection, withdrawn=True)) == list(own.items(collection, withdrawn=True))
    hidden = product_id(*WITHDRAWN)
    assert hidden not in {one["id"] for one in remote.items(L1C)}
    assert remote.get(hidden) == own.get(hidden)
    assert remote.revision(hidden) == 3
    assert remote.get("none") is None
    assert remote.revision("none") is None
    assert remote.ids("none") == set()
    assert list(remote.items("none")) == []


def test_pages_of_all_items_have_no_seams(
    remote: RemoteCatalogue, own: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.upsert_many(copies())
    monkeypatch.setattr("catalog.remote.PAGE", 7)
    assert list(remote.items(withdrawn=True)) == list(own.items(withdrawn=True))


def test_older_revisions_are_passed_over(remote: RemoteCatalogue, own: Catalogue) -> None:
    item = next(one for one in copies() if one["id"] == product_id(*WITHDRAWN))
    assert remote.upsert_many([item]) == 1
    item["properties"]["abut:revision"] = 2
    assert remote.upsert_many([item]) == 0
    item["properties"]["abut:revision"] = 3
    assert remote.upsert_many([item]) == 1
    assert own.revision(item["id"]) == 3


def test_an_item_is_removed_withdrawn_or_not(remote: RemoteCatalogue, own: Catalogue) -> None:
    items = copies()
    own.upsert_many(items)
    for name, collection in ((product_id(*WITHDRAWN), L1C), (items[0]["id"], L1C), ("photo-1", OTHER)):
        assert remote.remove(name, collection)
        assert own.get(name, collection) is None
        assert not remote.remove(name, collection)


def test_collections_are_added_replaced_and_removed(remote: RemoteCatalogue, own: Catalogue) -> None:
    maps = {**collections()[1], "id": "maps"}
    remote.put_collection(maps)
    remote.put_collection({**maps, "title": "Maps"})
    assert [one["id"] for one in own.collections()] == [OTHER, "maps", L1C]
    assert own.collections()[1]["title"] == "Maps"
    own.upsert_many(copies())
    for name in ("maps", L1C):
        assert remote.remove_collection(name)
        assert not remote.remove_collection(name)
    assert [one["id"] for one in own.collections()] == [OTHER]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"collection": "none"}, "no collection 'none'"),
        ({"id": "a/b"}, "id: 'a/b': not a name"),
        ({"properties": {}}, "properties.datetime: missing"),
        ({"collection": None}, "both are needed"),
    ],
)
def test_what_is_no_item_is_a_value_error(
    remote: RemoteCatalogue, own: Catalogue, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        remote.upsert_many([photo("good"), photo("bad") | change])
    assert own.get("bad", OTHER) is None


def test_large_loads_are_cut(remote: RemoteCatalogue, own: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.remote_items.BATCH_BYTES", 20_000)
    items = copies()
    items.append(items[0])
    assert remote.upsert_many(items) == len(items)
    assert len(own.ids()) + len(own.ids(OTHER)) == len(items) - 1


def test_a_server_that_takes_less_at_once_gets_less(file: Path, own: Catalogue) -> None:
    app = writing_app(str(file), max_written_body=30_000)
    with live(app) as url, open_remote(url, REGISTRAR, patience=QUICK) as small:
        assert small.upsert_many(copies()) == len(copies())
    assert len(own.ids()) + len(own.ids(OTHER)) == len(copies())


# A server that fails


FAILURES = {
    "busy": answering(503),
    "too many": answering(429, Retry_After="0"),
    "bad gateway": answering(502),
    "timed out behind": answering(504),
    "cut": CUT,
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_request_is_sent_again(between: tuple[RemoteCatalogue, Moody], own: Catalogue, failure: Any) -> None:
    remote, state = between
    state.before = [failure] * 3
    assert remote.upsert_many([photo()]) == 1
    assert own.ids(OTHER) == {"photo-1"}
    assert len(state.seen) == 4


def test_after_some_tries_the_server_is_given_up(between: tuple[RemoteCatalogue, Moody]) -> None:
    remote, state = between
    state.before = [answering(503)] * 10
    with pytest.raises(CatalogueError, match=rf"catalogue {remote.url}: can't be reached \(status 503, 4 tries\)"):
        remote.get("x")
    assert len(state.seen) == 4


def test_no_further_try_is_begun_after_a_while(server: str, own: Catalogue) -> None:
    assert own
    patience = Patience(tries=50, first=0.05, longest=0.05, connect=2, answer=5, whole=0.2)
    with moody(server) as (url, state), open_remote(url, REGISTRAR, patience=patience) as remote:
        state.before = [CUT] * 100
        state.seen.clear()
        with pytest.raises(CatalogueError, match=r"RemoteProtocolError: .* tries"):
            remote.get("x")
        assert 1 < len(state.seen) < 15


def test_the_time_between_tries_grows(between: tuple[RemoteCatalogue, Moody]) -> None:
    remote, state = between
    state.before = [CUT] * 3
    remote.get("x")
    times = [moment for _, moment in state.seen]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(pause >= 0.01 * 2**number for number, pause in enumerate(pauses))


def test_a_server_may_ask_for_patience(between: tuple[RemoteCatalogue, Moody]) -> None:
    remote, state = between
    for text in ("7", formatdate(time.time() + 60, usegmt=True)):
        state.seen.clear()
        state.before = [answering(429, Retry_After=text)]
        remote.get("x")
        assert 0.2 <= state.seen[1][1] - state.seen[0][1] < 5  # not longer than `Patience.longest` says


@pytest.mark.parametrize("text", ["soon", "-1", ""])
def test_a_wish_that_makes_no_sense_is_ignored(between: tuple[RemoteCatalogue, Moody], text: str) -> None:
    remote, state = between
    state.before = [answering(429, Retry_After=text)]
    assert remote.get("x") is None


def test_an_answer_that_was_lost_does_no_harm(between: tuple[RemoteCatalogue, Moody], own: Catalogue) -> None:
    """The request was done; that it is sent again must not do it twice, nor fail."""
    remote, state = between
    items = copies()
    state.lost = 2
    assert remote.upsert_many(items) == len(items)
    assert len(own.ids()) + len(own.ids(OTHER)) == len(items)
    state.lost, state.only = 1, "POST"
    remote.put_collection({**collections()[1], "id": "maps"})
    state.lost, state.only = 1, "DELETE"
    assert remote.remove("photo-1", OTHER)
    state.lost = 1
    assert remote.remove(product_id(*WITHDRAWN))
    state.lost = 1
    assert remote.remove_collection("maps")
    assert "photo-1" not in own.ids(OTHER)
    assert [one["id"] for one in own.collections()] == [OTHER, L1C]


def test_a_server_without_bulk_gets_items_one_by_one(between: tuple[RemoteCatalogue, Moody], own: Catalogue) -> None:
    remote, state = between
    plain = RemoteCatalogue(remote.http, is_abut=False, has_bulk=False)
    items = [one for one in copies() if one["collection"] == OTHER]
    state.lost, state.only = 1, "POST"
    assert plain.upsert_many(items) == len(items)
    assert {method for method, _ in state.seen} == {"PUT", "POST"}
    assert plain.ids(OTHER) == own.ids(OTHER) == {one["id"] for one in items}
    assert list(plain.items(OTHER)) == items
    assert plain.get("photo-2", OTHER) == items[2]
    assert [one["id"] for one in plain.collections()] == [OTHER, L1C]
    assert plain.upsert_many(items) == len(items)
    assert plain.remove("photo-2", OTHER)
    assert plain.get("photo-2", OTHER) is None
    with pytest.raises(ValueError, match=r"item photo-9: properties\.datetime: missing"):
        plain.upsert_many([photo("photo-9") | {"properties": {}}])


def test_pages_of_a_plain_server_are_followed(
    remote: RemoteCatalogue, own: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.remote.PAGE", 2)
    items = [one for one in copies() if one["collection"] == OTHER]
    own.upsert_many(items)
    plain = RemoteCatalogue(remote.http, is_abut=False, has_bulk=False)
    assert list(plain.items(OTHER)) == items


def test_a_server_that_can_t_hide_items_keeps_no_withdrawn_ones(
    between: tuple[RemoteCatalogue, Moody], own: Catalogue
) -> None:
    plain = RemoteCatalogue(between[0].http, is_abut=False, has_bulk=False)
    item = photo()
    assert plain.upsert_many([item]) == 1
    item["properties"]["abut:withdrawn"] = True
    assert plain.upsert_many([item]) == 1
    assert own.ids(OTHER) == set()


# A server that refuses


def test_without_a_token_it_says_which_variable_is_missing(server: str, own: Catalogue) -> None:
    assert own
    wanted = r"it wants a token in ABUT_CATALOGUE_TOKEN \(401: needs a bearer"
    with open_remote(server, patience=QUICK) as remote, pytest.raises(CatalogueError, match=wanted):
        remote.upsert_many([photo()])
    with open_remote(server, "a-token-that-is-wrong", patience=QUICK) as remote:
        with pytest.raises(CatalogueError, match="does not accept the token of ABUT_CATALOGUE_TOKEN") as caught:
            remote.ids()
        assert "a-token-that-is-wrong" not in str(caught.value)


def test_with_a_writer_s_token_it_says_which_scope_is_missing(server: str, own: Catalogue) -> None:
    item = copies()[0]
    wanted = r"ABUT_CATALOGUE_TOKEN does not permit it .*scope abut:register"
    with open_remote(server, WRITER, patience=QUICK) as remote, pytest.raises(CatalogueError, match=wanted):
        remote.upsert_many([item])
    assert own.ids() == set()


def test_the_token_comes_from_the_environment(server: str, own: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABUT_CATALOGUE_TOKEN", REGISTRAR)
    with open_catalogue(server) as remote:
        assert remote.upsert_many([photo()]) == 1
    assert own.ids(OTHER) == {"photo-1"}


def test_no_server_is_one_line(tmp_path: Path) -> None:
    assert tmp_path
    with pytest.raises(CatalogueError, match=r"catalogue http://127\.0\.0\.1:9: can't be reached \(ConnectError"):
        open_remote("http://127.0.0.1:9", patience=QUICK)


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        (200, {"content-type": "text/html"}, b"<html>", "answered with text/html, not JSON"),
        (200, {}, b"[]", "no STAC API"),
        (200, {}, b'{"conformsTo": 7}', "no STAC API"),
        (302, {"location": "https://example.org/stac"}, b"", "it is at https://example.org/stac; use that URL"),
        (404, {}, b'{"detail": "no such page"}', "GET / answered 404: no such page"),
        (500, {}, b"oh no", "GET / answered 500: oh no"),
    ],
)
def test_what_is_no_stac_api_is_said(status: int, headers: dict[str, str], body: bytes, message: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        with pytest.raises(CatalogueError) as caught:
            open_remote(f"http://127.0.0.1:{server.server_port}", patience=QUICK)
        assert message in str(caught.value)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_names_of_the_routes_are_part_of_the_protocol() -> None:
    assert json.dumps([REGISTER, BULK]) == '["urn:abut:stac:register:1", "urn:abut:stac:bulk:1"]'
