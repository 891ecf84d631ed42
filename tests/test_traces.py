"""Traces: what a collector is told of requests, of what they ask for, and of jobs; and that it may be away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from abut.archive import Archive, create_archive
from ingest.ingest import ingest
from services.settings import InvalidSettingError
from services.traces import is_wanted
from tests.collector import Collector, Told, collecting
from tests.serving import ROOT, Served, serving, wait_until_ready
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTINUED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
SECRET = "a-token-that-no-span-has"  # noqa: S105 - of a service that lives as long as the test


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    made = create_archive(tmp_path_factory.mktemp("traces") / "archive")
    ingest(made, ToySource(TILES[0]), threads=1)
    return made


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture(scope="module")
def served(archive: Archive, collector: Collector) -> Iterator[Served]:
    """Several workers behind one address, of which each sends its own spans."""
    closed: dict[str, Any] = {"read": "token", "read_tokens": SECRET, "workers": "2", "cube_workers": "1"}
    with serving(archive.store.url, env=collector.environment, **closed) as made:
        wait_until_ready(made.url, 20)
        yield made


def ask(served: Served, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{served.url}{path}", headers={"authorization": f"Bearer {SECRET}", **headers}, timeout=60)


def test_a_request_is_a_span_that_continues_its_client_s(
    served: Served, collector: Collector, archive: Archive
) -> None:
    (name,) = archive.product_ids()
    assert ask(served, f"/stac/collections/sentinel-2-l1c/items/{name}", **CONTINUED).status_code == 200
    top = collector.wait(lambda span: span.trace == TRACE and span.about.get("abut.part") == "stac")
    assert top.name == "GET /stac/collections/{collection_id}/items/{item_id}"
    assert top.parent == PARENT
    assert top.about["http.route"] == "/stac/collections/{collection_id}/items/{item_id}"
    assert (top.about["http.response.status_code"], top.about["http.request.method"]) == (200, "GET")
    assert name in top.about["url.path"]
    assert top.process["service.name"] == "abut"
    inside = collector.wait(lambda span: span.parent == top.id)
    assert (inside.name, inside.about["db.system.name"]) == ("database read", "sqlite")
    assert 0 < inside.seconds <= top.seconds


def test_the_log_names_the_trace(served: Served, collector: Collector) -> None:
    ask(served, "/tiles/renders", **{"x-request-id": "joined"})
    line = served.logged("joined")
    top = collector.wait(lambda span: span.trace == line["trace_id"])
    assert top.name == "GET /tiles/renders"


def test_what_a_picture_reads_and_decodes_is_below_it(served: Served, collector: Collector, archive: Archive) -> None:
    (name,) = archive.product_ids()
    answer = ask(served, f"/tiles/items/{name}/preview.npy?bands=B09&unscale=false&max_size=64")
    assert answer.status_code == 200, answer.text
    top = collector.wait(lambda span: span.name == "GET /tiles/items/{item_id}/preview.{format}")
    collector.wait(lambda span: span.parent == top.id and span.name == "decode block")
    below = {span.name for span in collector.below(top)}
    assert {"store get", "decode block"} <= below
    assert top.about["abut.store.requests"] >= 2
    assert top.about["abut.store.bytes"] > 0
    assert top.about["abut.decoded"] >= 1


def test_objects_are_spans_of_few_names(served: Served, collector: Collector) -> None:
    ask(served, "/zarr/collection.json")
    ask(served, "/zarr/products/nothing/zarr.json")
    found = collector.wait(lambda span: span.about.get("url.path") == "/zarr/products/nothing/zarr.json")
    assert (found.name, found.about["http.response.status_code"], found.failed) == ("GET /zarr/{path}", 404, False)
    ask(served, "/nothing/at/all")
    lost = collector.wait(lambda span: span.about.get("url.path") == "/nothing/at/all")
    assert (lost.name, lost.about["abut.part"]) == ("GET", "other")
    refused = httpx.request("PROPFIND", f"{served.url}/stac")
    assert refused.status_code == 401
    collector.wait(lambda span: span.name == "_OTHER")
    assert not any(span.about.get("url.path") in ("/healthz", "/readyz") for span in collector.spans)


def test_several_workers_send_their_own(served: Served, collector: Collector) -> None:
    served.workers(2)
    deadline = time.monotonic() + 30
    makers: set[object] = set()
    while len(makers) < 2 and time.monotonic() < deadline:
        for _ in range(10):
            ask(served, "/tiles/renders", connection="close")
        time.sleep(0.3)
        makers = {span.process["service.instance.id"] for span in collector.spans}
    assert len(makers) >= 2


def test_a_part_of_a_job_is_below_the_request_that_asked_for_it(served: Served, collector: Collector) -> None:
    trace = "1" * 32
    inputs = {"tile": TILES[0], "datetime": "2023", "bands": ["B09"]}
    answer = httpx.post(
        f"{served.url}/cubes/processes/cube/execution",
        json={"inputs": inputs},
        headers={
            "authorization": f"Bearer {SECRET}",
            "prefer": "respond-async",
            "traceparent": f"00-{trace}-{PARENT}-01",
            "x-request-id": "asked-for-a-job",
        },
        timeout=60,
    )
    assert answer.status_code == 201, answer.text
    asked = collector.wait(lambda span: span.trace == trace and span.name.startswith("POST"))
    part = collector.wait(lambda span: span.name == "job part", seconds=120)
    assert (part.trace, part.parent) == (trace, asked.id)
    assert part.about["abut.job"] == answer.json()["jobID"]
    assert part.about["abut.store.requests"] >= 1
    assert {"store get"} <= {span.name for span in collector.below(part)}
    assert part.process["service.instance.id"] != asked.process["service.instance.id"]


def test_no_span_has_a_secret(served: Served, collector: Collector) -> None:
    made = httpx.post(f"{served.url}/access/tickets", headers={"authorization": f"Bearer {SECRET}"}).json()["ticket"]
    httpx.get(f"{served.url}/stac/search?ticket={made}&limit=1")
    collector.wait(lambda span: span.name == "GET /stac/search")
    said = b"".join(collector.raw)
    assert SECRET.encode() not in said
    assert made.encode() not in said


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_the_environment_decides(environment: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environment) == wanted


def test_a_protocol_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="OTEL_EXPORTER_OTLP_PROTOCOL=grpc: traces are sent by http/protobuf"):
        is_wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


def test_where_nobody_wants_traces_nothing_of_them_is_imported(archive: Archive) -> None:
    said = (
        "import sys; import services.serving; from services import traces; traces.begin(); "
        "from services.app import create_app; from services.settings import load_settings; "
        f"create_app(load_settings(archive={archive.store.url!r})); "
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ABUT_"))}
    made = subprocess.run([sys.executable, "-c", said], env=plain, cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"


SPANS = """
import logging, time
logging.basicConfig(format="%(message)s", level="WARNING")
from services import traces
traces.begin()
headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
for _ in range(3):
    with traces.span("sampled", kind="server", headers=headers):
        print(traces.trace_id())
    time.sleep(0.3)
try:
    with traces.span("work"):
        raise ValueError("password=hunter2hunter2")
except ValueError:
    pass
"""


def spans_of(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Some spans of a process of its own, which then ends."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")} | environment
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", SPANS], env=env, cwd=ROOT, capture_output=True, text=True, check=True
    )


def test_a_sampler_decides_how_many_are_sent(collector: Collector) -> None:
    with collecting() as other:
        spans_of({**other.environment, "OTEL_TRACES_SAMPLER": "always_off"})
        assert not other.raw
    spans_of(collector.environment)
    assert collector.wait(lambda span: span.name == "sampled").trace == TRACE


def test_a_span_that_failed_says_so_without_what_the_error_said(collector: Collector) -> None:
    spans_of(collector.environment)
    found: Told = collector.wait(lambda span: span.name == "work")
    assert (found.failed, found.about["error.type"]) == (True, "ValueError")
    assert b"hunter2" not in b"".join(collector.raw)


def test_a_collector_where_nobody_listens_is_told_of_once() -> None:
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    made = spans_of({**away, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"})
    assert made.stderr.splitlines() == ["traces are lost: the collector does not take them"]


def test_a_collector_that_says_nothing_costs_nothing_but_one_line(archive: Archive) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{mute.getsockname()[1]}"}
        env |= {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
        env |= {"OTEL_BSP_MAX_QUEUE_SIZE": "32", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "16"}
        with serving(archive.store.url, "--part", "stac", "--part", "zarr", env=env) as served:
            wait_until_ready(served.url)
            for number in range(60):
                assert ask(served, "/zarr/collection.json", **{"x-request-id": f"r{number}"}).status_code == 200
            assert all(served.logged(f"r{number}")["duration_ms"] < 900 for number in range(60))
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and not lost(served):
                time.sleep(0.1)
            time.sleep(1.5)
            started = time.monotonic()
            assert served.end() == 0
            assert time.monotonic() - started < 15
            assert lost(served) == ["traces are lost"]


def lost(served: Served) -> list[str]:
    lines = [line for line in served.log() if line["level"] in ("warning", "error")]
    return [line["message"].partition(":")[0] for line in lines]
