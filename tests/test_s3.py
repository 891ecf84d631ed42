"""The whole life of an archive on a real S3 server (SeaweedFS), and what is said where one can't be used."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import odc.stac
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox

from abut.archive import Archive, create_archive, open_archive
from abut.connection import connect
from abut.errors import AbutError, InvalidArchiveError, ProductNotFoundError, UnsupportedStoreError
from abut.layout import BANDS
from abut.legacy import read_band, read_bands
from abut.store import open_store
from abut.testing import safe_pixels
from abut.writable import require_conditional_writes
from catalog.sqlite import open_catalogue
from ingest import claims
from ingest.check import check
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.safe_source import safe_sources
from ingest.settle import settle
from ingest.withdraw import withdraw
from services.cubes.results import open_results, remove, zarr_store
from services.cubes.worker import Task, attempt, read
from tests.neighbours import SEAM, Neighbours
from tests.servers import S3Server, forgetful_s3_server, seaweed
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obstore.store import S3Store

    from services.cubes.jobs import Ask

pytestmark = [
    # odc-geo 0.5 with affine 3 and shapely 2.2
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]

NOW = timedelta(0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, named by the environment as obstore wants it, and nothing of the machine's own settings."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def archive(s3: S3Server, tmp_path: Path) -> Archive:
    return create_archive(f"s3://{s3.bucket}/{tmp_path.name}", catalogue=str(tmp_path / "catalog.sqlite"))


def toys() -> list[ToySource]:
    return [ToySource(name) for name in TILES]


def assert_recreated(archive: Archive, sources: list[ToySource]) -> None:
    for source in sources:
        for band, pixels in read_bands(archive, archive.product(source.id)):
            assert np.array_equal(pixels, source.arrays[band.name])


def listed(archive: Archive) -> set[str]:
    assert archive.catalogue_path is not None
    with closing(open_catalogue(archive.catalogue_path)) as catalogue:
        return {item["id"] for item in catalogue.search()}


# The protocol


def test_main_job_on_s3(archive: Archive) -> None:
    sources = toys()
    for source in sources:
        assert ingest(archive, source, threads=1).status == "ingested"
    assert listed(archive) == {source.id for source in sources} == set(archive.product_ids())
    assert_recreated(archive, sources)
    assert sum(layer.released for layer in settle(archive)) > 0
    assert_recreated(archive, sources)
    before = {entry.key for entry in archive.store.entries("products")}
    (purged,) = purge(archive, grace=NOW)
    after = {entry.key for entry in archive.store.entries("products")}
    assert purged.objects == len(before - after) > 0
    assert_recreated(archive, sources)
    assert check(archive, deep=True) == []
    assert [ingest(archive, source, threads=1).status for source in sources] == ["unchanged"] * 4


def test_withdrawn_product_leaves_and_comes_back_on_s3(archive: Archive) -> None:
    sources = toys()
    for source in sources:
        ingest(archive, source, threads=1)
    settle(archive)
    purge(archive, grace=NOW)
    gone, rest = sources[0], sources[1:]
    assert withdraw(archive, gone.id)
    assert listed(archive) == {source.id for source in rest}
    purge(archive, grace=NOW)
    assert_recreated(archive, rest)
    assert ingest(archive, gone, threads=1).status in ("reinstated", "ingested")
    assert_recreated(archive, sources)
    for source in sources:
        withdraw(archive, source.id)
    purge(archive, grace=NOW)
    assert archive.product_ids() == []
    with pytest.raises(ProductNotFoundError):
        archive.product(gone.id)
    assert check(archive) == []


def test_repair_joins_what_no_ledger_knows_and_removes_dead_attempts_on_s3(archive: Archive) -> None:
    first, second = toys()[:2]
    with mock.patch("ingest.ingest.register", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        ingest(archive, first, threads=1)  # killed after the commit
    with mock.patch("ingest.ingest.commit", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        ingest(archive, second, threads=1)  # killed before it
    with mock.patch.object(claims, "DEAD", -timedelta(seconds=2)):  # the server's clock counts whole seconds
        findings = check(archive, repair=True)
        assert findings
        assert all(finding.repaired and finding.kind == "leftover" for finding in findings)
        assert check(archive, deep=True) == []
    assert archive.product_ids() == [first.id]
    assert listed(archive) == {first.id}
    assert_recreated(archive, [first])
    assert not [entry for entry in archive.store.entries("products") if second.id in entry.key]


def test_lost_object_is_damage_on_s3(archive: Archive) -> None:
    (source, *_) = toys()
    ingest(archive, source, threads=1)
    product = archive.product(source.id)
    key = next(entry.key for entry in archive.store.entries(product.folder) if "/r60m/b01/c/" in entry.key)
    archive.store.delete([key])
    assert [(finding.kind, finding.where) for finding in check(archive)] == [("damage", key)]
    with pytest.raises(AbutError, match=key):
        read_band(archive, product, "B01")


def test_only_one_of_many_writers_wins_each_swap(archive: Archive) -> None:
    """Compare-and-swap on the server's own word: no increment is lost, and no key is created twice."""
    store, wins, created = archive.store, [0] * 4, [0] * 4
    assert store.swap("counter", b"0", None) is not None

    def work(number: int) -> None:
        for turn in range(15):
            current = store.read("counter")
            assert current is not None
            wins[number] += store.swap("counter", b"%d" % (int(current.data) + 1), current.version) is not None
            created[number] += store.put_new(f"once/{turn}", b"%d" % number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int(store.get("counter")) == sum(wins) > 0
    assert sum(created) == 15


def test_archive_on_s3_is_opened_again_with_its_settings(archive: Archive) -> None:
    again = open_archive(archive.store.url)
    assert (again.profile, again.catalogue) == (archive.profile, archive.catalogue)
    assert create_archive(archive.store.url, profile="dense").profile == "default"


# A whole SAFE


@pytest.fixture
def neighbours(archive: Archive, modern_neighbours: tuple[Path, Path]) -> Neighbours:
    for safe in modern_neighbours:
        for source in safe_sources(safe):
            ingest(archive, source)
    settle(archive)
    (purged,) = purge(archive, grace=NOW)
    assert purged.objects > 0
    return Neighbours(archive, modern_neighbours)


def test_safe_on_s3_is_recreated_and_read_by_gdal_and_odc_stac(
    neighbours: Neighbours, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = neighbours.archive
    for safe in neighbours.safes:
        product = archive.product(safe.stem)
        for band in BANDS:
            assert np.array_equal(read_band(archive, product, band, check=False), safe_pixels(safe, band))
    assert check(archive, deep=True) == []

    for name, value in s3.gdal_environment.items():
        monkeypatch.setenv(name, value)
    items = neighbours.items(archive.store.url)
    href = items[0].assets["B02"].href
    assert href.startswith("s3://")
    with rasterio.open(href) as image:
        assert np.array_equal(image.read(1), neighbours.held(items[0], "B02"))
    box = GeoBox.from_bbox((SEAM.left, SEAM.bottom, SEAM.right, SEAM.top), crs="EPSG:32632", resolution=10)
    loaded = odc.stac.load(items, bands=["B02"], geobox=box)["B02"]
    assert np.array_equal(loaded.values[0], neighbours.ground("B02"))


# Stores that can't be used


def test_store_without_conditional_writes_is_refused(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with forgetful_s3_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(UnsupportedStoreError, match=f"s3://{s3.bucket}/x: the store ignores If-Match"):
            create_archive(f"s3://{s3.bucket}/x")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", r"access is denied \(SignatureDoesNotMatch\); look at the credentials"),
        ("AWS_ACCESS_KEY_ID", "nobody", r"access is denied \(InvalidAccessKeyId\); look at the credentials"),
        ("AWS_SKIP_SIGNATURE", "true", r"access is denied \(AccessDenied\); look at the credentials"),
        ("AWS_ALLOW_HTTP", "", "its endpoint is plain HTTP, which has to be permitted by AWS_ALLOW_HTTP=true"),
    ],
)
def test_denied_access_is_said(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    url = archive.store.url
    monkeypatch.setenv(variable, value)
    for use in (open_archive, create_archive):
        with pytest.raises(UnsupportedStoreError, match=f"^{url}: {said}"):
            use(url)


def test_missing_bucket_is_said(s3: S3Server) -> None:
    for use in (open_archive, create_archive):
        with pytest.raises(UnsupportedStoreError, match=r"^s3://not-there/x: there is no such bucket$"):
            use("s3://not-there/x")
    with pytest.raises(InvalidArchiveError, match=f"^s3://{s3.bucket}/empty: not an archive"):
        open_archive(f"s3://{s3.bucket}/empty")
    with pytest.raises(InvalidArchiveError, match=r"^s3:///x: an archive is a folder or s3://bucket/prefix$"):
        open_archive("s3:///x")


def test_server_that_does_not_answer_is_named(s3: S3Server) -> None:
    store = open_store(f"s3://{s3.bucket}/x")
    with forgetful_s3_server() as url:
        dead = url  # it ends here
    backend: S3Store = type(store.backend)(  # type: ignore[assignment,call-arg]
        s3.bucket, endpoint=dead, client_options={"allow_http": True}, retry_config={"max_retries": 0}
    )
    with pytest.raises(UnsupportedStoreError, match=f"^{store.url}: Error performing PUT {dead}"):
        require_conditional_writes(replace(store, backend=backend))


# Results of the cube service


def test_a_part_of_a_job_is_written_read_and_removed(archive: Archive, s3: S3Server, tmp_path: Path) -> None:
    for source in toys()[:1]:
        ingest(archive, source)
    ask: Ask = {"tile": TILES[0], "options": {"bands": ["B01"], "resolution": 60}}
    results = f"s3://{s3.bucket}/{tmp_path.name}-results"
    task = Task(archive=archive.store.url, results=results, key="job/0.a.zarr", ask=ask, token="a", topic="a")  # noqa: S106 - no password
    assert attempt(task).problem is None
    with xr.open_zarr(zarr_store(results, task.key), mask_and_scale=False, decode_coords="all", chunks=None) as found:
        xr.testing.assert_equal(found, read(connect(archive.store.url), ask))
    store = open_results(results)
    assert store.children("")[0] == ["job"]
    remove(store, "job")
    assert list(store.entries("")) == []
