"""The archive's objects over HTTP: what is served, how it may be kept, and what nobody gets."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from abut import ledger as ledgers
from abut.archive import Archive, create_archive, switch_catalogue
from abut.store import open_store
from ingest.commit import encode_item, read_item, tombstone
from ingest.ingest import ingest
from ingest.withdraw import withdraw
from services.objects import PIECE
from services.zarr import GONE, IMMUTABLE, REVALIDATED, address_of, zarr_app
from tests.servers import seaweed
from tests.toy import ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from abut.product import Product

LEGACY = "legacy/GRANULE/L1C/AUX DATA/notes (1).xml"
ARRAY = "measurements/reflectance/r60m/b01"
LARGE = PIECE * 2 + 17


@pytest.fixture(scope="module", params=["folder", "s3"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """One toy product with a few more objects; in a folder, and on a real S3 server."""
    folder = tmp_path_factory.mktemp("objects")
    if request.param == "folder":
        yield filled(create_archive(folder / "archive"))
        return
    with seaweed(folder) as server, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield filled(create_archive(f"s3://{server.bucket}/l1c", catalogue=str(folder / "catalog.sqlite")))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return filled(create_archive(tmp_path_factory.mktemp("local") / "archive"))


def filled(archive: Archive) -> Archive:
    source = ToySource("32TNP")
    ingest(archive, source, threads=1)
    folder = archive.product(source.id).folder
    archive.store.put_new(f"{folder}/{LEGACY}", b"<notes/>")
    archive.store.put_new(f"{folder}/{ARRAY}/zarr.json", b'{"zarr_format": 3, "node_type": "array"}')
    archive.store.put_new(f"{folder}/legacy/large.bin", bytes(range(256)) * (LARGE // 256) + b"x" * (LARGE % 256))
    return archive


def product(archive: Archive) -> Product:
    return archive.product(archive.product_ids()[0])


def block(archive: Archive) -> str:
    """Key of a block of the product."""
    return min(entry.key for entry in archive.store.entries(product(archive).folder) if "/c/" in entry.key)


def ask(archive: Archive, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Ask for a path below the archive, not cleaned by the client."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(zarr_app(archive.store))
        async with httpx.AsyncClient(transport=transport, base_url="http://abut") as client:
            url = httpx.URL("http://abut", raw_path=b"/" + path.encode())
            return await client.request(method, url, headers=names)

    return asyncio.run(call())


# What there is


def test_every_object_of_a_product_is_served_byte_for_byte(archive: Archive) -> None:
    entries = [entry for entry in archive.store.entries("products") if "large" not in entry.key]
    assert len(entries) > 20
    for entry in entries:
        answer = ask(archive, quote(entry.key))
        assert answer.status_code == 200, entry.key
        assert answer.content == archive.store.get(entry.key)
        assert answer.headers["content-length"] == str(entry.size)


def test_an_object_larger_than_a_piece_is_served_whole_and_in_parts(archive: Archive) -> None:
    key = f"{product(archive).folder}/legacy/large.bin"
    data = archive.store.get(key)
    assert ask(archive, key).content == data
    part = ask(archive, key, range=f"bytes=5-{PIECE + 20}")
    assert part.content == data[5 : PIECE + 21]
    assert part.headers["content-range"] == f"bytes 5-{PIECE + 20}/{LARGE}"


def test_head_answers_as_get_without_the_body(archive: Archive) -> None:
    for key in (block(archive), f"products/{product(archive).id}.json", f"{product(archive).folder}/zarr.json"):
        head, got = ask(archive, key, "HEAD"), ask(archive, key)
        assert head.status_code == 200
        assert not head.content
        assert dict(head.headers) == dict(got.headers)


@pytest.mark.parametrize(
    ("asked", "cut"),
    [
        ("bytes=0-3", slice(0, 4)),
        ("bytes=2-2", slice(2, 3)),
        ("bytes=7-", slice(7, None)),
        ("bytes=-5", slice(-5, None)),
        ("bytes=3-999999999", slice(3, None)),
    ],
)
def test_a_range_is_served_alone(archive: Archive, asked: str, cut: slice) -> None:
    data = archive.store.get(block(archive))
    start, stop, _ = cut.indices(len(data))
    answer = ask(archive, block(archive), range=asked)
    assert answer.status_code == 206
    assert answer.content == data[cut]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(data)}"
    assert answer.headers["content-length"] == str(stop - start)
    assert answer.headers["cache-control"] == IMMUTABLE


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "bytes=9-3", "lines=1-2"])
def test_several_ranges_and_what_is_none_get_the_whole(archive: Archive, asked: str) -> None:
    answer = ask(archive, block(archive), range=asked)
    assert answer.status_code == 200
    assert answer.content == archive.store.get(block(archive))


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=999999999-1000000000", "bytes=-0"])
def test_a_range_outside_of_the_object_is_refused(archive: Archive, asked: str) -> None:
    answer = ask(archive, block(archive), range=asked)
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(archive.store.get(block(archive)))}"


def test_what_a_client_has_already_is_not_sent_again(archive: Archive) -> None:
    for key in (block(archive), f"products/{product(archive).id}.json"):
        first = ask(archive, key)
        for method in ("GET", "HEAD"):
            for header in (
                {"if_none_match": first.headers["etag"]},
                {"if_modified_since": first.headers["last-modified"]},
            ):
                answer = ask(archive, key, method, **header)
                assert (answer.status_code, answer.content) == (304, b"")
                for name in ("etag", "cache-control", "last-modified"):
                    assert answer.headers[name] == first.headers[name]
        assert ask(archive, key, if_none_match='"other"').content == first.content
        assert ask(archive, key, if_match='"other"').status_code == 412


def test_readers_get_the_ledgers_and_of_the_settings_what_concerns_them(archive: Archive) -> None:
    key = f"layers/{product(archive).layer}.json"
    ledger = ask(archive, key)
    assert ledger.content == archive.store.get(key)
    settings = ask(archive, "archive.json")
    assert settings.json() == {"abut:archive": 1, "profile": "default", "catalogue": ""}
    for answer in (ledger, settings):
        assert (answer.headers["cache-control"], answer.headers["content-type"]) == (REVALIDATED, "application/json")


def test_a_ledger_is_sent_again_once_it_has_changed_and_settings_only_if_what_is_told_of_them_has(
    tmp_path: Path,
) -> None:
    archive = filled(create_archive(tmp_path / "archive"))
    key = f"layers/{product(archive).layer}.json"
    tags = {path: ask(archive, path).headers["etag"] for path in (key, "archive.json")}
    for path, tag in tags.items():
        for method in ("GET", "HEAD"):
            assert ask(archive, path, method, if_none_match=tag).status_code == 304
    withdraw(archive, product(archive).id)
    changed = ask(archive, key, if_none_match=tags[key])
    assert changed.status_code == 200
    assert changed.json()["revision"] == ledgers.load(archive.store, product(archive).layer)[0].revision
    switch_catalogue(archive, str(tmp_path / "other.sqlite"))
    assert ask(archive, "archive.json", if_none_match=tags["archive.json"]).status_code == 304


def test_a_range_of_another_version_gets_the_whole(archive: Archive) -> None:
    tag = ask(archive, block(archive)).headers["etag"]
    assert ask(archive, block(archive), range="bytes=0-1", if_range=tag).status_code == 206
    assert ask(archive, block(archive), range="bytes=0-1", if_range='"other"').status_code == 200


def test_what_never_changes_is_kept_for_a_year_and_what_may_is_asked_for_again(archive: Archive) -> None:
    folder = product(archive).folder
    kept = {
        block(archive): (IMMUTABLE, "application/octet-stream"),
        f"{folder}/{quote(LEGACY)}": (IMMUTABLE, "application/xml"),
        f"{folder}/zarr.json": (REVALIDATED, "application/json"),
        f"{folder}/record.json": (REVALIDATED, "application/json"),
        f"products/{product(archive).id}.json": (REVALIDATED, "application/geo+json"),
    }
    for key, expected in kept.items():
        answer = ask(archive, key)
        assert (answer.headers["cache-control"], answer.headers["content-type"]) == expected, key


def test_files_of_a_safe_can_do_nothing_in_a_browser(archive: Archive) -> None:
    headers = ask(archive, f"{product(archive).folder}/{quote(LEGACY)}").headers
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["x-content-type-options"] == "nosniff"


# Arrays as folders of the web


def test_the_path_of_an_array_leads_to_an_index_that_names_its_metadata_and_nothing_else(archive: Archive) -> None:
    path = f"{product(archive).folder}/{ARRAY}"
    for method in ("GET", "HEAD"):
        there = ask(archive, path, method)
        assert (there.status_code, there.headers["location"]) == (301, "b01/")
    index = ask(archive, f"{path}/")
    assert index.status_code == 200
    assert index.headers["content-type"].startswith("text/html")
    assert index.text.count("href") == 1
    assert '<a href="zarr.json">' in index.text
    assert ask(archive, f"{path}/zarr.json").json()["node_type"] == "array"


def test_there_is_no_index_where_there_is_no_node(archive: Archive) -> None:
    folder = product(archive).folder
    for path in (
        f"{folder}/nothing",
        f"{folder}/legacy/",
        f"{folder}/{ARRAY}/c/",
        "products/",
    ):
        assert ask(archive, path).status_code == 404, path


# What there is not


def test_an_absent_block_is_not_found_and_not_remembered(archive: Archive) -> None:
    array = f"{product(archive).folder}/{ARRAY}"
    absent = next(
        key
        for row in range(12)
        if (key := f"{array}/c/{row}/11") not in {entry.key for entry in archive.store.entries(array)}
    )
    for method in ("GET", "HEAD"):
        for headers in ({}, {"range": "bytes=0-9"}, {"if_none_match": '"a"'}):
            answer = ask(archive, absent, method, **headers)
            assert (answer.status_code, answer.headers["cache-control"]) == (404, GONE)


def test_nothing_is_listed_and_nothing_of_the_inside_is_served(archive: Archive) -> None:
    store = archive.store
    for key in ("catalog.sqlite", "claims/a.json", "layers/a.txt", ".locks/probe"):
        store.put_new(key, b"{}")
        assert key in {entry.key for entry in store.entries("")}
        assert ask(archive, key).status_code == 404, key
    for path in ("", "products", "products/", "layers/", "claims/", "."):
        assert ask(archive, path).status_code == 404, path


def test_what_is_left_of_a_removed_product_is_not_served(tmp_path: Path) -> None:
    archive = filled(create_archive(tmp_path / "archive"))
    name = product(archive).id
    item, version = read_item(archive.store, name)
    assert item is not None
    gone = encode_item(tombstone(item, "2026-03-01T00:00:00Z"))
    assert ask(archive, f"products/{name}.json").json()["id"] == name
    assert archive.store.swap(f"products/{name}.json", gone, version)
    for method in ("GET", "HEAD"):
        assert ask(archive, f"products/{name}.json", method).status_code == 404


def test_the_collection_lies_where_the_links_of_items_say(local: Archive) -> None:
    item = ask(local, f"products/{product(local).id}.json").json()
    (href,) = {link["href"] for link in item["links"] if link["rel"] == "collection"}
    assert href == "../collection.json"
    local.store.put_new("collection.json", json.dumps({"id": "sentinel-2-l1c"}).encode())
    assert ask(local, "collection.json").json()["id"] == "sentinel-2-l1c"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_is_written(archive: Archive, method: str) -> None:
    answer = ask(archive, block(archive), method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert archive.store.get(block(archive))


def test_a_link_out_of_the_archive_is_not_followed(tmp_path: Path) -> None:
    archive = filled(create_archive(tmp_path / "archive"))
    folder = tmp_path / "archive" / product(archive).folder
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "zarr.json").write_text("{}")
    (folder / "legacy" / "link.xml").symlink_to(tmp_path / "secret")
    (folder / "legacy" / "within.xml").symlink_to(folder / LEGACY)
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "legacy" / "loop").symlink_to(folder / "legacy" / "loop")
    os.mkfifo(folder / "legacy" / "pipe")
    for path in ("legacy/link.xml", "linked/zarr.json", "linked", "legacy/loop", "legacy/pipe"):
        assert ask(archive, f"{product(archive).folder}/{path}").status_code == 404, path
    assert ask(archive, f"{product(archive).folder}/legacy/within.xml").text == "<notes/>"


def test_an_operator_may_put_the_products_on_another_disk(tmp_path: Path) -> None:
    archive = filled(create_archive(tmp_path / "archive"))
    key = block(archive)
    shutil.move(tmp_path / "archive" / "products", tmp_path / "disk")
    (tmp_path / "archive" / "products").symlink_to(tmp_path / "disk")
    assert ask(archive, key).content == archive.store.get(key)


def test_a_store_that_does_not_answer_is_said_to_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "c",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    archive = Archive(open_store("s3://bucket/hidden"), "default", "")
    monkeypatch.setattr("obstore.get_async", refuse)
    monkeypatch.setattr("obstore.head_async", refuse)
    answer = ask(archive, "products/a.1.zarr/measurements/b01/c/0/0", range="bytes=0-1")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert "hidden" not in answer.text


async def refuse(*_: object, **__: object) -> None:
    raise ConnectionRefusedError("connection refused")


# Paths


@pytest.mark.parametrize(
    "path",
    [
        "products/../archive.json",
        "layers/../archive.json",
        "layers/../products/a.json",
        "layers/..json",
        "layers/.abut-1.json",
        "layers/a/b.json",
        "layers//a.json",
        "layers/a.json/",
        "layers/a.json\n",
        "archive.json/",
        "./archive.json",
        "products/..",
        "products/./a.json",
        "/etc/passwd",
        "//etc/passwd",
        "products//a.json",
        "products/a.1.zarr/legacy/../../../catalog.sqlite",
        "products/a.1.zarr/legacy/..",
        "products/a.1.zarr/legacy/.",
        "products/a.1.zarr/legacy/./b",
        "products/a.1.zarr/legacy/..\\..\\b",
        "products/a.1.zarr/legacy/.abut-x",
        "products/a.1.zarr/legacy/b#1",
        "products/a.1.zarr/legacy/b\0",
        "products/a.1.zarr/legacy/é",
        "products/a.1.zarr/c/0/0",
        "products/a.1.zarr/b01/c/00/0",
        "products/a.1.zarr/b01/c/-1",
        "products/a.1.zarr/b01/c/0/0/",
        "products/a.1.zarr/b01/.zarray",
        "products/a.1.zarr/b01.aux.xml",
        "products/.abut-1234",
        "products/a.json\n",
        "products/a.zarr\\..\\b.json",
        "products/" + "a" * 5000 + ".json",
        "products/a.1.zarr/legacy/" + "a/" * 5000 + "b",
        "products/a.1.zarr/" + "a/" * 505 + "!",
    ],
)
def test_what_is_no_key_of_the_archive_names_nothing(path: str) -> None:
    assert address_of(path) is None


def test_what_the_archive_writes_is_named(local: Archive) -> None:
    for entry in [*local.store.entries("products"), *local.store.entries("layers")]:
        address = address_of(entry.key)
        assert address is not None, entry.key
        assert address.key == entry.key


HOMES = ["products", "layers"]
INSIDE = ["products", "layers", "claims", "catalog.sqlite", "archive.json", ".locks", "legacy", "zarr.json", "a.1.zarr"]
ODD = [
    ".",
    "..",
    "~",
    "/etc",
    "\\",
    "..\\",
    "%2e",
    "%2e%2e",
    "%2f",
    "%5c",
    "..%2f..",
    "..%5c..",
    "%00",
    "%252e%252e",
    "",
]
PARTS = st.one_of(st.sampled_from(INSIDE + ODD), st.text(st.characters(max_codepoint=300), max_size=12))


@given(st.lists(PARTS, max_size=9).map("/".join))
@example("products/..%2f..%2fsecret")
@example("products/%2e%2e/%2e%2e/secret")
@example("products/a.1.zarr/legacy/%2e%2e/%2e%2e/%2e%2e/secret")
@example("products/a.1.zarr/legacy/..%5c..%5csecret")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_leads_out_of_products_and_ledgers(local: Archive, path: str) -> None:
    root = local.store.root
    assert root is not None
    address = address_of(path)
    if address is not None:
        files = ("collection.json", "archive.json")
        assert address.key in files or address.key.startswith(("products/", "layers/"))
        assert os.path.normpath(address.key) == address.key
        assert address.key in files or any((root / address.key).is_relative_to(root / name) for name in HOMES)
    answer = ask(local, quote(path, safe="/%"))
    assert answer.status_code in (200, 301, 404)
    if answer.status_code == 200:
        assert (
            answer.content in (local.store.get(key.key) for key in local.store.entries(""))
            or b"Index of" in answer.content
            or answer.json() == {"abut:archive": 1, "profile": "default", "catalogue": ""}
        )
