"""Prometheus for tests: promtool on rules, and a server that scrapes; and what rules and dashboard name."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
ALERTS: Final = ROOT / "helm/abut/files/alerts.yaml"
DASHBOARD: Final = ROOT / "helm/abut/files/dashboard.json"

_METRIC: Final = re.compile(r"\b(?:abut|kube|process)_[a-z_]+\b|\bup\b")
_VARIABLES: Final = {"$__rate_interval": "5m", "$namespace": ".*", "$job": ".*"}


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert of the rules."""

    name: str
    """Its name."""
    expression: str
    """When it fires."""
    rule: dict[str, Any]
    """All of it."""


def alerts() -> list[Alert]:
    """Return the alerts of the rules, in their order."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [Alert(rule["alert"], rule["expr"], rule) for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return the panels of the dashboard that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """Return what the panels show, with Grafana's variables filled in."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    for name, value in _VARIABLES.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def metrics_in(expression: str) -> set[str]:
    """Return the names of the series that an expression reads; labels of the same names are not among Abut's."""
    return set(_METRIC.findall(re.sub(r'"[^"]*"|by \([^)]*\)', "", expression)))


def program(name: str) -> str:
    """Return the path of a program of Prometheus; skips the test where it is missing, or fails if it must be there."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is missing (Debian's package prometheus)"
        if os.environ.get("ABUT_REQUIRE_PROMETHEUS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus that runs."""

    url: str
    """Where it listens."""

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression has now."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found


@contextlib.contextmanager
def prometheus(folder: Path, target: str, *, every: str = "1s") -> Iterator[Prometheus]:
    """Run Prometheus with the rules on a target, which it calls ``abut``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": "abut", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": address,
    }
    command = [program("prometheus"), *(f"--{name}={value}" for name, value in options.items())]
    with (
        (folder / "prometheus.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as process,
    ):
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until and process.poll() is None:
                with contextlib.suppress(httpx.HTTPError):
                    if httpx.get(f"http://{address}/-/ready").status_code == 200:
                        break
                time.sleep(0.1)
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            yield Prometheus(f"http://{address}")
        finally:
            process.terminate()
            process.wait(30)
