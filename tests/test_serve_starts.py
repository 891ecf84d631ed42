"""What a part's process loads before it answers: its start takes no longer for what only other parts need."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from abut.archive import create_archive
from services.settings import PARTS
from tests.serving import ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

ARRAYS: Final = {"pandas", "xarray", "dask", "zarr"}
PICTURES: Final = {"rasterio", "rio_tiler", "titiler", "boto3"}
CLIENTS: Final = {"httpx", "rich", "jwt", "stac_fastapi"}
UNNEEDED: Final[dict[str, set[str]]] = {
    "viewer": {*ARRAYS, *PICTURES, *CLIENTS, "fastapi"},
    "stac": {*ARRAYS, *PICTURES, "httpx", "rich", "jwt"},
    "tiles": {"dask", "zarr", "httpx", "jwt"},
    "cubes": {*PICTURES, *CLIENTS, "dask", "zarr"},
    "legacy": {*ARRAYS, *PICTURES, *CLIENTS, "fastapi"},
    "zarr": {*ARRAYS, *PICTURES, *CLIENTS, "fastapi"},
}
"""What has to be no part of a part's process when it begins to answer."""

PROGRAM: Final = """
import json, sys
import cli.serve, services.serving
from services.app import create_app
from services.settings import load_settings
create_app(load_settings(archive=sys.argv[1], parts=(sys.argv[2],), public_url="https://l1c.example.org"))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("part", PARTS)
def test_a_part_loads_nothing_that_only_other_parts_need(tmp_path: Path, part: str) -> None:
    archive = create_archive(tmp_path / "archive")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, archive.store.url, part],
        cwd=ROOT,
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = set(json.loads(ran.stdout))
    assert "starlette" in loaded
    assert sorted(loaded & UNNEEDED[part]) == []


SERVICE: Final = """
import os, signal, sys, threading, urllib.request
from unittest.mock import patch
from services import serving
from services.settings import load_settings

def ask():
    urllib.request.urlopen(listening.url + "/readyz").read()
    os.kill(os.getpid(), signal.SIGTERM)

settings = load_settings(archive=sys.argv[1], parts=("stac", "zarr"), port=0)
listening = serving.listen(settings.host, settings.port)
with (
    patch.object(serving, "create_app", wraps=serving.create_app) as made,
    patch.object(serving, "require_catalogue", wraps=serving.require_catalogue) as opened,
):
    serving.serve(settings, listening, threading.Thread(target=ask).start)
print(made.call_count, opened.call_count)
"""


def test_a_process_that_answers_alone_makes_its_application_once(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive")
    ran = subprocess.run(
        [sys.executable, "-c", SERVICE, archive.store.url],
        cwd=ROOT,
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.split() == ["1", "1"]
