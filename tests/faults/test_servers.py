"""Store and database down at the start of a service and later, silent, and restarted under load."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import uvicorn

from abut.archive import create_archive, open_archive
from abut.errors import AbutError
from abut.legacy import read_bands
from catalog.opening import open_own
from cli.main import run
from ingest.check import check
from ingest.ingest import ingest
from tests.faults.rig import Rig, ready, rig, until
from tests.serving import serving
from tests.shots import Shot, shot_days_later
from tests.toy import TILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.archive import Archive
    from tests.faults.proxy import Mode
    from tests.serving import Served

BOUND = 45.0
"""Seconds within which whatever is asked has to be answered, by a service whose limits are those below."""

LIMITS = {"tile_seconds": "10", "cube_seconds": "10", "cube_lease_seconds": "5", "tile_cache_bytes": "0"}


@pytest.fixture(name="stand", scope="module")
def _stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("rig")) as running, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "ABUT_"))]:
            patch.delenv(name)
        for name, value in running.s3.environment.items():
            patch.setenv(name, value)
        patch.setenv("PGPASSWORD", running.database.password)
        yield running


@pytest.fixture(name="archive", scope="module")
def _archive(stand: Rig) -> Archive:
    archive = create_archive(f"s3://{stand.s3.bucket}/l1c", catalogue=stand.catalogue)
    for name in TILES[:2]:
        ingest(archive, Shot(name), threads=1)
    return archive


@pytest.fixture(name="served", scope="module")
def _served(stand: Rig, archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that was started while nothing answered: what it says then is tested here."""
    folder = tmp_path_factory.mktemp("results")
    stand.s3_proxy.become("refuse")
    stand.database_proxy.become("refuse")
    settings: Any = {**LIMITS, "results": str(folder), "catalogue": stand.catalogue}
    with serving(archive.store.url, ready=False, **settings) as running:
        assert ready(running.url) == {"ready": False, "archive": "does not answer; the log says why"}
        started = time.monotonic()
        refused = httpx.get(f"{running.url}/stac/search", timeout=BOUND)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert time.monotonic() - started < 2
        until(lambda: 'abut_ready{what="store"} 0.0' in httpx.get(f"{running.url}/metrics").text)
        stand.s3_proxy.become("pass")
        until(lambda: 'abut_ready{what="catalogue"} 0.0' in httpx.get(f"{running.url}/metrics").text)
        assert not ready(running.url)["ready"]
        stand.database_proxy.become("pass")
        until(lambda: ready(running.url)["ready"], told=running.log)
        yield running


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and what every answer to it must be."""

    path: str
    """Path and query."""
    answer: bytes
    """The answer that is right."""

    def ask(self, url: str) -> tuple[int, bytes, float]:
        """Return status, body, and how long it took."""
        started = time.monotonic()
        try:
            found = httpx.get(f"{url}{self.path}", timeout=BOUND)
        except httpx.TransportError:  # a body that had begun is cut off where the store ends
            return 0, b"", time.monotonic() - started
        return found.status_code, found.content, time.monotonic() - started


def questions(archive: Archive) -> list[str]:
    product = archive.product(Shot(TILES[0]).id)
    chunk = next(entry.key for entry in archive.store.entries(product.folder) if "/b09/c/" in entry.key)
    box = "600000,4890000,615000,4905000"
    return [
        f"/stac/search?ids={product.id}",
        f"/zarr/{chunk}",
        f"/tiles/items/{product.id}/bbox/{box}.npy?coord_crs=EPSG:32632&dst_crs=EPSG:32632&assets=B01&unscale=false",
        f"/cubes/cube?bbox={box}&crs=EPSG:32632&bands=B01&resolution=60&across=false&datetime=2023-08-23&format=netcdf",
    ]


@pytest.fixture(name="asked", scope="module")
def _asked(served: Served, archive: Archive) -> list[Question]:
    """Questions, with what is answered while all is well."""
    found = [Question(path, httpx.get(f"{served.url}{path}", timeout=BOUND).content) for path in questions(archive)]
    for question in found:
        status, body, _ = question.ask(served.url)
        assert status == 200, (question.path, body)
        assert body == question.answer
    return found


@contextlib.contextmanager
def load(url: str, asked: list[Question]) -> Iterator[list[tuple[Question, int, bytes, float]]]:
    """Ask all questions again and again, each in a thread, until the end of the block; yields what comes."""
    seen: list[tuple[Question, int, bytes, float]] = []
    ending = threading.Event()

    def work(question: Question) -> None:
        while not ending.is_set():
            seen.append((question, *question.ask(url)))
            ending.wait(0.2)

    threads = [threading.Thread(target=work, args=(question,)) for question in asked]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def assert_right(seen: list[tuple[Question, int, bytes, float]]) -> None:
    """No answer is wrong, none takes too long; what fails is the server's fault and said so."""
    for question, status, body, seconds in seen:
        assert seconds < BOUND, (question.path, seconds)
        if status == 200:
            assert body == question.answer, question.path
        else:
            assert status in (0, 502, 503, 504), (question.path, status, body)


def test_pixels_are_those_of_the_toy(asked: list[Question], archive: Archive) -> None:
    source = Shot(TILES[0])
    for band, pixels in read_bands(archive, archive.product(source.id)):
        assert np.array_equal(pixels, source.arrays[band.name])
    assert len(asked) == 4


@pytest.mark.parametrize("what", ["s3", "database"])
def test_readiness_follows_the_servers_and_nothing_hangs(
    stand: Rig, served: Served, asked: list[Question], what: str
) -> None:
    """Both ways of being down: connections are ended, or taken and never answered."""
    proxy = stand.s3_proxy if what == "s3" else stand.database_proxy
    name = "store" if what == "s3" else "catalogue"
    modes: tuple[Mode, ...] = ("refuse", "swallow")
    for mode in modes:
        with proxy.being(mode):
            said = ready(served.url)
            assert not said["ready"]
            assert said[name] != "ok"
            with ThreadPoolExecutor(len(asked)) as pool:
                found = list(pool.map(lambda question: (question, *question.ask(served.url)), asked))
            assert_right(found)
            assert {200} != {status for _, status, *_ in found}
        until(lambda: ready(served.url)["ready"])
        for question in asked:
            until(lambda question=question: question.ask(served.url)[:2] == (200, question.answer))  # type: ignore[misc]


def test_restarts_under_load_lose_nothing_and_show_no_wrong_pixel(
    stand: Rig, served: Served, asked: list[Question], archive: Archive
) -> None:
    """Both servers are killed while four kinds of question are asked and products are stored."""
    sources = [shot_days_later(day, TILES[0]) for day in (10, 20, 30, 40)]
    failed: list[str] = []

    def store() -> None:
        for source in sources:
            while True:
                try:
                    ingest(open_archive(archive.store.url), source, threads=1)
                    break
                except (AbutError, OSError) as error:
                    failed.append(str(error))
                    time.sleep(0.5)

    writer = threading.Thread(target=store)
    with load(served.url, asked) as seen:
        writer.start()
        for restart in (stand.restart_s3, stand.restart_database):
            time.sleep(1)
            restart()
            stand.wait()
            until(lambda: ready(served.url)["ready"])
        writer.join(120)
        assert not writer.is_alive(), failed
        before = len(seen)
        until(lambda: len(seen) > before + 2 * len(asked))
    assert_right(seen)
    statuses = [status for _, status, *_ in seen]
    assert statuses.count(200) > len(asked)
    assert {status for _, status, *_ in seen[-len(asked) :]} == {200}

    assert check(archive, repair=True) is not None
    assert check(archive, deep=True) == []
    for source in (Shot(TILES[0]), Shot(TILES[1]), *sources):
        for band, pixels in read_bands(archive, archive.product(source.id)):
            assert np.array_equal(pixels, source.arrays[band.name])
    with closing(open_own(archive)) as catalogue:
        assert catalogue.ids() == set(archive.product_ids())


@pytest.mark.parametrize("patient", [True, False])
def test_a_request_in_flight_at_sigterm_is_finished_unless_somebody_insists(
    stand: Rig, archive: Archive, asked: list[Question], *, patient: bool
) -> None:
    """The store is silent meanwhile, so that the request is in flight for as long as the test likes."""
    chunk = asked[1]
    with serving(archive.store.url, "--part", "zarr") as running, ThreadPoolExecutor(1) as pool:
        stand.s3_proxy.become("swallow")
        try:
            waiting = pool.submit(chunk.ask, running.url)
            under_way = 'abut_http_requests_under_way{part="zarr"} 1.0'
            until(lambda: under_way in httpx.get(f"{running.url}/metrics", timeout=20).text)
            running.process.terminate()
            until(lambda: not listens(running.url))
            assert running.process.poll() is None
            if not patient:
                running.process.send_signal(signal.SIGINT)
                assert running.process.wait(10) == 0
        finally:
            stand.s3_proxy.become("pass")
        status, body, _ = waiting.result()
        assert (status, body) == (200, chunk.answer) if patient else status in (0, 503)
        assert running.process.wait(20) == 0


def listens(url: str) -> bool:
    """Whether new connections are taken."""
    try:
        httpx.get(f"{url}/healthz", timeout=5)
    except httpx.TransportError:
        return False
    return True


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "access is denied"),
        ("ABUT_ARCHIVE", "s3://not-there/l1c", "there is no such bucket"),
        ("PGPASSWORD", "wrong", "password authentication failed"),
    ],
)
def test_what_an_operator_has_to_put_right_ends_a_service_at_its_start(  # noqa: PLR0917 - three of a case
    stand: Rig,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv("ABUT_ARCHIVE", archive.store.url)
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_: None)  # a service that starts would not end
    assert run(["serve", "--port", "0", "--catalogue", stand.catalogue]) in (1, 2)
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith("abut: error: ")
    assert errors.count("\n") == 1
    assert said in errors
    assert stand.s3.secret not in errors
