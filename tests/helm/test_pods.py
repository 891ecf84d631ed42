"""The chart's pods run: its Deployments, as rendered, by podman, on a small archive that the chart's own Job has made.

They need root and podman, so they are part of `make test-containers`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.helm.reading import named, of_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.helm.conftest import Helm

ROOT = Path(__file__).parents[2]

PARTS = ("stac", "tiles", "zarr", "viewer", "legacy", "cubes")
SECONDS = 120
TMPFS = ("--tmpfs", "/tmp:mode=1777")  # noqa: S108 - in the container


class Podman:
    """Podman in the store in which `tests/containers/image` built the image."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._base = ["podman", "--log-level", "fatal", "--root", str(store / "root"), "--runroot", str(store / "run")]
        self._base += ["--storage-driver", "overlay", "--network-config-dir", str(store / "networks")]

    def __call__(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        environment = {**os.environ, "CONTAINERS_CONF": str(self.store / "containers.conf")}
        done = subprocess.run(
            [*self._base, *arguments], input=given, env=environment, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"podman {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout


@pytest.fixture(name="podman", scope="module")
def _podman() -> Podman:
    made = subprocess.run([str(ROOT / "tests/containers/image")], capture_output=True, text=True, check=False)
    if made.returncode == 77:
        pytest.skip(made.stderr.strip())
    assert made.returncode == 0, made.stderr
    told = dict(part.split("=", 1) for part in made.stdout.split())
    return Podman(Path(told["STORE"]))


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, each another: all are held until the last is found."""
    with contextlib.ExitStack() as held:
        found = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in found]


VALUES = {"image": {"repository": "localhost/abut", "tag": "test", "pullPolicy": "Never"}}


def runnable(deployment: dict[str, Any], number: int, folder: Path) -> list[dict[str, Any]]:
    """Return what podman runs of a Deployment: its pod on this machine's network, with a port of its own.

    podman 4 knows no probes by the name of a port and no claims; the port is the only thing in the container that is
    changed, so that six parts can be beside each other.
    """
    made = json.loads(json.dumps(deployment))
    spec = made["spec"]["template"]["spec"]
    spec["hostNetwork"] = True
    [one] = spec["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle"):
        one.pop(probe)
    one["args"] = [str(number) if before == "8000" else before for before in one["args"]]
    one.pop("ports")
    for volume in spec["volumes"]:
        if "persistentVolumeClaim" in volume:
            volume.pop("persistentVolumeClaim")
            volume["hostPath"] = {"path": str(folder), "type": "Directory"}
    return [made]


def answers(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - a server on this machine
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@contextlib.contextmanager
def playing(podman: Podman, objects: list[dict[str, Any]]) -> Iterator[None]:
    text = yaml.safe_dump_all(objects)
    podman("play", "kube", "--network", "host", "-", given=text)
    try:
        yield
    finally:
        podman("play", "kube", "--down", "-", given=text, check=False)


def test_the_pods_of_the_chart_serve_an_archive(podman: Podman, helm: Helm, tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(0o777)
    tmp_path.chmod(0o755)
    objects = helm.objects(VALUES)
    settings = named(objects, "ConfigMap", "rel-abut")
    job = next(one for one in of_kind(objects, "Job") if "-setup-" in one["metadata"]["name"])
    setup = job["spec"]["template"]["spec"]
    variables = [part for key, value in settings["data"].items() for part in ("-e", f"{key}={value}")]
    hardened = ("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", *TMPFS)
    runs = [(*one["command"], *one["args"]) for one in setup["initContainers"] + setup["containers"]]
    demo = "python -m abut.testing /tmp/products && abut ingest /tmp/products --workers 0 --settle"
    for run in [*runs, ("sh", "-c", demo)]:
        podman(*hardened, "-v", f"{folder}:/data", *variables, setup["containers"][0]["image"], *run)
    [product, *_] = sorted(path.stem for path in (folder / "archive" / "products").glob("*.json"))
    ports = dict(zip(PARTS, free_ports(len(PARTS)), strict=True))
    played = [settings]
    for part, number in ports.items():
        played += runnable(named(objects, "Deployment", f"rel-abut-{part}"), number, folder)
    with playing(podman, played):
        until = time.monotonic() + SECONDS
        while any(answers(f"http://127.0.0.1:{number}/readyz") != 200 for number in ports.values()):
            assert time.monotonic() < until, {
                part: answers(f"http://127.0.0.1:{number}/readyz") for part, number in ports.items()
            }
            time.sleep(0.5)
        with urllib.request.urlopen(f"http://127.0.0.1:{ports['stac']}/stac/search?ids={product}") as found:
            assert [one["id"] for one in json.load(found)["features"]] == [product]
        assert answers(f"http://127.0.0.1:{ports['zarr']}/zarr/products/{product}.json") == 200
        assert answers(f"http://127.0.0.1:{ports['viewer']}/") == 200
        assert answers(f"http://127.0.0.1:{ports['zarr']}/zarr/products/none.json") == 404
        assert answers(f"http://127.0.0.1:{ports['cubes']}/cubes/processes/cube") == 200
        [name] = [one for one in podman("ps", "--format", "{{.Names}}").split() if "stac" in one and "infra" not in one]
        assert podman("exec", name, "id", "-u").strip() == "10001"
        assert podman("exec", name, "sh", "-c", "touch /opt/x && echo written || echo refused").strip() == "refused"
        assert podman("exec", name, "sh", "-c", "grep CapEff /proc/1/status").split()[1].strip("0") == ""


def test_the_pods_of_dask_find_each_other(podman: Podman, helm: Helm) -> None:
    objects = helm.objects(VALUES | {"dask": {"workers": 1}}, "production")
    numbers = dict(zip(("8786", "8787", "8788"), map(str, free_ports(3)), strict=True))
    played = [named(objects, "ConfigMap", "rel-abut")]
    for role in ("scheduler", "worker"):
        made = json.loads(json.dumps(named(objects, "Deployment", f"rel-abut-{role}")))
        spec = made["spec"]["template"]["spec"]
        spec["hostNetwork"] = True
        [one] = spec["containers"]
        for name in ("readinessProbe", "livenessProbe", "ports"):
            one.pop(name, None)
        one["envFrom"] = [source for source in one["envFrom"] if "configMapRef" in source]
        for before, after in {**numbers, "rel-abut-scheduler": "127.0.0.1"}.items():
            one["args"] = [argument.replace(before, after) for argument in one["args"]]
        played.append(made)
    with playing(podman, played):
        [name] = [
            one for one in podman("ps", "--format", "{{.Names}}").split() if "worker" in one and "infra" not in one
        ]
        asked = (
            f"print(Client('tcp://127.0.0.1:{numbers['8786']}', timeout=60).submit(sum, (40, 2)).result(timeout=60))"
        )
        assert podman("exec", name, "python", "-c", f"from distributed import Client; {asked}").strip() == "42"
