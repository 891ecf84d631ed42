"""`abut serve` as a program: what it says, how it ends, and what its parts do together."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.testclient import TestClient

from abut.archive import Archive, create_archive
from abut.catalogue import without_secrets
from catalog.opening import open_catalogue
from cli.main import run
from ingest.ingest import ingest
from services.app import create_app
from services.settings import load_settings
from tests.serving import ROOT, Served, environment, serving
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGE = 40_000_000


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Four toy products, and a file that takes a while to send."""
    made = create_archive(tmp_path_factory.mktemp("serve") / "archive")
    for name in TILES:
        ingest(made, ToySource(name), threads=1)
    made.store.put_new(large(made), b"x" * LARGE)
    return made


@pytest.fixture(scope="module")
def served(archive: Archive) -> Iterator[Served]:
    with serving(archive.store.url, cors_origins="https://maps.example") as running:
        yield running


@contextlib.contextmanager
def within(archive: Archive, **settings: str) -> Iterator[TestClient]:
    """Ask the service in this process, where starting a program would prove no more."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ABUT_")]:
            patch.delenv(name)
        app = create_app(load_settings(archive=archive.store.url, **settings))
    with TestClient(app, client=("127.0.0.1", 50_000)) as client:
        yield client


def large(archive: Archive) -> str:
    return f"{archive.product(archive.product_ids()[0]).folder}/legacy/large.bin"


# What it says


def test_it_prints_where_it_listens_and_what_is_mounted(served: Served, archive: Archive) -> None:
    assert served.url.startswith("http://127.0.0.1:")
    assert not served.url.endswith(":0")
    assert served.announced == {
        "url": served.url,
        "public_url": served.url,
        "archive": archive.store.url,
        "parts": [
            {"path": "/stac", "title": "STAC API: search for products"},
            {
                "path": "/tiles",
                "title": "Map tiles and other pictures, of one product or of a mosaic: XYZ, TileJSON, WMTS",
            },
            {"path": "/cubes", "title": "Cubes: any ground and time; OGC API - Processes"},
            {"path": "/legacy", "title": "Legacy tiles, bit for bit: /<product id>?format=safe or geotiff"},
            {"path": "/zarr/zones", "title": "Zones as one Zarr: /<EPSG code>/<year, month or day>.zarr"},
            {"path": "/zarr", "title": "Objects of the archive, read only"},
        ],
    }


def test_the_index_names_the_parts(served: Served) -> None:
    index = httpx.get(f"{served.url}/").json()
    links = {link["rel"]: link["href"] for link in index["links"]}
    assert links["data"] == f"{served.url}/stac"
    assert links["self"] == f"{served.url}/"
    assert httpx.get(links["data"]).json()["type"] == "Catalog"


def test_the_landing_page_leads_to_what_is_beside_it(archive: Archive) -> None:
    with within(archive) as client:
        links = {link["rel"]: link["href"] for link in client.get("/stac/").json()["links"]}
        assert client.get(links["related"]).json() == client.get("/").json()


def test_it_is_alive_and_ready(served: Served) -> None:
    assert httpx.get(f"{served.url}/healthz").json() == {"alive": True}
    ready = httpx.get(f"{served.url}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "catalogue": "ok", "store": "ok"})
    assert ready.headers["cache-control"] == "no-store"


def test_it_is_not_ready_without_its_archive(archive: Archive, tmp_path: Path) -> None:
    assert archive.store.root is not None
    settings = archive.store.root / "archive.json"
    with within(archive) as client:
        settings.rename(tmp_path / "archive.json")
        try:
            answer = client.get("/readyz")
            assert client.get("/healthz").status_code == 200
        finally:
            (tmp_path / "archive.json").rename(settings)
        assert answer.status_code == 503
        assert answer.json()["ready"] is False
        # What is wrong is for the operator: an address of a bucket is nothing for strangers.
        assert answer.json()["store"] == "does not answer; the log says why"
        assert archive.store.url not in answer.text
        assert answer.json()["catalogue"] == "ok"
        assert client.get("/readyz").status_code == 200


def test_what_is_nowhere_is_not_found_as_json(served: Served) -> None:
    answer = httpx.get(f"{served.url}/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "NotFound")


def test_each_request_is_logged_once_with_its_id(served: Served) -> None:
    for path in ("/stac/search?limit=1", "/zarr/archive.json", "/", "/nowhere"):
        answer = httpx.get(served.url + path, headers={"x-request-id": f"test{path.replace('?', '-')}"})
        name = answer.headers["x-request-id"]
        assert name == f"test{path.replace('?', '-')}"
        line = served.logged(name)
        assert (line["path"], line["status"]) == (path.partition("?")[0], answer.status_code)
        assert [one for one in served.log() if one.get("request_id") == name] == [line]


def test_pages_of_chosen_web_sites_may_read_answers(served: Served, archive: Archive) -> None:
    item = f"/zarr/products/{archive.product_ids()[0]}.json"
    for path in ("/stac/search", item):
        for site, allowed in (("https://maps.example", "https://maps.example"), ("https://other.example", None)):
            answer = httpx.get(served.url + path, headers={"origin": site})
            assert answer.headers.get("access-control-allow-origin") == allowed, path
            assert "Origin" in answer.headers["vary"]
        asked = {"origin": "https://maps.example", "access-control-request-method": "GET"}
        preflight = httpx.options(served.url + path, headers=asked | {"access-control-request-headers": "range"})
        assert preflight.headers["access-control-allow-origin"] == "https://maps.example"


def test_any_page_may_read_answers_unless_the_operator_says_otherwise(archive: Archive) -> None:
    with within(archive) as client:
        answer = client.get(f"/zarr/products/{archive.product_ids()[0]}.json", headers={"origin": "https://a.b"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert "vary" not in answer.headers  # or a CDN would keep a copy for each site
        asked = {"origin": "https://a.b", "access-control-request-method": "GET"}
        preflight = client.options(
            f"/zarr/{large(archive)}", headers=asked | {"access-control-request-headers": "Range"}
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "*"


# Where clients see it


def test_links_and_hrefs_begin_where_the_client_sees_the_service(archive: Archive) -> None:
    with within(archive, public_url="https://data.example/l1c") as client:
        for prefix in ("", "/l1c"):  # proxies that take their prefix off, and such that leave it
            answer = client.get(f"{prefix}/stac/search?limit=1")
            (item,) = answer.json()["features"]
            hrefs = [link["href"] for link in item["links"]]
            hrefs += [asset["href"] for asset in item["assets"].values()]
            hrefs += [link["href"] for link in answer.json()["links"]]
            ours = [href for href in hrefs if "data.example" in href]
            assert len(ours) > 10
            parts = tuple(f"https://data.example/l1c/{part}" for part in ("stac", "tiles", "zarr"))
            assert all(href.startswith(parts) for href in ours)
            cubes = client.get(f"{prefix}/cubes").json()["links"]
            assert all(link["href"].startswith("https://data.example/l1c/") for link in cubes)
            assert "testserver" not in answer.text
            path = item["assets"]["product"]["href"].removeprefix("https://data.example/l1c")
            there = client.get(f"{prefix}{path}", follow_redirects=False)
            assert (there.status_code, there.headers["location"]) == (301, f"{item['properties']['abut:store']}/")


def test_hrefs_may_lead_to_a_bucket_or_cdn(archive: Archive) -> None:
    with within(archive, products_url="s3://bucket/l1c/products") as client:
        (item,) = client.get("/stac/search?limit=1").json()["features"]
        store = item["properties"]["abut:store"]
        assert item["assets"]["product"]["href"] == f"s3://bucket/l1c/products/{store}"
        (link,) = [link for link in item["links"] if link["rel"] == "store"]
        assert link["href"] == f"http://testserver/zarr/products/{store}"


def test_a_proxys_headers_count_and_a_strangers_do_not(archive: Archive) -> None:
    headers = {"x-forwarded-proto": "https", "x-forwarded-host": "data.example", "x-forwarded-for": "192.0.2.9"}
    for trusted, base in (("127.0.0.1", "https://data.example"), ("10.0.0.0/8", "http://testserver")):
        with within(archive, trusted_proxies=trusted) as client:
            answer = client.get("/stac", headers=headers)
        (own,) = [link["href"] for link in answer.json()["links"] if link["rel"] == "self"]
        assert own == f"{base}/stac/"


def test_the_log_names_the_client_behind_a_trusted_proxy(served: Served) -> None:
    answer = httpx.get(f"{served.url}/healthz", headers={"x-forwarded-for": "192.0.2.9"})
    assert served.logged(answer.headers["x-request-id"])["client"] == "192.0.2.9"


# Several processes, writers beside them


def test_several_workers_answer_and_see_what_is_written_meanwhile(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive")
    ingest(archive, ToySource(TILES[0]), threads=1)
    with serving(archive.store.url, "--workers", "2") as running:
        for number, name in enumerate(TILES[1:], 2):
            assert ingest(archive, ToySource(name), threads=1).status == "ingested"
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda _: httpx.get(f"{running.url}/stac/search", timeout=30), range(24)))
            assert {answer.status_code for answer in answers} == {200}
            assert {len(answer.json()["features"]) for answer in answers} == {number}
        assert len(running.workers(2)) == 2
        assert running.end() == 0


# How it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_finishes_what_it_began_when_it_is_told_to_end(archive: Archive, number: int) -> None:
    with serving(archive.store.url) as running, httpx.stream("GET", f"{running.url}/zarr/{large(archive)}") as answer:
        received = 0
        for piece in answer.iter_bytes():
            if not received:
                running.process.send_signal(number)
            received += len(piece)
        assert received == LARGE
        assert running.process.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{running.url}/healthz")


def test_errors_are_one_line_that_names_what_is_wrong(
    tmp_path: Path, archive: Archive, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = archive.store.url
    s3 = create_archive(tmp_path / "none", catalogue="")
    behind = create_archive(tmp_path / "behind", catalogue="https://example.org/stac")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, text in (
            (["--archive", str(tmp_path)], f"{tmp_path}: not an archive"),
            (["--archive", str(tmp_path / "absent")], f"{tmp_path / 'absent'}: no such folder"),
            (["--archive", s3.store.url], "`abut catalog migrate --to ... --switch` gives it one"),
            (["--archive", url, "--port", str(port)], f"127.0.0.1:{port}: Address already in use"),
            (["--archive", url, "--host", "192.0.2.1", "--port", "0"], "192.0.2.1:0: Cannot assign requested address"),
            (["--archive", url, "--port", "99999"], "ABUT_PORT=99999"),
            (["--archive", url, "--workers", "0"], "ABUT_WORKERS=0"),
            (["--archive", url, "--public-url", "example.org"], "'example.org' is not a URL"),
            (["--archive", url, "--catalogue", "other.sqlite"], "is 'catalog.sqlite', not 'other.sqlite'"),
            (["--archive", url, "--catalogue", "ftp://a"], "ftp://a"),
            (["--archive", behind.store.url], "https://example.org/stac: is a STAC API"),
        ):
            assert run(["serve", *arguments]) == 2, arguments
            output, errors = capsys.readouterr()
            assert not output
            assert errors.startswith("abut: error: ")
            assert errors.count("\n") == 1
            assert text in errors
    monkeypatch.setenv("ABUT_TRANSACTIONS", "true")
    monkeypatch.setenv("ABUT_WRITE_TOKENS", "hush")
    assert run(["serve", "--archive", url]) == 2
    errors = capsys.readouterr().err
    assert "ABUT_WRITE_TOKENS" in errors
    assert "hush" not in errors


@pytest.mark.parametrize("package", ["uvicorn", "pydantic_settings"])
def test_without_the_extra_it_says_which(archive: Archive, package: str) -> None:
    script = """
import sys
sys.modules[sys.argv[2]] = None
from cli.main import run
sys.exit(run(["serve", "--archive", sys.argv[1]]))
"""
    command = [sys.executable, "-c", script, archive.store.url, package]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment())
    assert done.returncode == 2
    assert "pip install 'abut[services]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_application_that_cant_start_ends_the_program(tmp_path: Path) -> None:
    """What breaks between the look at the archive and the start of those that answer."""
    archive = create_archive(tmp_path / "archive")
    script = """
import sys
from pathlib import Path
import cli.serve
from cli.main import run
def broken(*_, **__): Path(sys.argv[1], "catalog.sqlite").write_bytes(b"no database" * 100)
cli.serve._announce = broken
sys.exit(run(["serve", "--archive", sys.argv[1], "--port", "0"]))
"""
    command = [sys.executable, "-c", script, archive.store.url]
    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment(), timeout=120
    )
    assert done.returncode == 2
    assert "Application startup failed" in done.stderr


def test_the_catalogue_may_be_in_postgresql(archive: Archive, pgstac_url: str, tmp_path: Path) -> None:
    moved = create_archive(tmp_path / "moved", catalogue=without_secrets(pgstac_url))
    with open_catalogue(archive.catalogue_url) as ours, open_catalogue(pgstac_url) as theirs:
        for collection in ours.collections():
            theirs.put_collection(collection)
        assert theirs.upsert_many(ours.items()) == 4
    with within(archive) as on_sqlite, within(moved, catalogue=pgstac_url) as on_postgres:
        assert on_postgres.get("/readyz").json() == {"ready": True, "catalogue": "ok", "store": "ok"}
        found, expected = (
            {item["id"]: item for item in client.get("/stac/search").json()["features"]}
            for client in (on_postgres, on_sqlite)
        )
        assert found == expected
        assert len(found) == 4


def test_people_get_lines_of_text(archive: Archive) -> None:
    command = [sys.executable, "-m", "cli.main", "serve", "--archive", archive.store.url, "--port", "0"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env=environment(),
    ) as process:
        try:
            assert process.stdout is not None
            first, viewer, second, *others = (process.stdout.readline() for _ in range(8))
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()
    url = first.split(" at ")[1].strip()
    assert first == f"abut: serving {archive.store.url} at {url}\n"
    assert viewer.split()[0] == f"{url}/"
    assert second.split() == [f"{url}/stac", "STAC", "API:", "search", "for", "products"]
    paths = [line.split()[0].removeprefix(url) for line in others]
    assert paths == ["/tiles", "/cubes", "/legacy", "/zarr/zones", "/zarr"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_before_the_server_took_over_is_not_lost(archive: Archive, number: int, workers: int) -> None:
    program = f"""
import os, signal, sys
import uvicorn, uvicorn.supervisors.multiprocess
from cli.main import run

def early(original):
    def method(*arguments, **named):
        os.kill(os.getpid(), {int(number)})
        return original(*arguments, **named)
    return method

uvicorn.Config.get_loop_factory = early(uvicorn.Config.get_loop_factory)
uvicorn.supervisors.multiprocess.Multiprocess.__init__ = early(uvicorn.supervisors.multiprocess.Multiprocess.__init__)
sys.exit(run(["serve", "--archive", sys.argv[1], "--port", "0", "--workers", "{workers}"]))
"""
    command = [sys.executable, "-c", program, archive.store.url]
    ended = subprocess.run(command, capture_output=True, timeout=60, cwd=ROOT, env=environment(), check=False)
    assert ended.returncode == 0
    assert b"Traceback" not in ended.stderr


# Writing


def test_writing_is_off_unless_the_operator_turns_it_on(served: Served) -> None:
    answer = httpx.post(
        f"{served.url}/stac/collections", json={"id": "a"}, headers={"authorization": "Bearer " + "x" * 20}
    )
    assert answer.status_code == 405


def test_who_has_a_token_may_write(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = create_archive(tmp_path / "archive")
    ingest(archive, ToySource(TILES[0]), threads=1)
    token = "only-for-this-test"  # noqa: S105 - of a server that lives as long as the test
    photos = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": "photos",
        "description": "Photos.",
        "license": "other",
        "extent": {"spatial": {"bbox": [[8, 45, 9, 46]]}, "temporal": {"interval": [["2024-01-01T00:00:00Z", None]]}},
        "links": [],
    }
    with within(archive, transactions="true", write_tokens=token) as client:
        url = "/stac/collections"
        assert client.post(url, json=photos).status_code == 401
        assert client.post(url, json=photos, headers={"authorization": f"Bearer {token}!"}).status_code == 401
        assert client.post(url, json=photos, headers={"authorization": f"Bearer {token}"}).status_code == 201
        assert {one["id"] for one in client.get(url).json()["collections"]} == {"photos", "sentinel-2-l1c"}
    assert token not in caplog.text
