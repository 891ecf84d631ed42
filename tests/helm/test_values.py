"""Values, their schema, their README; both Helms; what Kubernetes says of the objects."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from helm.readme import make_readme, make_schema
from tests.helm.conftest import CHART, PROFILES
from tests.helm.reading import BUNDLED, FULL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.helm.conftest import Helm

TEXT = (CHART / "values.yaml").read_text()
VALUES = yaml.safe_load(TEXT)
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def _leaves(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(values, dict) and values and path[-1:] not in (("resources",), ("schedulerResources",)):
        for key, value in values.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path


def _objects(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield path, schema
        for key, value in schema.items():
            yield from _objects(value, f"{path}/{key}")


def test_readme_and_schema_are_those_of_the_values() -> None:
    assert (CHART / "README.md").read_text() == make_readme(TEXT)
    assert json.loads(json.dumps(make_schema(TEXT))) == SCHEMA


def test_the_schema_is_closed() -> None:
    free = [path for path, schema in _objects(SCHEMA) if schema.get("additionalProperties", True) is True]
    known = re.compile(r"/properties/(global|.*/affinity/properties/(nodeAffinity|podAffinity|podAntiAffinity))")
    assert [path for path in free if not known.fullmatch(path)] == []


def test_each_key_of_the_schema_has_a_default() -> None:
    def missing(schema: dict[str, Any], values: Any, path: str) -> Iterator[str]:
        for key, one in schema.get("properties", {}).items():
            if not isinstance(values, dict) or key not in values:
                yield f"{path}.{key}"
            elif isinstance(values[key], dict) and values[key] and key not in ("resources", "schedulerResources"):
                yield from missing(one, values[key], f"{path}.{key}")

    whole = {key: one for key, one in SCHEMA["properties"].items() if key not in ("global", "parts")}
    assert list(missing({"properties": whole}, VALUES, "")) == []


def test_each_value_says_what_it_is_for() -> None:
    for path in _leaves({key: value for key, value in VALUES.items() if key != "parts"}):
        schema = SCHEMA
        for key in path:
            schema = schema["properties"][key]
        assert schema.get("description"), path


def test_each_value_is_used() -> None:
    templates = "".join(path.read_text() for path in CHART.glob("templates/**/*") if path.is_file())
    for path in _leaves({key: value for key, value in VALUES.items() if key != "parts"}):
        assert re.search(rf"\.{path[-1]}\b", templates), path


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("values", [FULL, FULL | BUNDLED], ids=["external", "bundled"])
def test_both_helms_render_the_same(helm: Helm, profile: str, values: dict[str, Any]) -> None:
    if values is not FULL and profile != "laptop":
        values = values | {"catalogue": {"url": ""}}
    assert helm.objects(values, profile, name="helm3") == helm.objects(values, profile, name="helm4")


@pytest.mark.parametrize("name", ["helm3", "helm4"])
@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_pass_lint(helm: Helm, profile: str, name: str) -> None:
    said = helm.run(name, "lint", "--strict", str(CHART), "-f", str(CHART / "profiles" / f"{profile}.yaml"))
    assert "0 chart(s) failed" in said


@pytest.mark.parametrize("name", ["helm3", "helm4"])
def test_the_chart_is_packed(helm: Helm, name: str, tmp_path: Path) -> None:
    helm.run(name, "package", str(CHART), "-d", str(tmp_path))
    [package] = tmp_path.iterdir()
    assert package.stat().st_size < 100_000


@pytest.fixture(scope="session")
def standard(helm: Helm) -> list[dict[str, Any]]:
    """Objects of all profiles that are Kubernetes' own."""
    some = [helm.objects(FULL, profile) for profile in PROFILES] + [helm.objects(FULL | BUNDLED)]
    custom = ("kubernetes.dask.org/", "monitoring.coreos.com/", "gateway.networking.k8s.io/")
    return [one for objects in some for one in objects if not one["apiVersion"].startswith(custom)]


def _validated(objects: list[dict[str, Any]], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
    program = str(Path(sys.executable).with_name("kubernetes-validate"))
    command = [program, "-k", "1.37", "--strict", str(folder / "all.yaml")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_kubernetes_takes_the_objects(standard: list[dict[str, Any]], tmp_path: Path) -> None:
    done = _validated(standard, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kubernetes_refuses_what_is_wrong(standard: list[dict[str, Any]], tmp_path: Path) -> None:
    wrong = json.loads(json.dumps(next(one for one in standard if one["kind"] == "Deployment")))
    wrong["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = "http"
    done = _validated([wrong], tmp_path)
    assert done.returncode != 0
    assert "containerPort" in done.stdout + done.stderr
