"""Schemathesis asks for pictures as the OpenAPI document permits, and as it does not: nothing makes the server fail.

`ABUT_SCHEMATHESIS_EXAMPLES` says how many random requests each operation gets; more find more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events
from schemathesis.python import asgi

from tests.tiles.pictures import FOUR, archive_of
from tests.tiles.serving import app_of

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES: Final = int(os.environ.get("ABUT_SCHEMATHESIS_EXAMPLES", "2"))

CHECKS: Final = ("not_a_server_error", "status_code_conformance")


@pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning")  # rio-tiler of affine
def test_nothing_makes_the_server_fail(tmp_path: Path) -> None:
    app = app_of(archive_of(tmp_path / "archive", *FOUR), tile_pixels=70_000, tile_grid_bytes=1_000)
    config = SchemathesisConfig.from_dict(
        {
            "seed": 20_231_004,
            "generation": {"max-examples": EXAMPLES, "mode": "all", "deterministic": True, "database": "none"},
            "phases": {"coverage": {"enabled": EXAMPLES > 2}, "stateful": {"enabled": False}},
            "checks": {
                "enabled": False,
                "not_a_server_error": {"enabled": True},
                "status_code_conformance": {"enabled": True},
            },
        }
    )
    schema = schemathesis.openapi.from_asgi("/api", app, config=config)

    @schema.hook
    def map_path_parameters(_context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        """Half of the items and tiles are some that there are."""
        made = dict(path_parameters or {})
        known = {"item_id": FOUR[0].id, "tile": "32TNP", "z": 10, "x": 541, "y": 371, "lon": 10.2, "lat": 44.19}
        if len(repr(made)) % 2:
            made |= {name: value for name, value in known.items() if name in made}
        return made

    found: dict[str, str] = {}
    asked = 0
    try:
        for event in engine.from_schema(schema).execute():
            if isinstance(event, events.FatalError):
                raise event.exception
            if isinstance(event, events.ScenarioFinished):
                asked += len(event.recorder.interactions)
                found |= {
                    f"{event.recorder.label} {check.name}": f"{check.failure_info.failure.message[:300]}\n"
                    f"{check.failure_info.code_sample[:600]}"
                    for checks in event.recorder.checks.values()
                    for check in checks
                    if check.failure_info is not None
                }
    finally:
        asgi.shutdown_lifespans()
    assert list(found.values()) == []
    assert asked > 2 * len(app.openapi()["paths"])
