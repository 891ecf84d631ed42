"""Views of an archive behind `abut serve`: the same as of its folder."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, override

import numpy as np
import pytest

from abut import finding_api, http_json
from abut import store as stores
from abut.archive import Archive, create_archive, open_archive
from abut.errors import CatalogueError, InvalidArchiveError, MissingObjectError, UnsupportedStoreError
from abut.finding import ArchiveFinder, Filter, Query, locate
from abut.finding_api import ApiFinder, search_body
from abut.lattice import Bounds, Zone
from abut.period import Period, parse_period
from abut.store import open_store
from abut.view import View, select
from abut.writable import require_conditional_writes
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from tests.reference_view import read_by
from tests.serving import Served, serving
from tests.shots import Shot, shot_days_later
from tests.test_view_archive import pixels
from tests.toy import CORNER, START, TILES, ground

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOTS = [
    *(Shot(name, cloud=cloud) for name, cloud in zip(TILES, (5.0, 40.0, 60.0, 90.0), strict=True)),
    shot_days_later(5, "32TNP", cloud=20.0, orbit=22),
    shot_days_later(40, "32TNP"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive that is not settled; not to be changed."""
    archive = create_archive(tmp_path_factory.mktemp("made") / "archive")
    for shot in SHOTS:
        ingest(archive, shot, threads=1)
    return Path(archive.store.url)


@pytest.fixture(scope="module")
def settled(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Archive, Served]]:
    """The same without its overlap, and its service; not to be changed."""
    archive = open_archive(shutil.copytree(made, tmp_path_factory.mktemp("settled") / "archive"))
    settle(archive)
    purge(archive, grace=timedelta(0))
    with serving(archive.store.url) as service:
        yield archive, service


def both(settled: tuple[Archive, Served], period: Period | None = None, **options: Any) -> tuple[View, View]:
    """A view of the corner from the folder, and through the service."""
    archive, service = settled
    here = select(archive, ArchiveFinder(), CORNER, period, **options)
    there = select(*locate(f"{service.url}/stac"), CORNER, period, **options)
    return here, there


@pytest.mark.parametrize("path", ["", "/", "/stac", "/stac/"])
def test_a_service_is_located_by_its_url_or_that_of_its_api(settled: tuple[Archive, Served], path: str) -> None:
    archive, service = settled
    found, finder = locate(f"{service.url}{path}")
    assert finder == ApiFinder(f"{service.url}/stac")
    assert (found.profile, found.catalogue) == (archive.profile, "")
    assert found.store.url == f"{service.url}/zarr"


@pytest.mark.parametrize(
    ("name", "wanted"),
    {
        "everything": Filter(),
        "clouds": Filter(max_cloud_cover=45),
        "tiles": Filter(tiles=frozenset({"32TNP", "32TPQ"})),
        "ids": Filter(ids=frozenset({SHOTS[1].id, SHOTS[4].id})),
        "orbit": Filter(relative_orbit=22),
        "datatake": Filter(datatake=SHOTS[0].slot),
        "predicate": Filter(predicate=lambda item: item["properties"]["eo:cloud_cover"] > 30, max_cloud_cover=70),
        "nothing": Filter(ids=frozenset({"nothing"})),
        "no tile here": Filter(tiles=frozenset({"33TUJ"})),
    }.items(),
)
def test_a_view_through_the_service_is_that_of_the_folder(
    settled: tuple[Archive, Served], monkeypatch: pytest.MonkeyPatch, name: str, wanted: Filter
) -> None:
    monkeypatch.setattr(finding_api, "_PAGE", 2)  # so that there are pages
    here, there = both(settled, wanted=wanted)
    assert (there.slots, read_by(there)) == (here.slots, read_by(here))
    assert bool(here.slots) == (name not in ("nothing", "no tile here"))
    assert there.renewed() == there


@pytest.mark.parametrize("period", ["2023-08", "2023-08-28", "2023-09/..", "../2023-08-24", "2021"])
def test_periods_are_the_same_in_the_folder_and_through_the_service(
    settled: tuple[Archive, Served], period: str
) -> None:
    here, there = both(settled, parse_period(period))
    assert (there.slots, read_by(there)) == (here.slots, read_by(here))


@pytest.mark.parametrize(
    "cql2", ["eo:cloud_cover > 50", {"op": ">", "args": [{"property": "eo:cloud_cover"}, 50]}], ids=["text", "json"]
)
def test_cql2_chooses_products(settled: tuple[Archive, Served], cql2: Any) -> None:
    clear = Filter(predicate=lambda item: item["properties"]["eo:cloud_cover"] > 50)
    there = select(*locate(settled[1].url), CORNER, wanted=Filter(cql2=cql2, relative_orbit=122))
    assert read_by(there) == read_by(select(settled[0], ArchiveFinder(), CORNER, wanted=clear))


def test_pixels_come_through_the_service(settled: tuple[Archive, Served]) -> None:
    there = select(*locate(settled[1].url), CORNER, Period(START, START + timedelta(days=1)))
    assert np.array_equal(pixels(there), ground("B01", CORNER))
    assert read_by(pickle.loads(pickle.dumps(there))) == read_by(there)  # noqa: S301 - our own


def test_a_view_through_the_service_follows_the_archive(made: Path, tmp_path: Path) -> None:
    archive = open_archive(shutil.copytree(made, tmp_path / "archive"))
    shot = Shot("32TNP", datatake=START + timedelta(days=20), datastrip_start=START + timedelta(days=20))
    with serving(archive.store.url) as service:
        there = locate(service.url)
        first = select(*there, CORNER, Period(START, START + timedelta(days=1)))
        settle(archive)
        purge(archive, grace=timedelta(0))
        with pytest.raises(MissingObjectError):
            pixels(first)
        assert np.array_equal(pixels(first.renewed()), ground("B01", CORNER))
        ingest(archive, shot, threads=1)
        archive.store.delete([f"layers/{shot.layer}.json"])  # listed, and in no ledger
        last = select(*there, CORNER, Period(shot.datatake, shot.datatake + timedelta(days=1)))
        assert last.slots[0].products == (shot.id,)
        assert last.renewed() == last
        withdraw(archive, SHOTS[4].id)
        assert len(select(*there, CORNER).slots) == len(select(archive, ArchiveFinder(), CORNER).slots) == 3


def test_what_is_wrong_with_a_search_is_said(settled: tuple[Archive, Served]) -> None:
    archive, finder = locate(settled[1].url)
    with pytest.raises(CatalogueError, match=rf"{settled[1].url}/stac/search can't be read \(status 400: .*blue"):
        select(archive, finder, CORNER, wanted=Filter(cql2="blue <"))


def test_objects_of_a_service_are_read_one_by_one_and_never_written(settled: tuple[Archive, Served]) -> None:
    objects = open_store(f"{settled[1].url}/zarr/")
    assert objects.read_only
    key = f"products/{SHOTS[0].id}.json"
    found = objects.read(key)
    assert found is not None
    assert json.loads(found.data)["id"] == SHOTS[0].id
    assert found.version == objects.read(key).version  # type: ignore[union-attr] # as above
    assert objects.get(key) == found.data
    assert objects.read("products/nothing.json") is None
    with pytest.raises(MissingObjectError, match=f"{objects.url}/products/nothing.json: no such object"):
        objects.get("products/nothing.json")
    for action in (
        lambda: objects.put_new("a", b""),
        lambda: objects.swap("a", b"", None),
        lambda: list(objects.entries("")),
        lambda: objects.children("products"),
        lambda: objects.delete(["a"]),
        objects.now,
        lambda: require_conditional_writes(objects),
        lambda: create_archive(objects.url),
        lambda: select(open_archive(objects), ArchiveFinder(), CORNER),
    ):
        with pytest.raises(UnsupportedStoreError, match=f"{objects.url}: objects of a web server can be read"):
            action()
    with pytest.raises(InvalidArchiveError, match="not an archive"):
        open_archive(f"{settled[1].url}/nothing")


# Servers in trouble, and servers of something else


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[tuple[str, list[str]]]:
    """Serve answers one after the other, the last one again and again; yields URL and requests."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[min(len(seen), len(answers) - 1)]
            length = int(self.headers.get("Content-Length", 0))
            seen.append(f"{self.command} {self.path} {self.rfile.read(length).decode()}".strip())
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - named by the base class

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_json, "WAITS", (0.0, 0.0, 0.0))


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again_with_the_same_body(status: int) -> None:
    with answering((status, b""), (status, b""), (200, b'{"a": 1}')) as (url, seen):
        assert http_json.fetch_json(f"{url}/x", {"b": 2}) == {"a": 1}
    assert seen == ['POST /x {"b": 2}'] * 3


@pytest.mark.usefixtures("hurried")
def test_a_server_that_stays_busy_is_given_up() -> None:
    with (
        answering((503, b'{"description": "the archive\\ndoes not answer"}')) as (url, seen),
        pytest.raises(CatalogueError, match=rf"{url}/x can't be read \(status 503: the archive does not answer\)"),
    ):
        http_json.fetch(f"{url}/x")
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, b"<html>", r"/x can't be read \(status 400\)"),
        (500, b'{"detail": "oh"}', r"/x can't be read \(status 500: oh\)"),
        (200, b"<html>", "/x: the answer is not JSON"),
        (200, b"[]", "/x: the answer is no JSON object"),
    ],
)
def test_a_refusal_is_final_and_says_why(status: int, body: bytes, reason: str) -> None:
    with answering((status, body)) as (url, seen), pytest.raises(CatalogueError, match=f"{url}{reason}"):
        http_json.fetch_json(f"{url}/x")
    assert len(seen) == 1


@pytest.mark.usefixtures("hurried")
def test_a_server_that_says_nothing_or_is_not_there_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_json, "TIMEOUT", 0.05)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # listens, and never answers
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(CatalogueError, match=rf"{url} can't be read \(.*timed out"):
            http_json.fetch(url)
    with pytest.raises(CatalogueError, match=rf"{url} can't be read \(.*refused"):
        locate(url)
    with pytest.raises(CatalogueError, match="not a URL of http"):
        http_json.fetch("file:///etc/passwd")


def test_an_object_of_a_busy_server_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    soon = timedelta(seconds=0.01)
    monkeypatch.setitem(stores._RETRIES, "backoff", {"init_backoff": soon, "max_backoff": soon})
    with answering((503, b""), (502, b""), (200, b"block")) as (url, seen):
        assert open_store(f"{url}/zarr").get("products/a.zarr/c/0/0") == b"block"
    assert seen == ["GET /zarr/products/a.zarr/c/0/0"] * 3


@pytest.mark.parametrize("url", ["https://", "http://[", "ftp://host/zarr"])
def test_what_is_no_url_of_objects_is_refused(url: str) -> None:
    with pytest.raises(InvalidArchiveError, match=re.escape(url[:8])):
        open_store(url)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, b""), "there is nothing"),
        ((200, b"{}"), "neither a STAC API nor a service"),
        ((200, b'{"links": [{"rel": "data"}, 3]}'), "neither a STAC API nor a service"),
    ],
)
def test_a_server_of_something_else_is_no_archive(answer: tuple[int, bytes], reason: str) -> None:
    with answering(answer) as (url, _), pytest.raises(InvalidArchiveError, match=f"{url}.*{reason}"):
        locate(url)
    with pytest.raises(InvalidArchiveError, match="not the URL of a service"):
        locate(f"{url}/stac?a=b")


def test_an_api_without_objects_is_no_archive() -> None:
    with (
        answering((200, b'{"stac_version": "1.1.0", "links": []}'), (404, b"")) as (url, _),
        pytest.raises(InvalidArchiveError, match=f"{url}/stac: its STAC API has no objects of an archive beside it"),
    ):
        locate(f"{url}/stac")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_next_pages_are_asked_for_as_their_links_say(method: str) -> None:
    with answering((200, b"")) as (url, _):
        pass
    link = {"rel": "next", "href": "/search?token=t", "method": method, "body": {"token": "t"}, "merge": True}
    first = json.dumps({"features": [{"id": "a", "properties": {}}], "links": [link]}).encode()
    query = Query(CORNER, parse_period("2023"))
    with answering((200, first), (200, b'{"features": []}')) as (url, seen):
        assert ApiFinder(url).find(Archive(open_store("memory://"), "default", ""), query) == ()
    assert seen[0] == f"POST /search {json.dumps(search_body(query))}"
    sent = json.dumps({**search_body(query), "token": "t"})
    assert seen[1] == (f"POST /search?token=t {sent}" if method == "POST" else "GET /search?token=t")


def test_an_answer_without_features_is_no_search() -> None:
    archive = Archive(open_store("memory://"), "default", "")
    for answer, reason in (((200, b"{}"), "the answer has no features"), ((404, b""), "there is no search")):
        with answering(answer) as (url, _), pytest.raises(CatalogueError, match=f"{url}/search: {reason}"):
            ApiFinder(url).find(archive, Query(CORNER))


def test_a_window_without_tiles_is_not_searched_for() -> None:
    nowhere = Bounds(Zone(32632), 0, 0, 60, 60)
    assert search_body(Query(nowhere))["query"]["grid:code"] == {"in": []}
    assert ApiFinder("http://127.0.0.1:9").find(Archive(open_store("memory://"), "default", ""), Query(nowhere)) == ()


def test_all_tiles_whose_hull_touches_a_window_are_searched_for() -> None:
    """A product may lend blocks of its hull that its footprint does not touch the window in."""
    block = replace(CORNER, left=CORNER.left, right=CORNER.left + 60)
    assert search_body(Query(block))["query"]["grid:code"]["in"] == ["MGRS-32TNP", "MGRS-32TNQ"]
