"""`abut check --store`, and what those may do on S3 who may not do everything; on a real server (SeaweedFS)."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING
from unittest import mock

import httpx
import numpy as np
import pytest

from abut.archive import Archive, create_archive, open_archive
from abut.connection import connect
from abut.errors import UnsupportedStoreError
from abut.legacy import read_bands
from abut.store import open_store
from cli.main import run
from ingest.check_store import Probe, probe_store, tls_version
from ingest.ingest import ingest
from services.zarr import zarr_app
from tests.flaky import flaky_proxy
from tests.servers import S3Server, _Forgetful, forgetful_s3_server, seaweed, web_server
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def source() -> ToySource:
    return ToySource(TILES[0])


@pytest.fixture
def archive(s3: S3Server, tmp_path: Path, source: ToySource) -> Archive:
    made = create_archive(f"s3://{s3.bucket}/{tmp_path.name}", catalogue=str(tmp_path / "catalog.sqlite"))
    ingest(made, source, threads=1)
    return made


def probes(url: str) -> dict[str, Probe]:
    return {probe.name: probe for probe in probe_store(open_store(url))}


def outcomes(url: str) -> dict[str, str]:
    return {name: probe.outcome for name, probe in probes(url).items()}


def abut(*arguments: str) -> tuple[int, str]:
    """Run a command; return its status and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = run(arguments)
    return status, printed.getvalue()


WHOLE = {
    "list": "ok",
    "absent object": "ok",
    "conditional writes": "ok",
    "ranges": "ok",
    "list after write": "ok",
    "clock": "ok",
    "time": "ok",
    "delete": "ok",
}
NOT_WRITTEN = dict.fromkeys(("conditional writes", "list after write", "clock", "time", "delete"), "not made")


# What is found


def test_a_store_that_does_everything_passes_and_nothing_is_left_in_it(archive: Archive) -> None:
    before = {entry.key for entry in archive.store.entries("")}
    assert outcomes(archive.store.url) == {"connection": "warning", **WHOLE}
    assert {entry.key for entry in archive.store.entries("")} == before
    assert "plain HTTP" in probes(archive.store.url)["connection"].what


def test_a_folder_passes_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    (tmp_path / "l1c").mkdir()
    found = outcomes(str(tmp_path / "l1c"))
    rooms = {name: found.pop(name) for name in ("room", "inodes")}
    assert found == {**WHOLE, "fsync": "ok"}
    assert set(rooms.values()) <= {"ok", "warning"}  # of the machine
    assert list((tmp_path / "l1c").iterdir()) == []


def test_a_folder_that_is_nearly_full_is_told_of(tmp_path: Path) -> None:
    full = os.statvfs_result((4096, 4096, 10**6, 10**4, 10**4, 10**6, 10**4, 10**4, 0, 255))
    with mock.patch("ingest.check_store.os.statvfs", return_value=full):
        found = probes(str(tmp_path))
    assert (found["room"].outcome, found["room"].what) == ("warning", "0 of 4 GB are free")
    assert (found["inodes"].outcome, found["inodes"].what) == (
        "warning",
        "10,000 of 1,000,000 inodes, one a file are free",
    )


def test_an_archive_behind_a_web_server_can_be_read(tmp_path: Path) -> None:
    create_archive(tmp_path / "l1c")
    with web_server(tmp_path / "l1c") as url:
        found = outcomes(url)
    assert found == {
        "connection": "warning",
        **NOT_WRITTEN,
        "list": "not made",
        "absent object": "ok",
        "ranges": "ok",
    }


def test_who_may_only_read_is_told_what_could_not_be_tried(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    found = outcomes(archive.store.url)
    assert found == {"connection": "warning", **NOT_WRITTEN, "list": "ok", "absent object": "ok", "ranges": "ok"}
    status, told = abut("check", "--store", "--archive", archive.store.url)
    assert status == 0, told
    assert "not made  conditional writes: these credentials do not permit to write" in told


def test_who_may_not_list_is_told_that_absent_objects_look_denied(
    archive: Archive, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SeaweedFS says 404 even then; the proxy says 403, as AWS does."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "blind")
    with flaky_proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        for method in ("GET", "HEAD"):
            proxy.spoil("denied if absent", method, times=10**6)
        found = probes(archive.store.url)
    assert found["list"].outcome == found["absent object"].outcome == "warning"
    assert "permit s3:ListBucket" in found["list"].what
    assert "403 instead of 404" in found["absent object"].what
    assert "permit s3:ListBucket" in found["absent object"].what
    assert found["ranges"].outcome == "ok"


def test_who_may_nothing_fails(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    found = probes(archive.store.url)
    assert found["ranges"].outcome == "failed"
    assert "access is denied (AccessDenied)" in found["ranges"].what
    assert abut("check", "--store", "--archive", archive.store.url)[0] == 1


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "access is denied (SignatureDoesNotMatch)"),
        ("AWS_ACCESS_KEY_ID", "nobody", "access is denied (InvalidAccessKeyId)"),
        ("AWS_ALLOW_HTTP", "", "its endpoint is plain HTTP, which has to be permitted by AWS_ALLOW_HTTP=true"),
    ],
)
def test_what_makes_a_store_useless_ends_the_probes(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    *_, last = probe_store(open_store(f"s3://{s3.bucket}/x"))
    assert (last.name, last.outcome) == ("list", "failed")
    assert said in last.what
    assert "\n" not in last.what


def test_a_bucket_that_is_missing_is_said(s3: S3Server) -> None:  # noqa: ARG001 - the environment
    *_, last = probe_store(open_store("s3://not-there/x"))
    assert last == Probe("list", "failed", "s3://not-there/x: there is no such bucket")


def test_a_store_without_conditional_writes_fails(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with forgetful_s3_server() as url, mock.patch("ingest.check_store._access", return_value=iter(())):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        *_, last = probe_store(open_store(f"s3://{s3.bucket}/x"))
    assert (last.name, last.outcome) == ("conditional writes", "failed")
    assert "ignores If-Match or If-None-Match" in last.what


def test_a_clock_that_differs_is_told_of(archive: Archive) -> None:
    with mock.patch("ingest.check_store.datetime") as clock:
        clock.now.side_effect = lambda _: datetime.now(UTC) + timedelta(minutes=5)
        found = probes(archive.store.url)
    assert found["clock"].outcome == "warning"
    assert "differs from the store's by 3" in found["clock"].what  # 300 s, or a second or two less


def test_the_version_of_tls_is_that_of_the_server(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the program openssl, which makes a certificate, is absent")
    names = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", *names],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with ThreadingHTTPServer(("127.0.0.1", 0), _Forgetful) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        try:
            assert tls_version("127.0.0.1", running.server_port) == "TLSv1.2"
        finally:
            running.shutdown()
            thread.join()


def test_check_store_says_it_in_json_and_goes_on_with_the_archive_if_asked(archive: Archive) -> None:
    url = archive.store.url
    alone = json.loads(abut("check", "--store", "--archive", url, "--json")[1])
    assert list(alone) == ["store"]
    assert (alone["store"]["url"], alone["store"]["failed"], alone["store"]["warnings"]) == (url, 0, 1)
    assert {probe["name"]: probe["outcome"] for probe in alone["store"]["probes"]} == outcomes(url)
    both = json.loads(abut("check", "--store", "--deep", "--archive", url, "--json")[1])
    assert (both["damage"], both["store"]["failed"]) == (0, 0)
    nothing = abut("check", "--store", "--deep", "--archive", f"{url}/nothing")
    assert nothing[0] == 2
    assert "not an archive" in nothing[1]


# Who may do what


def test_a_reader_reads_everything_and_writes_nothing(
    archive: Archive, source: ToySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    opened = open_archive(archive.store.url)
    assert opened.product_ids() == [source.id]
    for band, pixels in read_bands(opened, opened.product(source.id)):
        assert np.array_equal(pixels, source.arrays[band.name])
    for write in (
        lambda: opened.store.put_new("x", b""),
        lambda: opened.store.swap("archive.json", b"", '"v"'),
        lambda: opened.store.delete(["archive.json"]),
        opened.store.now,
        lambda: ingest(opened, ToySource(TILES[1]), threads=1),
        lambda: create_archive(f"{archive.store.url}/another"),
    ):
        with pytest.raises(UnsupportedStoreError, match=r"access is denied.*PutObject and DeleteObject") as error:
            write()
        assert "\n" not in str(error.value)


def test_a_writer_needs_no_more_than_reading_listing_and_writing(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "writer")
    opened = open_archive(archive.store.url)
    assert ingest(opened, ToySource(TILES[1]), threads=1).status == "ingested"
    assert len(opened.product_ids()) == 2


def test_who_may_not_list_reads_products_by_name_and_is_told_what_else_needs(
    archive: Archive, source: ToySource, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plans come from records, so that no reader of Abut asks for a block that is not there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "blind")
    with flaky_proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        for method in ("GET", "HEAD"):
            proxy.spoil("denied if absent", method, times=10**6)
        opened = open_archive(archive.store.url)
        for band, pixels in read_bands(opened, opened.product(source.id)):
            assert np.array_equal(pixels, source.arrays[band.name])
        for call in (
            opened.product_ids,
            lambda: opened.product("S2A_MSIL1C_20250101T101010_N0511_R022_T32TNP_20250101T101010"),
            lambda: connect(archive.store.url).tile(TILES[0], datetime="2023"),
        ):
            with pytest.raises(UnsupportedStoreError, match=r"access is denied \(AccessDenied\).*ListBucket"):
                call()


async def _asked(archive: Archive, path: str) -> int:
    transport = httpx.ASGITransport(zarr_app(archive.store))
    async with httpx.AsyncClient(transport=transport, base_url="http://abut") as client:
        return (await client.get(f"/{path}")).status_code


def test_the_zarr_service_does_not_take_denied_for_absent(
    archive: Archive, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "blind")
    with flaky_proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.spoil("denied if absent", "GET", times=10**6)
        opened = open_archive(archive.store.url)
        folder = archive.product(archive.product_ids()[0]).folder
        assert asyncio.run(_asked(opened, f"{folder}/measurements/reflectance/r60m/b01/c/9/9")) == 503
    assert "ListBucket" in caplog.text
