"""Every link and asset of `abut serve` leads to what it says; and clients that go leave nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from abut.archive import open_archive, switch_catalogue
from abut.catalogue import without_secrets
from catalog.opening import catalogue_of, open_catalogue
from tests.postgres import new_database
from tests.serving import serving
from tests.stac.items import OTHER, collections, items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.archive import Archive
    from tests.postgres import Cluster
    from tests.serving import Served

STARTS: Final = ("", "/search?limit=1", "/search?limit=1&complete=true&fields=id", "/collections?limit=1&sortby=-id")
"""Where the crawl starts, below the API."""


@pytest.fixture(scope="module", params=["sqlite", "pgstac"])
def served(
    request: pytest.FixtureRequest, old_archive: Archive, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """An archive of two products, and photos, on either database."""
    folder = tmp_path_factory.mktemp("links") / "archive"
    shutil.copytree(old_archive.store.url, folder, copy_function=os.link, ignore=shutil.ignore_patterns("catalog*"))
    for name in ("archive.json", "collection.json"):  # changes of these are the copy's alone
        (folder / name).unlink()
        shutil.copy(f"{old_archive.store.url}/{name}", folder)
    if request.param == "sqlite":
        archive = switch_catalogue(open_archive(folder), "photos.sqlite")
        copy(old_archive, archive.catalogue_url)
        with serving(archive.store.url) as one:
            yield one
        return
    with new_database(request.getfixturevalue("postgres")) as url:
        archive = switch_catalogue(open_archive(folder), without_secrets(url))
        copy(old_archive, url)
        with serving(archive.store.url, catalogue=url) as one:
            yield one


def copy(archive: Archive, url: str) -> None:
    with catalogue_of(archive) as source, open_catalogue(url) as target:
        assert source is not None
        for collection in [*source.collections(), *(one for one in collections() if one["id"] == OTHER)]:
            target.put_collection(collection)
        assert target.upsert_many(source.items()) == 2
        target.upsert_many(one for one in items() if one["collection"] == OTHER)


@dataclass
class Crawler:
    """Follows links."""

    base: str
    """The service."""
    asked: set[str] = field(default_factory=set)
    """What was asked for already."""
    rels: set[str] = field(default_factory=set)
    """Relations of the links that were followed."""
    elsewhere: set[str] = field(default_factory=set)
    """Hosts that links lead to and that are not asked."""
    faults: list[str] = field(default_factory=list)
    """What is wrong."""

    def crawl(self, starts: Iterator[str]) -> None:
        """Follow all links from some addresses."""
        todo = deque({"rel": "start", "href": start} for start in starts)
        with httpx.Client(timeout=60) as client:
            while todo:
                link = todo.popleft()
                self.rels.add(link["rel"])
                if link["rel"] == "xyz":  # a template; `tests.tiles.test_tiles_renders_pictures` fills it in
                    continue
                key = json.dumps([link.get("method", "GET"), link["href"], link.get("type"), link.get("body")])
                if key in self.asked:
                    continue
                self.asked.add(key)
                if not link["href"].startswith(self.base):
                    self.elsewhere.add(str(urlsplit(link["href"]).hostname))
                    continue
                todo += self._followed(client, link)

    def _followed(self, client: httpx.Client, link: dict[str, Any]) -> list[dict[str, Any]]:
        body = link.get("body", {}) if link.get("method") == "POST" else None
        href = link["href"]
        if "zarr" in link.get("type", ""):  # a folder of objects, which clients read by the one that describes it
            link, href = {**link, "type": "application/json"}, f"{href}/zarr.json"
        answer = client.request(link.get("method", "GET"), href, json=body)
        kind = answer.headers.get("content-type", "")
        if answer.status_code != 200:
            self.faults.append(f"{link}: {answer.status_code}")
        elif "type" in link and plain(kind) != plain(link["type"]):
            self.faults.append(f"{link}: is {kind}")
        elif "json" in kind and not link["href"].endswith("/api"):
            document = answer.json()
            for one in links(document):
                if set(one) - {"rel", "href", "type", "title", "method", "body", "merge", "render", "wmts:layer"}:
                    self.faults.append(f"{link['href']}: odd link {one}")
            (self_link,) = [one for one in document.get("links", []) if one["rel"] == "self"] or [None]
            if self_link and link["rel"] in {"self", "child", "item"} and self_link["href"] != link["href"]:
                self.faults.append(f"{link}: calls itself {self_link['href']}")
            return links(document)
        return []


def plain(media_type: str) -> str:
    return media_type.replace(" ", "").removesuffix(";charset=utf-8")


def links(document: Any) -> list[dict[str, Any]]:
    """All links of a document and of what it contains."""
    found = []
    for one in (document, *document.get("features", ()), *document.get("collections", ())):
        found += one.get("links", [])
    return found


def test_every_link_leads_to_what_it_says(served: Served) -> None:
    crawler = Crawler(served.url)
    crawler.crawl(iter([f"{served.url}/", *(f"{served.url}/stac{start}" for start in STARTS)]))
    assert crawler.faults == []
    assert {"root", "self", "parent", "child", "data", "items", "collection", "search", "next", "prev"} <= crawler.rels
    assert {"conformance", "service-desc", "service-doc", "aggregate", "aggregations", "store"} <= crawler.rels
    assert {"xyz", "tilejson", "wmts", "preview"} <= crawler.rels
    assert len(crawler.asked) > 40
    assert not [host for host in crawler.elsewhere if host.startswith(("127.", "localhost"))]


def test_every_asset_of_a_product_can_be_read(served: Served) -> None:
    found = httpx.get(f"{served.url}/stac/search?collections=sentinel-2-l1c").json()["features"]
    assert len(found) == 2
    for item in found:
        for name, asset in item["assets"].items():
            is_zarr = "zarr" in asset["type"]
            answer = httpx.get(asset["href"] + "/zarr.json" * is_zarr)
            assert answer.status_code == 200, (name, asset["href"])
            assert plain(answer.headers["content-type"]) == ("application/json" if is_zarr else plain(asset["type"]))


def test_clients_that_go_take_no_connection_with_them(served: Served, request: pytest.FixtureRequest) -> None:
    address = urlsplit(served.url)
    assert address.hostname
    assert address.port
    slow = json.dumps({"query": {f"a{number}": {"neq": 1} for number in range(200)}}).encode()
    requests = [
        b"GET /stac/search?f=ndjson HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /stac/aggregate HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /stac/search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (len(slow), slow),
        b"POST /stac/search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{",
        b"POST /stac/aggregate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
        b"GET /stac/collections HTTP/1.1\r\nHost: a",
        b"\xff\x00 / HTTP/9\r\n\r\n",
    ]
    for number in range(70):
        with socket.create_connection((address.hostname, address.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
            client.sendall(requests[number % len(requests)])
            time.sleep(0.003 * (number % 5))
    started = time.monotonic()
    assert httpx.get(f"{served.url}/stac/search?limit=1", timeout=30).json()["numberReturned"] == 1
    assert time.monotonic() - started < 10
    assert httpx.get(f"{served.url}/readyz").status_code == 200
    assert [line for line in served.log() if line.get("status", 0) >= 500 or "Traceback" in json.dumps(line)] == []
    if "pgstac" in request.node.name:
        assert busy(request.getfixturevalue("postgres")) == 0


def busy(postgres: Cluster) -> int:
    """Connections of the service that do something, after a while."""
    left = 0
    for _ in range(100):
        with psycopg.connect(postgres.url("postgres")) as connection:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'abut' AND state <> 'idle'"
            ((left,),) = connection.execute(sql).fetchall()
        if not left:
            break
        time.sleep(0.1)
    return left
