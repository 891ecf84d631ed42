"""An archive on a real S3 server (SeaweedFS), served: signed URLs, items with ``s3://`` hrefs, and stock clients."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import obstore
import odc.stac
import pystac_client
import pytest
import rasterio
import xarray as xr
import zarr
from obstore.store import HTTPStore, S3Store
from odc.geo.geobox import GeoBox
from zarr.storage import ObjectStore

from abut.archive import Archive, create_archive, open_archive
from abut.store import open_store
from catalog.extensions import STORAGE
from catalog.places import served
from catalog.storage import scheme_of
from ingest.purge import purge
from ingest.settle import settle
from services.app import places_of
from services.settings import InvalidSettingError, load_settings
from services.signing import TEMPORARY, Signer, signer_of
from services.stac.guard import as_stored
from services.zarr import zarr_app
from tests.neighbours import SEAM, Neighbours
from tests.servers import S3Server, seaweed
from tests.serving import Served, serving
from tests.stac_schemas import validate_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pystac

pytestmark = [
    # odc-geo 0.5 with affine 3 and shapely 2.2
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as server, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in {**server.environment, **server.gdal_environment}.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
def on_s3(
    s3: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
    old_archive: Archive,
    neighbours: tuple[Path, Path],
) -> Neighbours:
    """Two products, copied object by object from a folder into the bucket, then settled and purged there."""
    catalogue = tmp_path_factory.mktemp("catalogue") / "catalog.sqlite"
    folder = Path(old_archive.store.url)
    catalogue.write_bytes((folder / "catalog.sqlite").read_bytes())
    target = open_store(f"s3://{s3.bucket}/l1c")
    for entry in old_archive.store.entries(""):
        if not entry.key.startswith(("catalog.sqlite", ".")):
            data = old_archive.store.get(entry.key)
            if entry.key == "archive.json":
                data = json.dumps({**json.loads(data), "catalogue": str(catalogue)}).encode()
            obstore.put(target.backend, entry.key, data, use_multipart=False)
    archive = open_archive(target.url)
    assert sum(layer.released for layer in settle(archive)) > 0
    assert sum(purged.objects for purged in purge(archive, grace=timedelta(0))) > 0
    return Neighbours(archive, neighbours)


@pytest.fixture(scope="module")
def signing(on_s3: Neighbours) -> Iterator[Served]:
    with serving(on_s3.archive.store.url, presign_seconds="600") as running:
        yield running


@pytest.fixture(scope="module")
def linked(on_s3: Neighbours) -> Iterator[Served]:
    with serving(on_s3.archive.store.url, products_url=f"{on_s3.archive.store.url}/products") as running:
        yield running


def found(service: Served) -> list[pystac.Item]:
    """West and east, as a stock client finds them."""
    client = pystac_client.Client.open(f"{service.url}/stac")
    return list(client.search(collections=["sentinel-2-l1c"], bbox=[5, 44, 12, 49], sortby="grid:code").items())


def block(archive: Archive) -> str:
    """Key of a block."""
    return min(entry.key for entry in archive.store.entries("products") if "/r60m/b01/c/" in entry.key)


# Signed URLs


def test_a_block_is_read_at_the_store_and_all_else_here(signing: Served, on_s3: Neighbours) -> None:
    archive = on_s3.archive
    key = block(archive)
    data = archive.store.get(key)
    answer = httpx.get(f"{signing.url}/zarr/{key}")
    assert answer.status_code == 302
    assert answer.headers["cache-control"] == "private, max-age=300"
    where = urlsplit(answer.headers["location"])
    assert where.path == f"/abut/l1c/{key}"
    assert parse_qs(where.query)["X-Amz-Expires"] == ["600"]
    with httpx.Client(follow_redirects=True) as client:
        assert client.get(f"{signing.url}/zarr/{key}").content == data
        part = client.get(f"{signing.url}/zarr/{key}", headers={"range": "bytes=3-12"})
        assert (part.status_code, part.content) == (206, data[3:13])
        last = client.get(f"{signing.url}/zarr/{key}", headers={"range": "bytes=-5"})
        assert (last.status_code, last.content) == (206, data[-5:])
        with_token = client.get(f"{signing.url}/zarr/{key}", headers={"authorization": "Bearer x"})
        assert with_token.content == data  # clients send it to no other host

    head = httpx.head(f"{signing.url}/zarr/{key}")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(data)))
    kept = httpx.get(f"{signing.url}/zarr/{key}", headers={"if-none-match": head.headers["etag"]})
    assert kept.status_code == 304
    folder = key.partition(".zarr/")[0] + ".zarr"
    name = folder.removeprefix("products/").rsplit(".", 2)[0]
    for path in ("archive.json", f"products/{name}.json", f"{folder}/zarr.json", f"{folder}/record.json"):
        assert httpx.get(f"{signing.url}/zarr/{path}").status_code == 200, path


def test_what_is_absent_or_refused_is_not_signed(signing: Served, on_s3: Neighbours) -> None:
    folder = block(on_s3.archive).partition(".zarr/")[0] + ".zarr"
    obstore.put(on_s3.archive.store.backend, "claims/x.json", b"{}", use_multipart=False)
    for path in (
        f"{folder}/measurements/reflectance/r60m/b01/c/99/99",
        f"{folder}/legacy/no-such-file.xml",
        "products/no-such-product.zarr/b01/c/0/0",
        "claims/x.json",
        ".locks/probe",
        "catalog.sqlite",
    ):
        answer = httpx.get(f"{signing.url}/zarr/{path}")
        assert (answer.status_code, answer.headers.get("location")) == (404, None), path
    on_s3.archive.store.delete(["claims/x.json"])


def test_signatures_are_logged_nowhere(signing: Served, on_s3: Neighbours) -> None:
    name = "signed-for-the-log"
    answer = httpx.get(f"{signing.url}/zarr/{block(on_s3.archive)}", headers={"x-request-id": name})
    signature = parse_qs(urlsplit(answer.headers["location"]).query)["X-Amz-Signature"][0]
    signing.logged(name)
    text = Path(signing.errors.name).read_text()
    assert signature not in text
    assert "X-Amz" not in text


def test_a_signed_url_ends(on_s3: Neighbours) -> None:
    store, key = on_s3.archive.store, block(on_s3.archive)

    async def location() -> str:
        transport = httpx.ASGITransport(zarr_app(store, signer_of(store, 4)))
        async with httpx.AsyncClient(transport=transport, base_url="http://abut") as client:
            return str((await client.get(f"/{key}")).headers["location"])

    url = asyncio.run(location())
    assert httpx.get(url).content == store.get(key)
    time.sleep(5.5)
    assert httpx.get(url).status_code == 403


def test_with_temporary_credentials_a_url_is_good_for_as_long_as_these_certainly_are(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary")
    signer = signer_of(open_store(f"s3://{s3.bucket}/l1c"), 3600)
    assert signer is not None
    url, seconds = asyncio.run(signer.url("products/x"))
    assert seconds == TEMPORARY
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == [str(TEMPORARY)]


def test_nobody_waits_for_long_where_credentials_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come from a server of the machine, which is silent."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("services.signing.PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = S3Store("bucket", region="x", metadata_endpoint=told, client_options={"allow_http": True})
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(Signer(store, 60).url("products/x"), 10))
        assert time.monotonic() - started < 5


def test_urls_are_signed_for_the_endpoint_that_clients_reach(s3: S3Server) -> None:
    signer = signer_of(open_store(f"s3://{s3.bucket}/l1c"), 60, "https://s3.example.org")
    assert signer is not None
    url, _ = asyncio.run(signer.url("products/x"))
    assert url.startswith(f"https://s3.example.org/{s3.bucket}/l1c/products/x?")


def test_only_a_bucket_signs(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match=r"ABUT_PRESIGN_SECONDS needs an archive on S3; .*l1c has no URLs"):
        load_settings(archive=str(tmp_path / "l1c"), presign_seconds=60)
    with pytest.raises(InvalidSettingError, match="ABUT_PRESIGN_SECONDS"):
        load_settings(archive="s3://bucket/l1c", presign_seconds=604_801)
    with pytest.raises(InvalidSettingError, match=r"ABUT_STORE_ENDPOINT=s3\.example\.org"):
        load_settings(archive="s3://bucket/l1c", store_endpoint="s3.example.org")
    assert signer_of(create_archive(tmp_path / "l1c").store, 60) is None


def test_stock_clients_follow_to_the_store(signing: Served, on_s3: Neighbours) -> None:
    west = found(signing)[0]
    href = west.assets["B02"].href
    assert href.startswith(f"{signing.url}/zarr/products/")
    expected = on_s3.held(west, "B02")
    with rasterio.open(href) as image:
        assert np.array_equal(image.read(1), expected)
    small = on_s3.held(west, "B09")
    over_http = ObjectStore(HTTPStore(west.assets["B09"].href, client_options={"allow_http": True}), read_only=True)
    array = zarr.open_array(over_http, mode="r")
    assert np.array_equal(array[:], small)
    whole: Any = ObjectStore(
        HTTPStore(west.assets["product"].href, client_options={"allow_http": True}), read_only=True
    )
    with xr.open_zarr(whole, group="measurements/reflectance/r60m", mask_and_scale=False, chunks=None) as data:
        assert np.array_equal(data.b09, small)


# Items whose hrefs are those of the bucket


def test_items_say_how_their_bucket_is_reached(linked: Served, s3: S3Server) -> None:
    answer = httpx.get(f"{linked.url}/stac/search", params={"collections": "sentinel-2-l1c"}).json()
    assert len(answer["features"]) == 2
    for item in answer["features"]:
        assert item["properties"]["storage:schemes"] == {
            "archive": {
                "type": "custom-s3",
                "platform": s3.endpoint,
                "bucket": "abut",
                "region": "us-east-1",
                "requester_pays": False,
            }
        }
        for asset in item["assets"].values():
            assert asset["href"].startswith("s3://abut/l1c/products/")
            assert asset["storage:refs"] == ["archive"]
        assert any(STORAGE in address for address in validate_document(item))
    one = httpx.get(f"{linked.url}/stac/collections/sentinel-2-l1c/items/{answer['features'][0]['id']}").json()
    assert one["properties"]["storage:schemes"] == answer["features"][0]["properties"]["storage:schemes"]


def test_stock_clients_read_from_the_bucket(linked: Served, on_s3: Neighbours) -> None:
    items = found(linked)
    west = items[0]
    with rasterio.open(west.assets["B09"].href) as image:
        assert np.array_equal(image.read(1), on_s3.held(west, "B09"))
    array = zarr.open_array(
        ObjectStore(S3Store.from_url(west.assets["B09"].href, client_options={"allow_http": True})), mode="r"
    )
    assert np.array_equal(array[:], on_s3.held(west, "B09"))
    box = GeoBox.from_bbox((SEAM.left, SEAM.bottom, SEAM.right, SEAM.top), crs="EPSG:32632", resolution=60)
    loaded = odc.stac.load(items, bands=["B09"], geobox=box)["B09"]
    assert np.array_equal(loaded.values[0], on_s3.ground("B09"))


def test_an_item_comes_back_as_it_was_stored(on_s3: Neighbours) -> None:
    stored = json.loads(on_s3.archive.store.get(f"products/{on_s3.safes[0].stem}.json"))
    url = on_s3.archive.store.url
    places = places_of("https://h", load_settings(archive=url, products_url=f"{url}/products"))
    shown = served(stored, places)
    assert shown["assets"]["B02"]["storage:refs"] == ["archive"]
    again = as_stored(shown, places)
    generated = {"self", "root", "parent", "collection"}
    again["links"] = [link for link in again["links"] if link["rel"] not in generated]
    expected = {**stored, "links": [link for link in stored["links"] if link["rel"] not in generated]}
    assert again == expected


def test_only_buckets_have_a_scheme() -> None:
    assert scheme_of("https://h/zarr/products", endpoint=None, region="eu-central-1") == ()
    assert dict(scheme_of("s3://bucket/l1c/products", endpoint=None, region="eu-central-1")) == {
        "type": "aws-s3",
        "platform": "https://{bucket}.s3.{region}.amazonaws.com",
        "bucket": "bucket",
        "region": "eu-central-1",
        "requester_pays": False,
    }
