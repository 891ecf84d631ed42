"""Validation of STAC objects without a network, where copies of the schemas are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import pystac

FOLDER = Path(__file__).parents[1].parent / "shared" / "data" / "stac_schemas"
"""Copies of the schemas of the extensions."""


def validate(thing: pystac.Item | pystac.Collection) -> list[str]:
    """Validate against the core schema and those of all declared extensions; return the addresses of the schemas.

    Skips the test where the schemas are absent. A schema that is not among the copies fails: nothing is downloaded.
    """
    if not FOLDER.is_dir():
        pytest.skip(f"no copies of the STAC schemas in {FOLDER}")
    from pystac.validation import RegisteredValidator  # noqa: PLC0415 - needs jsonschema, a development dependency

    validator: Any = RegisteredValidator.get_validator()
    for path in (*FOLDER.glob("*.json"), *FOLDER.glob("core/*.json")):
        schema = json.loads(path.read_text())
        address = "https://proj.org/schemas/v0.7/projjson.schema.json"
        if path.name != "projjson.json":
            address = schema["$id"].removesuffix("#")
        validator.schema_cache.setdefault(address, schema)
    missing = [address for address in thing.stac_extensions if address not in validator.schema_cache]
    assert not missing, f"no copy of {missing}"
    results: list[str] = thing.validate()
    return results
