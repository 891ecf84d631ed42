"""Writes the chart's values.schema.json and README.md from the comments and defaults of values.yaml.

A value is described by the comment ``# -- ...`` above it. Its type is that of its default; what that can't say is here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parent / "abut"

_OPEN: Final = {"type": "object"}
_STRINGS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_OBJECTS: Final = {"type": "array", "items": {"type": "object"}}
_NAMES: Final = {"type": "array", "items": {"type": "string", "minLength": 1}}
_COUNT: Final = {"type": "integer", "minimum": 1}
_RESOURCES: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        name: {"type": "object", "additionalProperties": {"type": ["string", "integer", "number"]}}
        for name in ("requests", "limits")
    },
}
_QUANTITY: Final = {"type": "string", "pattern": "^[0-9]+(Mi|Gi|Ti)$"}
_SCHEDULE: Final = {"type": "string", "pattern": "^(@(hourly|daily|weekly|monthly)|([^ ]+ ){4}[^ ]+)$"}
_PARTS: Final = ("viewer", "stac", "tiles", "cubes", "legacy", "zarr")

SPECIAL: Final[dict[str, dict[str, Any]]] = {
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "image.pullSecrets": _NAMES,
    "archive.url": {"type": "string", "pattern": "^[^@?# ]*$"},
    "archive.folder.accessMode": {"enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]},
    "archive.folder.size": _QUANTITY,
    "catalogue.url": {"type": "string", "pattern": "^[^:]*(://[^:@/]*(:[0-9]+)?(/.*)?)?$"},
    "jobs.url": {"type": "string", "pattern": "^[^:]*(://[^:@/]*(:[0-9]+)?(/.*)?)?$"},
    "publicUrl": {"type": "string", "pattern": "^(https?://[^@?# ]+)?$"},
    "otlpEndpoint": {"type": "string", "pattern": "^(https?://[^@ ]+)?$"},
    "secrets": _NAMES,
    "settings": {
        "type": "object",
        "propertyNames": {"pattern": "^(ABUT|OTEL|AWS|GDAL|PG)_?[A-Z0-9_]+$"},
        "additionalProperties": {"type": "string"},
    },
    "extraEnv": _OBJECTS,
    "extraEnvFrom": _OBJECTS,
    "podAnnotations": _STRINGS,
    "commonLabels": _STRINGS,
    "preStopSeconds": {"type": "integer", "minimum": 0, "maximum": 120},
    "startupSeconds": {"type": "integer", "minimum": 10, "maximum": 3600},
    "partDefaults.replicas": {"type": "integer", "minimum": 0},
    "partDefaults.workers": _COUNT,
    "partDefaults.shutdownSeconds": {"type": "integer", "minimum": 0, "maximum": 3600},
    "partDefaults.tmpSize": _QUANTITY,
    "partDefaults.autoscaling.minReplicas": _COUNT,
    "partDefaults.autoscaling.maxReplicas": _COUNT,
    "partDefaults.autoscaling.cpu": {"type": "integer", "minimum": 1, "maximum": 100},
    "partDefaults.disruption.maxUnavailable": {"type": "integer", "minimum": 0},
    "partDefaults.nodeSelector": _STRINGS,
    "partDefaults.tolerations": _OBJECTS,
    "partDefaults.affinity": _OPEN,
    "dask.mode": {"enum": ["none", "deployment", "operator", "address"]},
    "dask.address": {"type": "string", "pattern": "^((tcp|tls)://[^ ]+:[0-9]+)?$"},
    "dask.workers": {"type": "integer", "minimum": 0},
    "dask.maxWorkers": _COUNT,
    "dask.tmpSize": _QUANTITY,
    "ingest.job.arguments": _NAMES,
    "ingest.cron.arguments": _NAMES,
    "ingest.cron.schedule": _SCHEDULE,
    "ingest.backoffLimit": {"type": "integer", "minimum": 0},
    "ingest.deadlineSeconds": _COUNT,
    "ingest.tmpSize": _QUANTITY,
    "maintenance.backoffLimit": {"type": "integer", "minimum": 0},
    "maintenance.deadlineSeconds": _COUNT,
    **{f"maintenance.{name}.arguments": _NAMES for name in ("settle", "purge", "check")},
    **{f"maintenance.{name}.schedule": _SCHEDULE for name in ("settle", "purge", "check")},
    "postgresql.size": _QUANTITY,
    "ingress.annotations": _STRINGS,
    "networkPolicy.ingressFrom": _OBJECTS,
    "networkPolicy.metricsFrom": _OBJECTS,
    "networkPolicy.outsideTo": _OBJECTS,
    "networkPolicy.outsidePorts": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}},
    "networkPolicy.databaseTo": _OBJECTS,
    "networkPolicy.databasePort": {"type": "integer", "minimum": 1, "maximum": 65535},
    "networkPolicy.daskTo": _OBJECTS,
    "monitoring.labels": _STRINGS,
}
"""Schemas of values that a default does not describe, by path."""


def descriptions(text: str) -> dict[str, str]:
    """Return what comments say, by path of the value below them."""
    found, path, said = {}, list[tuple[int, str]](), ""
    for line in text.splitlines():
        if comment := re.match(r" *# -- (.*)", line):
            said = comment[1]
        elif key := re.match(r"( *)([A-Za-z0-9]+):", line):
            path = [(depth, name) for depth, name in path if depth < len(key[1])] + [(len(key[1]), key[2])]
            if said:
                found[".".join(name for _, name in path)] = said
            said = ""
    return found


def schema_of(value: Any, path: str, told: dict[str, str]) -> dict[str, Any]:
    """Return the schema of a value: closed, wherever Kubernetes does not say what may be in it."""
    about = {"description": told[path]} if path in told else {}
    if path in SPECIAL:
        return {**about, **SPECIAL[path]}
    if path.rpartition(".")[2] in ("resources", "schedulerResources"):
        return {**about, **_RESOURCES}
    if path == "parts":
        part = {"$ref": "#/properties/partDefaults"}
        properties = {name: {"description": f"What the part {name} has else than others.", **part} for name in _PARTS}
        return {**about, "type": "object", "additionalProperties": False, "properties": properties}
    if isinstance(value, dict):
        inner = {name: schema_of(one, f"{path}.{name}" if path else name, told) for name, one in value.items()}
        return {**about, "type": "object", "additionalProperties": False, "properties": inner}
    kinds = {bool: "boolean", int: "integer", str: "string"}
    return {**about, "type": kinds[type(value)]}


def schema() -> str:
    """Return values.schema.json."""
    text = (CHART / "values.yaml").read_text()
    made = schema_of(yaml.safe_load(text), "", descriptions(text))
    made["properties"]["global"] = {"type": "object", "description": "What Helm hands to charts inside of others."}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart abut"}
    return json.dumps({**head, **made}, indent=1) + "\n"


def readme() -> str:
    """Return README.md."""
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    rows = []
    for path, said in descriptions(text).items():
        value: Any = values
        for name in path.split("."):
            value = value[name]
        shown = "" if path == "parts" else f"`{json.dumps(value)}`".replace("|", "\\|")
        rows.append(f"| `{path}` | {said.replace('|', chr(92) + '|')} | {shown} |")
    return _HEAD + "\n".join(rows) + "\n"


_HEAD: Final = """# The chart abut

Abut on Kubernetes: a Deployment for each part, archive on S3 or on a volume, catalogue in PostgreSQL, Dask, jobs that
ingest and maintain. How to install it, what profiles there are, and what was never tried on a cluster is in
`docs/kubernetes.md`. This page is written by `helm/make.py`.

```sh
helm install l1c helm/abut -f helm/abut/profiles/production.yaml -f my-values.yaml
```

| value | what | default |
|---|---|---|
"""


def main() -> None:
    """Write both."""
    (CHART / "values.schema.json").write_text(schema())
    (CHART / "README.md").write_text(readme())


if __name__ == "__main__":
    main()
