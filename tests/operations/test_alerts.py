"""Alerts fire when they should and not before, name metrics that there are, and are explained."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from abut.archive import create_archive
from ingest.ingest import ingest
from tests.operations.rules import ALERTS, DASHBOARD, ROOT, alerts, expressions, metrics_in, panels, program, prometheus
from tests.serving import serving
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving import Served

HEADING: Final = re.compile(r"^### (Abut\w+)$", re.MULTILINE)
ELSEWHERE: Final = {"up", "kube_job_failed", "kube_cronjob_status_last_schedule_time"} | {
    "kube_cronjob_status_last_successful_time"
}
"""Series that are not Abut's own: Prometheus' and those of kube-state-metrics."""

type Series = dict[str, str]
"""Values of series, one a minute, in promtool's words."""


def buckets(name: str, labels: str, seconds: float) -> Series:
    """A histogram of ten requests a second, all as slow as that."""
    bounds = (0.25, 1, 2.5, 5, 10, 30, 120, 600)
    made = {
        f'{name}_bucket{{job="abut",{labels},le="{bound}"}}': grow(600 if bound >= seconds else 0) for bound in bounds
    }
    return made | {f'{name}_bucket{{job="abut",{labels},le="+Inf"}}': grow(600)}


def grow(by: int) -> str:
    """Grow by so much a minute, for a long time."""
    return f"0+{by}x2000"


def stay(at: float) -> str:
    """Stay the same for a long time."""
    return f"{at}+0x2000"


ANSWERS: Final = 'abut_http_requests_total{{job="abut",part="{}",method="GET",status="{}"}}'
STORE: Final = 'abut_store_requests_total{{job="abut",verb="get",outcome="{}"}}'
CACHE: Final = 'abut_cache_requests_total{{job="abut",outcome="{}"}}'
DISK: Final = '{job="abut",instance="a",place="scratch"}'
REFUSED: Final = 'abut_refused_requests_total{job="abut",queue="tiles",status="503"}'
QUEUED: Final = 'abut_queued_requests{job="abut",instance="a",queue="tiles"}'
DUE, SUCCESS = (
    f'kube_cronjob_status_last_{what}_time{{cronjob="x-abut-ingest"}}' for what in ("schedule", "successful")
)

CASES: Final[tuple[tuple[str, Series, Series], ...]] = (
    ("AbutDown", {'up{job="x-abut-tiles",instance="a"}': stay(0)}, {'up{job="node",instance="a"}': stay(0)}),
    ("AbutAbsent", {}, {'abut_ready{job="abut",what="store"}': stay(0)}),
    (
        "AbutNotReady",
        {
            f'abut_ready{{job="abut",instance="{name}",what="store"}}': stay(value)
            for name, value in (("a", 1), ("b", 0))
        },
        {'abut_ready{job="abut",instance="a",what="store"}': "1x600 0 1x600"},
    ),
    (
        "AbutErrors",
        {ANSWERS.format("stac", "200"): grow(600), ANSWERS.format("stac", "503"): grow(60)},
        {
            ANSWERS.format("stac", "200"): grow(600),
            ANSWERS.format("stac", "404"): grow(600),
            ANSWERS.format("stac", "503"): grow(6),
            ANSWERS.format("readyz", "503"): grow(60),
        },
    ),
    (
        "AbutSlow",
        buckets("abut_http_request_seconds", 'part="tiles"', 10),
        buckets("abut_http_request_seconds", 'part="cubes"', 30),
    ),
    ("AbutRefusing", {REFUSED: grow(60)}, {REFUSED: grow(6)}),
    ("AbutQueueLong", {QUEUED: stay(40)}, {QUEUED: "40 0 " * 1000}),
    (
        "AbutCacheCold",
        {CACHE.format("hit"): grow(600), CACHE.format("miss"): grow(6000)},
        {CACHE.format("hit"): grow(6), CACHE.format("miss"): grow(60)},
    ),
    (
        "AbutStoreErrors",
        {STORE.format("ok"): grow(600), STORE.format("error"): grow(30)},
        {STORE.format("ok"): grow(600), STORE.format("error"): grow(3), STORE.format("missing"): grow(600)},
    ),
    (
        "AbutStoreSlow",
        buckets("abut_store_request_seconds", 'verb="get"', 2.5),
        buckets("abut_store_request_seconds", 'verb="list"', 2.5)
        | buckets("abut_store_request_seconds", 'verb="get"', 1),
    ),
    (
        "AbutDiskFull",
        {f"abut_disk_free_bytes{DISK}": stay(5), f"abut_disk_bytes{DISK}": stay(100)},
        {f"abut_disk_free_bytes{DISK}": stay(15), f"abut_disk_bytes{DISK}": stay(100)},
    ),
    (
        "AbutJobsWaiting",
        {'abut_job_waiting_seconds{job="abut"}': stay(3600)},
        {'abut_job_waiting_seconds{job="abut"}': stay(600)},
    ),
    (
        "AbutJobsOverdue",
        {'abut_job_parts{job="abut",status="overdue"}': stay(1)},
        {'abut_job_parts{job="abut",status="running"}': stay(1)},
    ),
    (
        "AbutJobsFailing",
        {'abut_jobs{job="abut",status="failed"}': "0+1x2000"},
        {'abut_jobs{job="abut",status="failed"}': stay(40), 'abut_jobs{job="abut",status="successful"}': grow(5)},
    ),
    ("AbutNoNewProduct", {'abut_products{job="abut"}': stay(40)}, {'abut_products{job="abut"}': grow(1)}),
    (
        "AbutTaskFailed",
        {'kube_job_failed{condition="true",job_name="x-abut-ingest-1"}': stay(1)},
        {
            'kube_job_failed{condition="false",job_name="x-abut-ingest-1"}': stay(1),
            'kube_job_failed{condition="true",job_name="backup-1"}': stay(1),
        },
    ),
    ("AbutTaskMissed", {DUE: grow(60), SUCCESS: stay(0)}, {DUE: "0+60x500", SUCCESS: "0+60x500"}),
)
"""Alerts with series at which they fire, and such at which they do not."""

HOURS: Final = {"AbutNoNewProduct": 26, "AbutTaskMissed": 8}
"""When it is looked at whether alerts fire; others: after two hours."""


def test_rules_are_valid() -> None:
    done = subprocess.run(
        [program("promtool"), "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case() -> None:
    assert [name for name, *_ in CASES] == [alert.name for alert in alerts()]


@pytest.mark.parametrize("fires", [True, False])
def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path, *, fires: bool) -> None:
    tests = [_test(name, firing if fires else quiet, fires=fires) for name, firing, quiet in CASES]
    path = tmp_path / "cases.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _test(name: str, series: Series, *, fires: bool) -> dict[str, Any]:
    """One test of promtool: whether the alert fires after some hours."""
    count = f'count(ALERTS{{alertname="{name}", alertstate="firing"}})'
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": key, "values": value} for key, value in series.items()],
        "promql_expr_test": [
            {
                "expr": count,
                "eval_time": f"{HOURS.get(name, 2)}h",
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
        ],
    }


def test_each_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    for alert in alerts():
        assert alert.rule["labels"]["severity"] in ("page", "ticket"), alert.name
        assert set(alert.rule["annotations"]) == {"summary", "description", "runbook_url"}, alert.name
        assert alert.rule["annotations"]["runbook_url"] == f"docs/operations.md#{alert.name.lower()}"


def test_each_alert_has_its_section_and_each_section_its_alert() -> None:
    sections = HEADING.findall((ROOT / "docs/operations.md").read_text())
    assert sections == [alert.name for alert in alerts()]


# A real service, a real Prometheus


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    archive = create_archive(tmp_path_factory.mktemp("alerts") / "archive")
    ingest(archive, ToySource(TILES[0]), threads=1)
    with serving(archive.store.url) as running:
        yield running


def test_every_metric_that_alerts_and_dashboard_name_is_one_of_a_service(served: Served) -> None:
    text = httpx.get(f"{served.url}/metrics").text
    there = set()
    for family in text_string_to_metric_families(text):
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        there |= {f"{family.name}{ending}" for ending in endings}
    for expression in (*(alert.expression for alert in alerts()), *expressions()):
        named = metrics_in(expression)
        assert named, expression
        assert named - ELSEWHERE <= there, expression


def test_the_dashboard_shows_every_metric_of_the_documentation() -> None:
    documented = set(re.findall(r"`(abut_[a-z_]+)`", (ROOT / "docs/serving.md").read_text())) - {"abut_build_info"}
    shown = {re.sub(r"_bucket$", "", name) for expression in expressions() for name in metrics_in(expression)}
    assert documented <= shown


def test_panels_have_names_ids_and_places_of_their_own() -> None:
    everything = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in panels()}) == len(panels())
    taken: set[tuple[int, int]] = set()
    for panel in everything:
        place = panel["gridPos"]
        squares = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not squares & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= squares


def test_prometheus_scrapes_a_service_evaluates_alerts_and_answers_the_dashboard(
    served: Served, tmp_path: Path
) -> None:
    with prometheus(tmp_path, served.url.removeprefix("http://")) as running:
        deadline = time.monotonic() + 60
        while not running.ask('abut_products{job="abut"}') and time.monotonic() < deadline:
            time.sleep(0.2)
        assert [found["value"][1] for found in running.ask("abut_products")] == ["1"]
        for expression in expressions():
            running.ask(expression)
        assert {found["metric"]["what"] for found in running.ask("abut_ready == 1")} == {"store", "catalogue"}
        served.process.terminate()
        while not (pending := running.ask('ALERTS{alertname="AbutDown"}')) and time.monotonic() < deadline:
            time.sleep(0.2)
    assert pending[0]["metric"]["job"] == "abut"
