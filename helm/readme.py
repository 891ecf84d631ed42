"""Write README.md and values.schema.json of the chart from its values.yaml: ``python helm/readme.py``.

A value's comment ``# -- ...`` is what it is for; ``# @...`` says which kind it is, where its default does not.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import yaml

from services.settings import PREFIX, Settings

CHART: Final = Path(__file__).parent / "abut"
"""The chart."""

type Schema = dict[str, Any]
"""A JSON schema, draft 7."""

SET_BY_CHART: Final = frozenset(
    (
        *(
            "archive",
            "catalogue",
            "jobs",
            "results",
            "dask_scheduler",
            "public_url",
            "trusted_proxies",
            "zone_snapshots",
        ),
        *("parts", "host", "port", "workers", "shutdown_seconds", "scratch", "log_format"),
    )
)
"""Settings that follow from other values."""

_NO_PASSWORD: Final = {"not": {"type": "string", "pattern": "://[^/]*:[^/]*@"}}
_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"type": "array", "items": _TEXT}
_MAP: Final[Schema] = {"type": "object", "additionalProperties": _TEXT}
_QUANTITY: Final[Schema] = {
    "type": ["string", "integer"],
    "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$",
}


def closed(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """Return the schema of an object that has these properties and no other."""
    found: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return found | ({"required": list(required)} if required else {})


def listed(of: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": of}


_AMOUNTS: Final = closed(**{"cpu": _QUANTITY, "memory": _QUANTITY, "ephemeral-storage": _QUANTITY})
_SELECTOR: Final = closed(
    matchLabels=_MAP, matchExpressions=listed(closed(("key", "operator"), key=_TEXT, operator=_TEXT, values=_TEXTS))
)
_KEY: Final = closed(("key",), name=_TEXT, key=_TEXT, optional={"type": "boolean"})
_ANY: Final[Schema] = {"type": "object"}

KINDS: Final[dict[str, Schema]] = {
    "affinity": closed(nodeAffinity=_ANY, podAffinity=_ANY, podAntiAffinity=_ANY),
    "archive": {"type": "string", "pattern": r"^(|/data(/[^?#]*)?|s3://[^/?#@]+(/[^?#]*)?)$"},
    "duration": {"type": "string", "pattern": "^[0-9]+[smhd]$"},
    "env": listed(
        closed(
            ("name",),
            name=_TEXT,
            value={**_TEXT, **_NO_PASSWORD},
            valueFrom=closed(
                secretKeyRef=_KEY,
                configMapKeyRef=_KEY,
                fieldRef=closed(("fieldPath",), fieldPath=_TEXT, apiVersion=_TEXT),
                resourceFieldRef=closed(("resource",), resource=_TEXT, containerName=_TEXT, divisor=_QUANTITY),
            ),
        )
    ),
    "envFrom": listed(
        closed(
            prefix=_TEXT,
            configMapRef=closed(("name",), name=_TEXT, optional={"type": "boolean"}),
            secretRef=closed(("name",), name=_TEXT, optional={"type": "boolean"}),
        )
    ),
    "map": _MAP,
    "peers": listed(
        closed(
            ipBlock=closed(("cidr",), cidr=_TEXT, **{"except": _TEXTS}),
            namespaceSelector=_SELECTOR,
            podSelector=_SELECTOR,
        )
    ),
    "ports": listed({"type": "integer", "minimum": 1, "maximum": 65535}),
    "publicUrl": {"type": "string", "pattern": "^(|https?://[^/?#@]+(/[^?#]*)?)$"},
    "quantity": _QUANTITY,
    "resources": closed(requests=_AMOUNTS, limits=_AMOUNTS),
    "schedule": {"type": "string", "pattern": r"^(@(hourly|daily|weekly|monthly|yearly)|\S+ \S+ \S+ \S+ \S+)$"},
    "strings": _TEXTS,
    "tolerations": listed(
        closed(key=_TEXT, operator=_TEXT, value=_TEXT, effect=_TEXT, tolerationSeconds={"type": "integer"})
    ),
    "url": {"type": "string", **_NO_PASSWORD},
}
"""Kinds that a comment names by ``# @kind``."""


def settings() -> Schema:
    """Return the schema of settings of the services that are neither secret nor set by the chart."""
    fields = {name: field for name, field in Settings.model_fields.items() if name not in SET_BY_CHART}
    plain = sorted(name for name, field in fields.items() if "Secret" not in str(field.annotation))
    value: Schema = {"type": ["string", "number", "boolean"], **_NO_PASSWORD}
    return closed(**{(PREFIX + name).upper(): value for name in plain})


def comments(text: str) -> dict[int, tuple[str, str]]:
    """Return what the comments above a line say, and its kind, by the number of the line (0-based)."""
    found, about, kind = {}, "", ""
    for number, line in enumerate(text.splitlines()):
        said = re.match(r"\s*# (--|@)\s?(.*)", line)
        if said and said[1] == "--":
            about = said[2]
        elif said:
            kind = said[2]
        else:
            if about or kind:
                found[number] = (about, kind)
            about, kind = "", ""
    return found


def compose(text: str) -> yaml.MappingNode:
    """Return values.yaml as nodes, which know their lines."""
    node = yaml.compose(text)
    if not isinstance(node, yaml.MappingNode):
        raise TypeError("values.yaml is no mapping")
    return node


def schema_of(node: yaml.MappingNode, notes: dict[int, tuple[str, str]], kinds: dict[str, Schema]) -> Schema:
    """Return the schema of a mapping of values.yaml."""
    properties: dict[str, Schema] = {}
    for key, value in node.value:
        about, kind = notes.get(key.start_mark.line, ("", ""))
        if kind.startswith("enum "):
            found: Schema = {"type": "string", "enum": kind.split()[1:]}
        elif kind:
            found = kinds[kind]
        elif isinstance(value, yaml.MappingNode):
            found = schema_of(value, notes, kinds)
        else:
            found = _scalar(value.tag.rsplit(":", 1)[-1], key.value)
        properties[key.value] = {**({"description": about} if about else {}), **found}
    return closed(**properties)


def _scalar(tag: str, name: str) -> Schema:
    match tag:
        case "bool":
            return {"type": "boolean"}
        case "int":
            return {"type": "integer", "minimum": 1 if name in ("workers", "cpu") else 0}
        case "str":
            return _TEXT
        case _:
            raise ValueError(f"{name}: a value of {tag} needs a kind")


def _bare(schema: Any) -> Any:
    """Leave out descriptions."""
    if not isinstance(schema, dict):
        return schema
    return {key: _bare(value) for key, value in schema.items() if not (key == "description" and isinstance(value, str))}


def make_schema(text: str) -> Schema:
    """Return the schema of values.yaml."""
    notes, document = comments(text), compose(text)
    kinds = {**KINDS, "settings": settings(), "parts": {}}
    whole = schema_of(document, notes, kinds)
    defaults = whole["properties"]["partDefaults"]
    names = next(value for key, value in document.value if key.value == "parts")
    parts = closed(**{key.value: _bare(defaults) for key, _ in names.value})
    whole["properties"]["parts"].update(parts)
    whole["properties"]["global"] = {
        "type": "object",
        "description": "What Helm hands to charts within charts; unused.",
    }
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart abut", **whole}


def rows(node: yaml.MappingNode, notes: dict[int, tuple[str, str]], values: Any, prefix: str = "") -> list[str]:
    """Return the lines of the table of values."""
    found = []
    for key, value in node.value:
        name, default = prefix + key.value, values[key.value]
        about, kind = notes.get(key.start_mark.line, ("", ""))
        if isinstance(value, yaml.MappingNode) and not kind:
            found += rows(value, notes, default, name + ".")
        else:
            shown = "see values.yaml" if kind == "parts" else f"`{json.dumps(default)}`".replace('`""`', "")
            found.append(f"| `{name}` | {shown} | {about} |".replace("|  |", "| |"))
    return found


def make_readme(text: str) -> str:
    """Return the chart's README."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    table = "\n".join(rows(compose(text), comments(text), yaml.safe_load(text)))
    return f"""# Chart {chart["name"]} {chart["version"]}

{chart["description"]}. Kubernetes {chart["kubeVersion"].removesuffix("-0")}, Helm 3 or 4.

How to install, scale and upgrade it: [docs/kubernetes.md](../../docs/kubernetes.md).
Profiles to begin with are in `profiles/`.
This file and `values.schema.json` are made from `values.yaml` by `python helm/readme.py`.

| value | default | what |
|---|---|---|
{table}
"""


def main() -> None:
    """Write both files."""
    text = (CHART / "values.yaml").read_text()
    (CHART / "README.md").write_text(make_readme(text))
    (CHART / "values.schema.json").write_text(json.dumps(make_schema(text), indent=1) + "\n")


if __name__ == "__main__":
    main()
