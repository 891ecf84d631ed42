"""Validation of STAC objects without a network, where copies of the schemas are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    import pystac

FOLDER = Path(__file__).parents[1].parent / "shared" / "data" / "stac_schemas"
"""Copies of the schemas of the extensions."""


VERSION: Final = "https://stac-extensions.github.io/version/v1.2.0/schema.json"
"""Address of the schema that there is no copy of."""

VERSION_SCHEMA: Final = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$id": VERSION,
    "type": "object",
    "required": ["stac_extensions"],
    "properties": {
        "stac_extensions": {"type": "array", "contains": {"const": VERSION}},
        "properties": {"$ref": "#/definitions/fields"},
        "assets": {"type": "object", "additionalProperties": {"$ref": "#/definitions/fields"}},
        "links": {
            "type": "array",
            "items": {
                "if": {"properties": {"rel": {"enum": ["latest-version", "predecessor-version", "successor-version"]}}},
                "then": {"required": ["href", "type"], "properties": {"type": {"const": "application/geo+json"}}},
            },
        },
    },
    "definitions": {
        "fields": {
            "type": "object",
            "properties": {
                "version": {"type": "string"},
                "deprecated": {"type": "boolean"},
                "experimental": {"type": "boolean"},
            },
        }
    },
}
"""What the extension's page demands of items, written anew, and of its links that they say what they lead to."""


def schemas() -> dict[str, Any]:
    """Return all schemas by address; skips the test where the copies are absent."""
    if not FOLDER.is_dir():
        pytest.skip(f"no copies of the STAC schemas in {FOLDER}")
    found: dict[str, Any] = {VERSION: VERSION_SCHEMA}
    for path in (*FOLDER.glob("*.json"), *FOLDER.glob("core/*.json")):
        schema = json.loads(path.read_text())
        found[_address(path, schema)] = schema
    return found


def _address(path: Path, schema: dict[str, Any]) -> str:
    if path.name == "projjson.json":
        return "https://proj.org/schemas/v0.7/projjson.schema.json"
    if path.parent.name == "core":  # one of them has a mistake in its `$id`; their files are named by their addresses
        return f"https://{path.stem.replace('_', '/')}.json"
    return str(schema["$id"]).removesuffix("#")


def validate(thing: pystac.Item | pystac.Collection) -> list[str]:
    """Validate against the core schema and those of all declared extensions; return the addresses of the schemas.

    Skips the test where the schemas are absent. A schema that is not among the copies fails: nothing is downloaded.
    """
    return validate_document(thing.to_dict(include_self_link=False, transform_hrefs=False))


def validate_document(document: dict[str, Any]) -> list[str]:
    """Validate JSON in the same way."""
    from pystac.validation import RegisteredValidator, validate_dict  # noqa: PLC0415 - development dependencies

    validator: Any = RegisteredValidator.get_validator()
    for address, schema in schemas().items():
        validator.schema_cache.setdefault(address, schema)
    missing = [address for address in document.get("stac_extensions", []) if address not in validator.schema_cache]
    assert not missing, f"no copy of {missing}"
    results: list[str] = validate_dict(document)
    return results
