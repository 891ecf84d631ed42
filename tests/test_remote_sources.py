"""SAFE that lies elsewhere reads as one that lies here; servers that are away, lie or attack give one line."""

from __future__ import annotations

import os
import random
import zipfile
from pathlib import Path
from threading import Event, Thread, Timer
from types import SimpleNamespace
from typing import TYPE_CHECKING

import obstore
import pytest

from abut.errors import AbutError, InvalidSafeError, SourceError, SourceUnavailableError
from ingest.places import find_places
from ingest.remote import ranges, web
from ingest.remote.access import PREFIX, bearer, bucket_access
from ingest.remote.address import Address, parse_address
from ingest.remote.bucket import open_bucket
from ingest.remote.fetched import Fetched
from ingest.remote.opening import open_remote
from ingest.remote.scratch import NAME, scratch_folder, sweep
from ingest.safe_source import SafeSource, safe_sources, sources_of
from tests import safe_builder as builder
from tests.servers import S3Server, seaweed
from tests.source_server import Reply, source_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import S3Store

    from tests.source_server import Server

DAY = "Sentinel-2/MSI/L1C_N0500/2023/08/23"
SAFE = f"{builder.NAME}.SAFE"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product with an image of several pieces, so that reading on is tested."""
    files = builder.compact()
    files[builder.image("B02")] = builder.jp2(random.Random(1).randbytes(300_000))  # noqa: S311 - any bytes
    return builder.write(builder.with_manifest(files), tmp_path_factory.mktemp("safe"))


@pytest.fixture(scope="module")
def zipped(safe: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("zip") / f"{SAFE}.zip"
    files = {file.relative_to(safe).as_posix(): file.read_bytes() for file in safe.rglob("*") if file.is_file()}
    return builder.write_zip(files, path).read_bytes()


@pytest.fixture
def server() -> Iterator[Server]:
    with source_server() as running:
        yield running


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Scratch, which has to be empty in the end; nothing of the machine's settings; no waiting; small pieces."""
    for name in os.environ:
        if name.startswith(("AWS_", "ABUT_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("ABUT_SCRATCH", str(folder))
    monkeypatch.setattr(web, "WAITS", (0.0, 0.0))
    monkeypatch.setattr(ranges, "PIECE", 100_000)
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def source_bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """The bucket of sources, whose credentials are theirs alone: the archive's are good for nothing there."""
    for name, value in {
        "ACCESS_KEY_ID": s3.key,
        "SECRET_ACCESS_KEY": s3.secret,
        "ENDPOINT_URL": s3.endpoint,
        "ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(PREFIX + name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "of-the-archive")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    return open_bucket(s3.bucket).store


def upload(store: S3Store, folder: Path, key: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            obstore.put(store, f"{key}/{file.relative_to(folder).as_posix()}", file.read_bytes())


def open_all(address: str) -> tuple[SafeSource, dict[str, bytes]]:
    """The product of a remote SAFE, and all files that ingest reads of it."""
    with open_remote(parse_address(address), Event()) as container:
        (source,) = sources_of(container)
        if isinstance(container, Fetched):
            container.begin(source.paths)
            container.finish()
        source.check()
        found = {}
        for path in source.paths:
            with source.granule.open(path) as stream:
                found[path] = stream.read()
            assert not path.endswith(".jp2") or source.granule.gdal_path(path).endswith(".jp2")
        return source, found


def assert_same(address: str, safe: Path) -> None:
    (here,) = safe_sources(safe)
    there, found = open_all(address)
    assert (there.id, there.digest, there.safe) == (here.id, here.digest, here.safe)
    assert found == {path: (safe / path).read_bytes() for path in here.paths}


def refused(address: str, kind: type[AbutError] = InvalidSafeError) -> str:
    with pytest.raises(kind) as caught:
        open_all(address)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


# Where SAFE lies


def test_a_folder_in_a_bucket_is_the_product_that_it_is_here(source_bucket: S3Store, s3: S3Server, safe: Path) -> None:
    upload(source_bucket, safe, f"{DAY}/{SAFE}")
    assert_same(f"s3://{s3.bucket}/{DAY}/{SAFE}/", safe)


def test_a_zip_in_a_bucket_is_read_in_place(source_bucket: S3Store, s3: S3Server, safe: Path, zipped: bytes) -> None:
    obstore.put(source_bucket, f"zips/{SAFE}.zip", zipped)
    assert_same(f"s3://{s3.bucket}/zips/{SAFE}.zip", safe)


def test_a_prefix_is_the_products_directly_below(source_bucket: S3Store, s3: S3Server, zipped: bytes) -> None:
    for key in (f"day/{SAFE}/manifest.safe", "day/B.SAFE/manifest.safe", "day/A.zip", "day/notes.txt", "day/x/C.zip"):
        obstore.put(source_bucket, key, zipped)
    base = f"s3://{s3.bucket}/day"
    found = find_places([f"{base}/", f"{base}/A.zip"])
    assert found == [
        Address(f"{base}/A.zip", "A"),
        Address(f"{base}/B.SAFE", "B"),
        Address(f"{base}/{SAFE}", builder.NAME),
    ]
    with pytest.raises(InvalidSafeError, match="day/x/y: neither a SAFE"):
        find_places([f"{base}/x/y"])


@pytest.mark.parametrize("way", ["ranges", "whole", "chunked", "redirected", "busy"])
def test_a_zip_on_a_web_server_is_the_product_that_it_is_here(
    server: Server, safe: Path, zipped: bytes, way: str
) -> None:
    reply = Reply(zipped, ranges=way != "whole", chunked=way == "chunked", failures=2 * (way == "busy"))
    url = server.put(f"/{SAFE}.zip", reply)
    if way == "redirected":
        url = server.put("/odata/Products(1)/$value", Reply(location="/hop"))
        server.put("/hop", Reply(location=f"{server.url}/{SAFE}.zip"))
    assert_same(url, safe)
    if way in ("whole", "chunked"):
        assert len(server.asked) == 1, "one request gets the whole"


def test_of_a_zip_in_place_the_true_colour_image_is_not_fetched(server: Server, safe: Path, tmp_path: Path) -> None:
    files = {file.relative_to(safe).as_posix(): file.read_bytes() for file in safe.rglob("*") if file.is_file()}
    files[builder.image("TCI")] = builder.jp2(random.Random(2).randbytes(2_000_000))  # noqa: S311 - any bytes
    body = builder.write_zip(builder.with_manifest(files), tmp_path / "x.zip").read_bytes()
    open_all(server.put("/x.zip", Reply(body)))
    spans = [headers["range"].removeprefix("bytes=").partition("-") for _, headers in server.asked]
    assert sum(int(last) - int(first) + 1 for first, _, last in spans if first) < len(body) - 1_500_000


def test_the_next_file_is_fetched_while_the_first_is_read(server: Server, zipped: bytes) -> None:
    with open_remote(parse_address(server.put("/x.zip", Reply(zipped))), Event()) as container:
        (source,) = sources_of(container)
        assert isinstance(container, Fetched)
        container.begin(source.paths)
        container.finish()
        before = len(server.asked)
        source.check()
        assert len(server.asked) == before, "all was here"


def test_who_waits_for_files_is_let_go_when_they_are_no_longer_wanted(server: Server, zipped: bytes) -> None:
    reply = Reply(zipped)
    with open_remote(parse_address(server.put("/x.zip", reply)), Event()) as container:
        (source,) = sources_of(container)
        assert isinstance(container, Fetched)
        reply.hold = Event()
        container.begin(source.paths)
        waiting = Thread(target=container.finish)
        waiting.start()
        Timer(0.1, reply.hold.set).start()
    waiting.join(20)
    assert not waiting.is_alive()


# Servers that lie, or attack


def test_what_is_no_safe_is_refused(source_bucket: S3Store, s3: S3Server, server: Server) -> None:
    obstore.put(source_bucket, "odd/X.SAFE/MTD.xml", b"")
    obstore.put(source_bucket, "odd/X.zip", b"no zip")
    obstore.put(source_bucket, "odd/empty.zip", b"")
    assert "has no manifest.safe" in refused(f"s3://{s3.bucket}/odd/X.SAFE")
    assert "not a zip archive" in refused(f"s3://{s3.bucket}/odd/X.zip")
    assert "not a zip archive" in refused(f"s3://{s3.bucket}/odd/empty.zip")
    assert "begins with b'<html>" in refused(server.put("/login", Reply(b"<html>log in</html>", ranges=False)))
    assert "not a zip archive" in refused(server.put("/page", Reply(b"<html>log in</html>")))


@pytest.mark.parametrize("ranges_given", [True, False])
def test_a_file_that_is_larger_than_announced_in_a_zip_is_refused(
    server: Server, safe: Path, tmp_path: Path, ranges_given: bool
) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.SAFE/manifest.safe", (safe / "manifest.safe").read_bytes())
        archive.writestr("X.SAFE/bomb.jp2", bytes(20_000_000))
    whole = bytearray(path.read_bytes())
    place = whole.rindex(b"PK\1\2")
    whole[place + 24 : place + 28] = (1 << 31).to_bytes(4, "little")  # unpacked size in the directory: 2 GiB
    message = refused(server.put("/bomb.zip", Reply(bytes(whole), ranges=ranges_given)))
    assert "bomb.jp2: 2147483648 bytes are more than a file of a SAFE can have" in message


def test_a_product_has_a_largest_size(
    server: Server, zipped: bytes, source_bucket: S3Store, safe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(source_bucket, safe, "large/X.SAFE")
    server_bucket = source_bucket.config["bucket"]
    monkeypatch.setenv("ABUT_SOURCE_MAX_BYTES", "200000")
    for url in (
        server.put("/x.zip", Reply(zipped)),
        server.put("/whole", Reply(zipped, ranges=False)),
        server.put("/endless", Reply(zipped, chunked=True)),
        server.put("/announced", Reply(zipped[:50], ranges=False, announced=1 << 50)),
        f"s3://{server_bucket}/large/X.SAFE",
    ):
        assert "more than one product may have (200000, ABUT_SOURCE_MAX_BYTES)" in refused(url)


def test_there_must_be_room(server: Server, zipped: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    for reply in (Reply(zipped), Reply(zipped, ranges=False)):
        assert "there is room for 1000" in refused(server.put("/x.zip", reply), SourceError)


def test_what_breaks_off_may_succeed_later(server: Server, zipped: bytes) -> None:
    message = refused(server.put("/x", Reply(zipped[:-9], ranges=False, announced=len(zipped))), SourceUnavailableError)
    assert f"broke off after {len(zipped) - 9} of {len(zipped)} bytes" in message
    cut = Reply(zipped[:-9], chunked=True, announced=0)
    assert "broke off" in refused(server.put("/y", cut), SourceUnavailableError)


def test_a_range_that_breaks_off_is_asked_for_again(server: Server, zipped: bytes, safe: Path) -> None:
    reply = Reply(zipped)
    url = server.put("/x.zip", reply)
    with open_remote(parse_address(url), Event()) as container:
        (source,) = sources_of(container)
        reply.cuts = 2
        for path in source.paths:
            with source.granule.open(path) as stream:
                assert stream.read() == (safe / path).read_bytes()
    assert reply.cuts == 0
    reply.cuts = 1_000
    assert "broke off after" in refused(url, SourceUnavailableError)


def test_ranges_that_are_others_than_asked_for_are_noticed(server: Server, zipped: bytes) -> None:
    message = refused(server.put("/x", Reply(zipped, shift=1)), SourceUnavailableError)
    assert "broke off after" in message
    url = server.put("/z", Reply(zipped, headers={"Content-Encoding": "gzip"}))
    assert "packs its answer" in refused(url, SourceError)


def test_a_file_that_changes_while_it_is_read_is_noticed(server: Server, zipped: bytes) -> None:
    reply = Reply(zipped)
    url = server.put("/x.zip", reply)
    with open_remote(parse_address(url), Event()) as container:
        (source,) = sources_of(container)
        reply.body = zipped + b"\0"
        with pytest.raises(SourceError, match="changed while it was"):
            source.check()


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, SourceError, "access is denied"),
        (403, SourceError, "access is denied"),
        (404, SourceError, "there is nothing"),
        (503, SourceUnavailableError, "can't be reached (status 503)"),
        (500, SourceUnavailableError, "can't be reached (status 500)"),
    ],
)
def test_a_server_that_refuses_is_told_from_one_that_is_away(
    server: Server, status: int, kind: type[AbutError], said: str
) -> None:
    assert said in refused(server.put("/x.zip", Reply(status=status)), kind)
    assert len(server.asked) == (3 if kind is SourceUnavailableError else 1)


def test_a_server_that_is_not_there_may_come_back() -> None:
    assert "can't be reached" in refused("http://127.0.0.1:9/x.zip", SourceUnavailableError)


def test_redirects_lead_to_the_web_only_and_not_in_circles(server: Server) -> None:
    for place in ("file:///etc/passwd", "ftp://127.0.0.1/x", "http:///x"):
        assert "not followed" in refused(server.put("/x", Reply(location=place)), SourceError)
    circle = server.put("/circle", Reply(location="/circle"))
    assert "302" in refused(circle, SourceError)
    assert len([1 for path, _ in server.asked if path == "/circle"]) < 10


@pytest.mark.usefixtures("source_bucket")
def test_what_is_missing_in_a_bucket_is_told_from_a_bucket_that_is_missing(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "has no manifest.safe" in refused(f"s3://{s3.bucket}/nothing/X.SAFE")
    assert "nothing/X.zip: there is nothing" in refused(f"s3://{s3.bucket}/nothing/X.zip", SourceError)
    assert "s3://other-bucket" in refused("s3://other-bucket/X.SAFE", SourceError)
    monkeypatch.setenv(f"{PREFIX}SECRET_ACCESS_KEY", "wrong-secret")
    message = refused(f"s3://{s3.bucket}/nothing/X.zip", SourceError)
    assert "access is denied" in message
    assert "wrong-secret" not in message


# Credentials


def test_a_token_goes_to_its_hosts_alone(
    server: Server, zipped: bytes, safe: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = server.put("/x.zip", Reply(zipped, token="secret-1"))  # noqa: S106 - of this test
    monkeypatch.setenv("ABUT_SOURCE_TOKEN_HOSTS", f"example.org, {server.url}")
    file = tmp_path / "token"
    file.write_text("secret-1\n")
    monkeypatch.setenv("ABUT_SOURCE_TOKEN_FILE", str(file))
    assert_same(url, safe)
    with source_server() as other:
        stranger = other.put("/x.zip", Reply(zipped))
        assert_same(server.put("/away", Reply(location=stranger)), safe)
        assert all("authorization" not in headers for _, headers in other.asked)
    monkeypatch.setenv("ABUT_SOURCE_TOKEN", "secret-2")
    assert "secret" not in refused(url, SourceError)


def test_a_token_without_hosts_is_refused() -> None:
    with pytest.raises(SourceError, match="ABUT_SOURCE_TOKEN_HOSTS: not set"):
        bearer("https://example.org/x", {"ABUT_SOURCE_TOKEN": "x"})
    settings = {"ABUT_SOURCE_TOKEN": "x", "ABUT_SOURCE_TOKEN_HOSTS": "example.org"}
    assert bearer("https://example.org:443/y", settings) == "x"
    for url in ("http://example.org/y", "https://sub.example.org/y", "https://example.org:8443/y"):
        assert bearer(url, settings) is None


def test_the_token_of_a_service_of_abut_does_for_its_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABUT_TOKEN", "x")
    assert bearer("https://example.org/legacy/a") is None
    monkeypatch.setenv("ABUT_TOKEN_URL", "https://example.org")
    assert bearer("https://example.org/legacy/a") == "x"
    assert bearer("https://other.org/legacy/a") is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ENDPOINT_URL": "https://x.org"}, "no credentials"),
        ({"ACCESS_KEY_ID": "a"}, "no credentials"),
        ({"KEY": "a"}, "no such setting"),
        ({"SKIP_SIGNATURE": "true", "ENDPOINT_URL": "eodata"}, "'eodata' is not a URL"),
    ],
)
def test_settings_of_buckets_are_whole_or_refused(settings: dict[str, str], said: str) -> None:
    with pytest.raises(SourceError, match=said):
        bucket_access({PREFIX + name: value for name, value in settings.items()})


def test_secrets_are_not_shown() -> None:
    access = bucket_access({f"{PREFIX}ACCESS_KEY_ID": "id", f"{PREFIX}SECRET_ACCESS_KEY": "hidden"})
    assert access is not None
    assert "hidden" not in repr(access)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://user:password@host/x.zip", "user or password"),
        ("https://host/x.zip?X-Amz-Signature=abc", "secret in it"),
        ("https://host/x.zip?token=abc", "secret in it"),
        ("https://host/x.zip?sv=1&sig=abc", "secret in it"),
        ("https:///x.zip", "a SAFE is s3://"),
        ("https://host:port/x.zip", "not a URL"),
        ("s3://bucket/X.SAFE?versionId=1", "no parameters"),
        ("https://host/a b.zip", "a SAFE is s3://"),
    ],
)
def test_addresses_hold_no_secrets(text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        parse_address(text)
    assert "abc" not in str(caught.value)
    assert "password@" not in str(caught.value)


# Scratch


def test_what_a_killed_process_left_in_scratch_is_removed_by_the_next(scratch: Path) -> None:
    for name in ("dead", "other"):
        (scratch / f"{NAME}{name}").mkdir()
        (scratch / f"{NAME}{name}" / "file").write_bytes(b"x")
        (scratch / f"{NAME}{name}.lock").touch()
    with scratch_folder() as folder:
        (folder / "file").touch()
        sweep(scratch)
        assert sorted(scratch.iterdir()) == [folder, Path(f"{folder}.lock")], "what is in use stays"


def test_scratch_that_is_not_there_is_named(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABUT_SCRATCH", str(scratch / "nowhere"))
    with pytest.raises(SourceError, match="nowhere: no folder for files that are fetched"), scratch_folder():
        pass
