"""The process `cube` as OGC API - Processes describes it."""

from __future__ import annotations

from typing import Any, Final

from abut import __version__
from services.cubes.files import MEDIA_TYPES
from services.cubes.inputs import CubeInputs

PROCESS: Final = "cube"
"""Id of the process."""
OUTPUT: Final = "cube"
"""Id of its output."""

_TITLE: Final = "Sentinel-2 L1C over any ground and time"
_TEXT: Final = (
    "Pixels of the archive's products over a tile and its surroundings, a box or a geometry. Within a zone nothing is "
    "resampled; what comes from another zone is marked (`provenance`). Small cubes are answered at once, as zipped "
    "Zarr, netCDF or GeoTIFF; any number of larger ones as a job (`Prefer: respond-async`), whose results are Zarr "
    "groups."
)


def summary(*, has_jobs: bool) -> dict[str, Any]:
    """Return the process as lists of processes show it, without links; whether it takes jobs."""
    return {
        "id": PROCESS,
        "title": _TITLE,
        "description": _TEXT,
        "version": __version__,
        "keywords": ["Sentinel-2", "Level-1C", "data cube"],
        "jobControlOptions": ["sync-execute", *(("async-execute", "dismiss") if has_jobs else ())],
        "outputTransmission": ["value", *(("reference",) if has_jobs else ())],
    }


def description(*, has_jobs: bool) -> dict[str, Any]:
    """Return the whole description, without links."""
    kinds = list(dict.fromkeys(MEDIA_TYPES.values()))
    files: list[dict[str, Any]] = [
        {"type": "string", "contentEncoding": "binary", "contentMediaType": kind} for kind in kinds
    ]
    link = {"type": "object", "required": ["href"], "properties": {"href": {"type": "string", "format": "uri"}}}
    output = {
        "title": "The cube",
        "description": "At once: a file. Of a job: a link to a Zarr group, or a list of links if it asked for several.",
        "schema": {"oneOf": [*files, link, {"type": "array", "items": link}]},
    }
    return {**summary(has_jobs=has_jobs), "inputs": _inputs(), "outputs": {OUTPUT: output}}


def _inputs() -> dict[str, Any]:
    found = {}
    for name, schema in CubeInputs.model_json_schema()["properties"].items():
        plain = {key: value for key, value in schema.items() if key not in ("title", "description", "default", "anyOf")}
        kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            plain |= kinds[0]
        elif kinds:
            plain["oneOf"] = kinds
        if schema.get("default") is not None:
            plain["default"] = schema["default"]
        found[name] = {
            "title": name.capitalize(),
            "description": schema["description"],
            "schema": plain,
            "minOccurs": 0,
            "maxOccurs": 1,
        }
    return found
