"""Secrets stay secret: marked ones in every setting and URL, through what works and fails, and then all is read."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from abut.archive import create_archive
from abut.hiding import hide
from ingest.ingest import ingest
from services.logs import JsonFormatter, TextFormatter, configure_logging, with_logs
from services.settings import load_settings, secrets_of
from tests.serving import ROOT, environment, serving, wait_until_ready
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from abut.archive import Archive
    from tests.postgres import Cluster

MARK = "MaRk3d"
"""Part of every secret here, and of nothing else."""
READER, WRITER, REGISTRAR, KEEPER = (f"{MARK}-token-of-{who}" for who in ("reader", "writer", "registrar", "keeper"))
AWAY = "127.0.0.1:9"
"""Where nobody listens."""
AWS = {
    "AWS_ACCESS_KEY_ID": f"{MARK}AKIA",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}-aws-secret",
    "AWS_SESSION_TOKEN": f"{MARK}-session",
    "PGPASSWORD": f"{MARK}-pg-environment",
    "ABUT_CATALOGUE_TOKEN": f"{MARK}-catalogue-token",
    "ABUT_TOKEN": f"{MARK}-own-token",
}
SIGNED = f"X-Amz-Signature={MARK}1&X-Amz-Credential={MARK}2&X-Amz-Security-Token={MARK}3&sig={MARK}4"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = create_archive(tmp_path / "archive")
    ingest(made, ToySource(TILES[0]), threads=1)
    return made


def files(folder: Path) -> Iterator[str]:
    """All that lies in a folder, names too."""
    for path in folder.rglob("*"):
        yield str(path)
        if path.is_file():
            yield path.read_bytes().decode("latin-1")


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def answers(url: str) -> Iterator[httpx.Response]:
    """What a service answers to all kinds of right, wrong and odd requests with secrets in them."""
    made = httpx.post(f"{url}/access/tickets", headers=bearer(READER), json={"path": "/"})
    ticket = made.json()["ticket"]
    for headers in (
        bearer(READER),
        bearer(WRITER),
        bearer(REGISTRAR),
        bearer(f"{MARK}-nobody-knows-this"),
        bearer(f"eyJhbGciOiJSUzI1NiJ9.e30.{MARK}AA"),
        {"authorization": f"Basic {MARK}dXNlcjpwYXNz"},
        {},
    ):
        for path in (
            "/stac/search?limit=1",
            f"/stac/search?{SIGNED}",
            f"/stac/search?ticket={MARK}.{MARK}",
            f"/stac/search?access_token={MARK}",
            f"/tiles/mosaic/tiles/WebMercatorQuad/99/0/0.png?ticket={ticket}",
            "/cubes/jobs",
            "/cubes/cube?tile=32TNM&datetime=never",
            f"/zarr/products/x.zarr?{SIGNED}",
            "/legacy/nothing",
            "/readyz",
            "/metrics",
        ):
            found = httpx.get(f"{url}{path}", headers=headers, timeout=60)
            assert ticket not in found.text
            yield found
        body: Any = {"inputs": {"tile": TILES[0], "datetime": "2023", "bands": ["B09"]}}
        asked = {**headers, "prefer": "respond-async"}
        yield httpx.post(f"{url}/cubes/processes/cube/execution", json=body, headers=asked, timeout=60)
        yield httpx.post(f"{url}/stac/collections", content=b"{", headers=headers)
        yield httpx.delete(f"{url}/stac/collections/x?ticket={ticket}", headers=headers)
    for path in (f"/stac?ticket={ticket}", f"/nothing?ticket={ticket}&ticket={ticket}"):
        found = httpx.get(f"{url}{path}")
        assert ticket not in found.text
        yield found


def test_a_service_tells_no_secret_at_the_most_talkative_level(archive: Archive, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "read": "token",
        "read_tokens": READER,
        "write_tokens": WRITER,
        "register_tokens": REGISTRAR,
        "transactions": "true",
        "ticket_key": f"{MARK}-ticket-key-" + "k" * 32,
        "metrics_token": KEEPER,
        "oidc_issuer": f"http://{AWAY}/issuer",
        "oidc_audience": "abut",
        "log_level": "DEBUG",
    }
    with serving(archive.store.url, env=AWS, **settings) as served:
        wait_until_ready(served.url)
        statuses = set()
        for answer in answers(served.url):
            statuses.add(answer.status_code)
            assert MARK not in answer.text, answer.url
            assert MARK not in str(answer.headers), answer.url
        metrics = httpx.get(f"{served.url}/metrics", headers=bearer(KEEPER))
        assert (metrics.status_code, MARK in metrics.text) == (200, False)
        assert {200, 201, 400, 401, 403, 404, 503} <= statuses
        assert served.end() == 0
        lines = served.log()
    assert len(lines) > 80
    assert [line for line in lines if MARK in str(line)] == []
    assert not any("ticket=ey" in str(line) or "ticket=MT" in str(line) for line in lines)
    assert not any(MARK in text for text in files(tmp_path))


@pytest.mark.parametrize("what", ["down", "wrong password", "a bucket nobody has"])
def test_a_service_that_can_not_start_tells_no_secret(
    archive: Archive, postgres: Cluster, what: str, tmp_path: Path
) -> None:
    """What it says at its end, or while it waits."""
    place = AWAY if what == "down" else f"127.0.0.1:{postgres.port}"
    jobs = f"postgresql://abut:{MARK}-jobs%20password@{place}/jobs?sslpassword={MARK}"
    settings = {"log_level": "DEBUG", "log_format": "json", "port": "0", "jobs": jobs}
    env = environment(**settings) | AWS | {"AWS_ENDPOINT_URL": f"http://{AWAY}", "AWS_ALLOW_HTTP": "true"}
    url = "s3://bucket/l1c" if what.startswith("a bucket") else archive.store.url
    command = [sys.executable, "-m", "cli.main", "serve", "--archive", url, "--debug"]
    if what.startswith("a bucket"):
        env["ABUT_CATALOGUE"] = jobs
    with subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            said = process.communicate(timeout=12)[0]
        except subprocess.TimeoutExpired:
            process.terminate()
            said = process.communicate(timeout=60)[0]
    assert len(said) > 20
    assert MARK not in said.decode()
    assert not any(MARK in text for text in files(tmp_path))


def test_ingest_tells_no_secret_where_catalogue_store_or_source_fail(tmp_path: Path) -> None:
    catalogue = f"postgresql://abut:{MARK}-catalogue@{AWAY}/stac"
    (tmp_path / "broken.SAFE").mkdir()
    source = f"http://reader:{MARK}-http@{AWAY}/x.zip?{SIGNED}"
    pairs = [(str(tmp_path / "broken.SAFE"), "s3://bucket/l1c"), (source, str(tmp_path / "archive"))]
    for safe, archive in pairs:
        command = [sys.executable, "-m", "cli.main", "ingest", safe, "--archive", archive, "--debug"]
        env = environment(catalogue=catalogue) | AWS
        env |= {"AWS_ENDPOINT_URL": f"http://{AWAY}", "AWS_ALLOW_HTTP": "true"}
        made = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with made as process:
            try:
                said = process.communicate(timeout=15)[0].decode()
            except subprocess.TimeoutExpired:  # the store is tried for longer than a test waits
                process.kill()
                said = process.communicate()[0].decode() + "."
        assert said
        assert MARK not in said, said
    assert not any(MARK in text for text in files(tmp_path))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://abut:hunter2@db/stac is down", "postgresql://abut:***@db/stac is down"),
        ("postgresql://abut:p@ss:w@rd@db:5432/stac", "postgresql://abut:***@db:5432/stac"),
        ("host=db password=hunter2 dbname=stac", "host=db password=*** dbname=stac"),
        ("host=db password='a b' dbname=stac", "host=db password=*** dbname=stac"),
        ("GET /x?a=1&X-Amz-Signature=abc&b=2", "GET /x?a=1&X-Amz-Signature=***&b=2"),
        ("/x?ticket=abc.def", "/x?ticket=***"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic ***"),
        ('Bearer realm="abut", error="invalid_token"', 'Bearer realm="abut", error="invalid_token"'),
        ("https://host:8443/a?token=next-page&limit=5", "https://host:8443/a?token=next-page&limit=5"),
        ("/a?token=eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln_-&limit=5", "/a?token=***&limit=5"),
        ("2026-11-23T10:00:00Z s3://bucket/a@b", "2026-11-23T10:00:00Z s3://bucket/a@b"),
        ("http://[::1]:8000/a b@c", "http://[::1]:8000/a b@c"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert hide(text) == shown


def test_known_secrets_are_hidden_whoever_writes_the_line() -> None:
    jobs = "postgresql://abut:plain%20password@db/jobs"
    settings = load_settings(archive="x", jobs=jobs, metrics_token="a-token-for-metrics")  # noqa: S106 - none
    known = secrets_of(settings)
    assert {"plain%20password", "plain password", "a-token-for-metrics"} <= set(known)
    try:
        raise ValueError("it said plain password to a-token-for-metrics")
    except ValueError:
        record = logging.getLogger().makeRecord(
            "x", logging.ERROR, "f", 1, "got %s", ("a-token-for-metrics",), sys.exc_info()
        )
    for formatter in (JsonFormatter(secrets=known), TextFormatter(secrets=known)):
        line = formatter.format(record)
        assert "got ***" in line
        assert "Traceback" in line
        assert "plain password" not in line
        assert "a-token" not in line


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("postgresql://db/jobs", False),
        ("postgresql://abut@db/jobs", False),
        ("postgresql://abut:long-enough@db/jobs", True),
        ("postgresql://db/jobs?password=long-enough", True),
    ],
)
def test_a_url_without_a_password_is_no_secret_that_a_log_would_hide(url: str, secret: bool) -> None:
    assert (url in secrets_of(load_settings(archive="x", jobs=url))) is secret


@pytest.mark.parametrize("form", ["json", "text"])
def test_known_secrets_are_hidden_where_a_client_put_them_into_a_url(
    capsys: pytest.CaptureFixture[str], form: Literal["json", "text"]
) -> None:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    app = with_logs(Starlette())
    try:
        configure_logging("INFO", form, ["a-token/for=all"])
        TestClient(app).get("/a-token/for=all?token=a-token/for=all&next=a-token%2Ffor%3Dall")
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
    *_, line = capsys.readouterr().err.splitlines()  # before it, that of the client of this test
    assert "token=***&next=***" in line
    assert "for" not in line
