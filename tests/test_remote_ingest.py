"""Products ingested from elsewhere: the archive is the one that the SAFE here makes, whatever happens on the way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import zipfile
from typing import TYPE_CHECKING, Any

import obstore
import pytest
from distributed import Client, LocalCluster

from abut import cluster
from abut.archive import create_archive, open_archive
from abut.errors import SourceUnavailableError
from abut.layout import BANDS
from cli.main import run
from ingest.check import check
from ingest.container import open_container
from ingest.ingest import Outcome
from ingest.job import Failure
from ingest.parallel import ingest_many
from ingest.remote import web
from ingest.remote.access import PREFIX
from ingest.remote.address import Address
from ingest.remote.bucket import open_bucket
from ingest.remote.choosing import choose
from ingest.remote.search import Found
from ingest.withdraw import withdraw
from tests import safe_builder as builder
from tests.servers import seaweed
from tests.serving import serving
from tests.source_server import Reply, source_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from abut.archive import Archive
    from ingest.source import Source
    from tests.servers import S3Server
    from tests.source_server import Server

TIMES = ("created", "updated", "published")
OPENS = "ingest.remote.storing.open_remote"
STORES = "ingest.remote.storing.store_product"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@pytest.fixture
def server() -> Iterator[Server]:
    with source_server() as running:
        yield running


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Scratch, which has to be empty in the end; nothing of the machine's settings; no waiting."""
    for name in os.environ:
        if name.startswith(("AWS_", "ABUT_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("ABUT_SCRATCH", str(folder))
    monkeypatch.setattr(web, "WAITS", (0.0,))
    monkeypatch.setattr("ingest.parallel.FIRST_WAIT", 0.01)
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return create_archive(tmp_path / "archive")


def use(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("ACCESS_KEY_ID", s3.key),
        ("SECRET_ACCESS_KEY", s3.secret),
        ("ENDPOINT_URL", s3.endpoint),
        ("ALLOW_HTTP", "true"),
    ):
        monkeypatch.setenv(PREFIX + name, value)


def zipped(safe: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for file in sorted(safe.rglob("*")):
            packed.write(file, f"{safe.name}/{file.relative_to(safe).as_posix()}")
    return path


def contents(archive: Archive, product: str) -> dict[str, bytes]:
    """All objects of a product, by their keys below its attempt's folder."""
    folder = archive.product(product).folder
    return {entry.key.removeprefix(folder): archive.store.get(entry.key) for entry in archive.store.entries(folder)}


def assert_equal(archive: Archive, other: Archive, product: str) -> None:
    here, there = contents(archive, product), contents(other, product)
    assert here.keys() == there.keys()
    assert [key for key in here if here[key] != there[key]] == []
    items = [json.loads(one.store.get(f"products/{product}.json")) for one in (archive, other)]
    attempts = [one.product(product).prefix for one in (archive, other)]
    texts = [
        json.dumps({**item["properties"], **dict.fromkeys(TIMES)}).replace(attempt, "attempt")
        for item, attempt in zip(items, attempts, strict=True)
    ]
    assert texts[0] == texts[1]


def test_the_archive_is_the_same_wherever_the_safe_lay(  # noqa: PLR0917 - fixtures
    s3: S3Server,
    server: Server,
    neighbours: tuple[Path, Path],
    old_archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    west, east = neighbours
    use(s3, monkeypatch)
    bucket = open_bucket(s3.bucket).store
    for file in west.rglob("*"):
        if file.is_file():
            obstore.put(bucket, f"eodata/day/{west.name}/{file.relative_to(west).as_posix()}", file.read_bytes())
    url = server.put(f"/{east.name}.zip", Reply(zipped(east, tmp_path / "east.zip").read_bytes(), ranges=False))

    places = [f"s3://{s3.bucket}/eodata/day", url]
    assert run(["ingest", *places, "--archive", str(tmp_path / "l1c"), "--workers", "0", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(one["product"], one["status"]) for one in said["products"]] == [
        (west.stem, "ingested"),
        (east.stem, "ingested"),
    ]
    made = open_archive(tmp_path / "l1c")
    for safe in neighbours:
        assert_equal(made, old_archive, safe.stem)
    assert check(made, deep=True) == []

    # From here it is known by its digest, from there too, and then no image is fetched.
    ranged = server.put("/ranged.zip", Reply((tmp_path / "east.zip").read_bytes()))
    assert statuses(ingest_many(made, [west, f"s3://{s3.bucket}/eodata/day", ranged], workers=0)) == ["unchanged"] * 3
    spans = [headers["range"][6:].split("-") for path, headers in server.asked if path == "/ranged.zip"]
    fetched = sum(int(last) - int(first) + 1 for first, last in spans if first)
    assert fetched < (tmp_path / "east.zip").stat().st_size / 10


def statuses(results: list[Outcome | Failure]) -> list[str]:
    return [one.status if isinstance(one, Outcome) else one.error for one in results]


# Many, some of which fail: products without pixels, whose files are all fetched and checked, but not stored


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the products that were stored, whose files were whole."""
    ids: list[str] = []

    def store(_archive: Archive, source: Source, **_options: Any) -> Outcome:
        source.check()
        ids.append(source.id)
        return Outcome(source.id, "ingested", 0)

    monkeypatch.setattr(STORES, store)
    monkeypatch.setattr("ingest.parallel.register", lambda *_: None)
    return ids


def product(number: int, tmp_path: Path) -> tuple[str, bytes]:
    """A small product of its own id, as a zip."""
    name = builder.NAME.replace("120234", f"{120234 + number}")
    files = builder.edited(builder.compact(), builder.PRODUCT, f"{builder.NAME}.SAFE", f"{name}.SAFE")
    return name, builder.write_zip(files, tmp_path / f"{name}.zip", f"{name}.SAFE/").read_bytes()


def test_what_fails_for_the_moment_is_begun_again_and_what_fails_for_good_is_not(
    archive: Archive, server: Server, stored: list[str], tmp_path: Path
) -> None:
    made = [product(number, tmp_path) for number in range(4)]
    urls = [server.put(f"/{name}.zip", Reply(body)) for name, body in made]
    server.replies[f"/{made[0][0]}.zip"].failures = 5  # two requests for each of two tries, and one more
    server.replies[f"/{made[1][0]}.zip"].status = 403
    server.replies[f"/{made[2][0]}.zip"].failures = 1_000
    results = ingest_many(archive, urls, workers=0, retries=2)
    assert [isinstance(one, Outcome) for one in results] == [True, False, False, True], results
    denied, away = results[1], results[2]
    assert isinstance(denied, Failure)
    assert isinstance(away, Failure)
    assert (denied.path, denied.product, denied.transient) == (urls[1], made[1][0], False)
    assert (away.product, away.transient) == (made[2][0], True)
    assert sorted(stored) == sorted([made[0][0], made[3][0]])
    assert len([1 for path, _ in server.asked if path == f"/{made[1][0]}.zip"]) == 1
    assert len([1 for path, _ in server.asked if path == f"/{made[2][0]}.zip"]) == 3 * 2


@pytest.mark.parametrize("given", [True, False])
def test_all_granules_of_a_remote_safe_are_stored_and_only_what_failed_again(
    archive: Archive, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    body = builder.write_zip(builder.multi_granule("53HNA", "53HPA"), tmp_path / "x.zip").read_bytes()
    begun: list[str] = []

    def store(_archive: Archive, source: Source, **_options: Any) -> Outcome:
        source.check()
        begun.append(source.tile.id)
        if begun.count("53HPA") == 1 and source.tile.id == "53HPA":
            raise SourceUnavailableError("away")
        return Outcome(source.id, "ingested", 0)

    monkeypatch.setattr(STORES, store)
    monkeypatch.setattr("ingest.parallel.register", lambda *_: None)
    url = server.put("/x.zip", Reply(body, ranges=given))
    results = ingest_many(archive, [url], workers=0, retries=1)
    assert statuses(results) == ["ingested", "ingested"]
    assert begun == ["53HNA", "53HPA", "53HPA"]


def test_scratch_holds_no_more_than_one_product_and_the_next(
    archive: Archive, server: Server, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [product(number, tmp_path) for number in range(5)]
    urls = [server.put(f"/{name}.zip", Reply(body)) for name, body in made]
    most: list[int] = []
    ahead = threading.Event()

    def store(_archive: Archive, source: Source, **_options: Any) -> Outcome:
        source.check()
        if source.id != made[-1][0]:
            wait_until(lambda: len(list(scratch.glob("*.lock"))) == 2)
            ahead.set()
        most.append(len(list(scratch.glob("*.lock"))))
        return Outcome(source.id, "ingested", 0)

    monkeypatch.setattr(STORES, store)
    monkeypatch.setattr("ingest.parallel.register", lambda *_: None)
    assert statuses(ingest_many(archive, urls, workers=0)) == ["ingested"] * 5
    assert most == [2, 2, 2, 2, 1]
    assert ahead.is_set()


def test_a_run_that_is_interrupted_leaves_nothing_in_scratch(
    archive: Archive, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [server.put(f"/{name}.zip", Reply(body)) for name, body in (product(n, tmp_path) for n in range(3))]

    def store(*_: Any, **_options: Any) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr(STORES, store)
    with pytest.raises(KeyboardInterrupt):
        ingest_many(archive, urls, workers=0)


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(500):
        if happened():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def test_a_run_that_is_killed_leaves_scratch_to_the_next_one(server: Server, scratch: Path, tmp_path: Path) -> None:
    name, body = product(1, tmp_path)
    hold = threading.Event()
    url = server.put(f"/{name}.zip", Reply(body, hold=hold))
    command = [sys.executable, "-m", "cli.main", "ingest", url, "--archive", str(tmp_path / "l1c")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: bool(server.asked))
        process.kill()
    hold.set()
    assert len(list(scratch.iterdir())) == 2
    server.put(f"/{name}.zip", Reply(body[:99], ranges=False))
    (failed,) = ingest_many(create_archive(tmp_path / "l1c"), [url], workers=0)
    assert isinstance(failed, Failure)
    assert list(scratch.iterdir()) == []


def test_workers_fetch_for_themselves_and_are_told_no_secret(
    archive: Archive, server: Server, stored: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABUT_SOURCE_TOKEN", "very-secret")
    monkeypatch.setenv("ABUT_SOURCE_TOKEN_HOSTS", server.url)
    made = [product(number, tmp_path) for number in range(3)]
    urls = [server.put(f"/{name}.zip", Reply(body, token="very-secret")) for name, body in made]  # noqa: S106 - as above
    told: list[bytes] = []

    def submit(client: Any, *arguments: Any, **options: Any) -> Any:
        told.append(pickle.dumps((arguments, options)))
        return real(client, *arguments, **options)

    real = Client.submit
    monkeypatch.setattr(Client, "submit", submit)
    cluster_kind: Any = LocalCluster
    with (
        cluster.quiet(),
        cluster_kind(
            n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
        ) as running,
    ):
        results = ingest_many(archive, urls, scheduler=running.scheduler_address)
    assert statuses(results) == ["ingested"] * 3
    assert sorted(stored) == sorted(name for name, _ in made)
    assert len(told) == 3
    assert not any(b"very-secret" in one for one in told)


# Found by a STAC API


def test_products_of_another_archive_come_by_its_api_and_what_failed_comes_again(
    old_archive: Archive,
    neighbours: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    west, east = (safe.stem for safe in neighbours)
    failed, target = tmp_path / "failed", tmp_path / "l1c"
    assert old_archive.store.root is not None
    archive = open_archive(shutil.copytree(old_archive.store.root, target))
    assert withdraw(archive, east)
    options = ["--archive", str(target), "--workers", "0", "--json", "--failed", str(failed)]
    monkeypatch.setattr("ingest.parallel.register", lambda *_: None)

    def store(_archive: Archive, source: Source, **_options: Any) -> Outcome:
        source.check()
        for band in (band for band in BANDS if band.resolution == 60):
            pixels = hashlib.sha256(b"".join(strip.tobytes() for strip in source.strips(band))).hexdigest()
            assert pixels == old_archive.product(source.id).record.bands[band.name].digest
        return Outcome(source.id, "ingested", 0)

    def ingested(*arguments: str) -> tuple[int, dict[str, str], list[dict[str, Any]]]:
        status = run(["ingest", *arguments, *options])
        said = json.loads(capsys.readouterr().out)
        return status, {one["product"]: one["status"] for one in said["products"]}, said["failures"]

    with serving(old_archive.store.url) as served:
        api = f"{served.url}/stac"
        monkeypatch.setattr(STORES, store)
        status, stored, failures = ingested("--from-stac", api, "--ids", east)
        assert (status, stored, failures, failed.read_text()) == (0, {east: "ingested"}, [], "")

        tries: list[str] = []

        def away(address: Address, _stopped: threading.Event) -> Any:
            tries.append(address.name)
            raise SourceUnavailableError("x.zip: away\nfor now")

        monkeypatch.setattr(OPENS, away)
        where = ["--bbox", "5,40,15,50", "--datetime", "2025-08", "--max-cloud", "100", "--retries", "1"]
        status, stored, failures = ingested("--from-stac", api, *where)
        assert (status, stored, tries) == (1, {west: "skipped"}, [east, east])
        assert [(one["product"], one["transient"]) for one in failures] == [(east, True)]
        assert failed.read_text() == f"# x.zip: away for now\n{east}\n"

        monkeypatch.setattr(OPENS, lambda *_: contextlib.nullcontext(open_container(neighbours[1])))
        status, stored, failures = ingested("--from-stac", api, "--ids", f"@{failed}", "--ids", "unknown")
        assert (status, stored) == (1, {east: "ingested"})
        assert "no item 'unknown' in what was searched" in failures[0]["error"]
        assert failed.read_text().splitlines()[1] == "unknown"
        failed.write_text("# nothing failed\n")
        assert ingested("--from-stac", api, "--ids", f"@{failed}")[:2] == (0, {})


def test_a_limit_is_of_what_the_archive_has_not(old_archive: Archive, neighbours: tuple[Path, Path]) -> None:
    def found() -> Iterator[Found]:
        yield Found("one", neighbours[0].stem, Address("https://example.org/1.zip", "1"))
        yield Found("none", "", error="it has no SAFE")
        for number in range(2, 4):
            yield Found(str(number), "S2B_unknown", Address(f"https://example.org/{number}.zip", ""))
        raise AssertionError("no more was needed")

    chosen = choose(old_archive, found(), 1)
    assert [one.product for one in chosen.skipped] == [neighbours[0].stem]
    assert [one.error for one in chosen.failed] == ["it has no SAFE"]
    assert chosen.addresses == [Address("https://example.org/2.zip", "")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a.SAFE", "--from-stac", "https://x.org"), "either SAFE... or --from-stac"),
        ((), "either SAFE... or --from-stac"),
        (("a.SAFE", "--bbox", "1,2,3,4"), "--bbox is for a search"),
        (("a.SAFE", "--max-cloud", "4"), "--max-cloud is for a search"),
        (("--from-stac", "https://x.org"), "does not take all that there is"),
        (("--from-stac", "https://x.org", "--bbox", "1,2,3"), "'1,2,3' is not W,S,E,N"),
        (("--from-stac", "https://x.org", "--datetime", "soon"), "soon"),
        (("--from-stac", "https://x.org", "--ids", "@/no/list"), "@/no/list: can't be read"),
        (("--from-stac", "ftp://x.org", "--ids", "a"), "not the URL of a STAC API"),
        (("--from-stac", "http://127.0.0.1:9", "--ids", "a"), "can't be reached"),
        (("--from-stac", "https://x.org", "--ids", "a", "--failed", "/no/folder/list"), "/no/folder"),
        (("https://u:p@x.org/a.zip",), "user or password"),
        (("ftp://x.org/a.zip",), "ftp://x.org/a.zip"),
    ],
)
def test_a_wrong_request_is_one_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ingest", *arguments, "--archive", str(tmp_path / "l1c")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in error
