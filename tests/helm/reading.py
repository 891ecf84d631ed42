"""What tests ask of rendered objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

type Object = dict[str, Any]

FULL: Final[dict[str, Any]] = {
    "ingest": {"job": {"enabled": True, "arguments": ["@list"]}, "cron": {"enabled": True, "arguments": ["@list"]}}
}
"""Values that add what profiles leave out."""

BUNDLED: Final[dict[str, Any]] = {"postgresql": {"enabled": True, "existingSecret": "db"}}
"""Values with the chart's own PostgreSQL."""


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """Return the objects of some kinds."""
    return [one for one in objects if one["kind"] in kinds]


def named(objects: list[Object], kind: str, name: str) -> Object:
    """Return one object."""
    [found] = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield name and template of each pod that comes of objects."""
    for one in objects:
        spec, name = one.get("spec", {}), f"{one['kind']}/{one['metadata']['name']}"
        match one["kind"]:
            case "Deployment" | "StatefulSet" | "Job":
                yield name, spec["template"]
            case "CronJob":
                yield name, spec["jobTemplate"]["spec"]["template"]
            case "Pod":
                yield name, one
            case "DaskCluster":
                for role in ("scheduler", "worker"):
                    labels = {"dask.org/cluster-name": one["metadata"]["name"], "dask.org/component": role}
                    yield f"{name}/{role}", {"metadata": {"labels": labels}, "spec": spec[role]["spec"]}


def containers(objects: list[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Yield name, pod and container of each."""
    for name, pod in pods(objects):
        for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
            yield f"{name}/{container['name']}", pod, container


def fits(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether a label selector takes labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for one in selector.get("matchExpressions", []):
        value = labels.get(one["key"])
        known = {
            "In": value in one.get("values", ()),
            "NotIn": value not in one.get("values", ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not known[one["operator"]]:
            return False
    return True
