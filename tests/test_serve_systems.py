"""Coordinate systems that strangers name: codes alone, so that no text makes the service open a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from abut.archive import create_archive
from abut.errors import BadRequestError
from services.app import create_app
from services.settings import load_settings
from services.systems import require_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    archive = create_archive(tmp_path_factory.mktemp("systems") / "archive")
    with TestClient(create_app(load_settings(archive=archive.store.url))) as made:
        yield made


@pytest.mark.parametrize("form", ["+init={}:x", "+proj=utm +zone=32 +ellps=bessel +nadgrids={} +type=crs", "{}"])
def test_a_pipe_that_nobody_writes_into_holds_nobody_up(client: TestClient, tmp_path: Path, form: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    crs = form.format(tmp_path / "pipe")
    plain = {"bbox": "500000,5200000,501000,5201000", "datetime": "2025", "bands": "B09"}
    box = [500000, 5200000, 501000, 5201000]
    job = {"bbox": {"bbox": box, "crs": crs}, "datetime": "2025", "bands": "B09"}
    for answer in (
        client.get("/cubes/explain", params={**plain, "crs": crs}),
        client.get("/cubes/cube", params={**plain, "crs": "EPSG:32632", "to": crs, "resolution": "10"}),
        client.post("/cubes/processes/cube/execution", json={"inputs": job}),
        client.get("/tiles/mosaic/bbox/8,46,9,47.png", params={"coord_crs": crs, "datetime": "2025"}),
        client.get("/tiles/mosaic/preview.png", params={"dst_crs": crs, "datetime": "2025"}),
        client.get("/tiles/mosaic/point/8,46", params={"coord_crs": crs, "datetime": "2025"}),
        client.get("/stac/search", params={"filter": "id = 'x'", "filter-crs": crs}),
    ):
        assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "value",
    ["EPSG:32632", "epsg:4326", "OGC:CRS84", "http://www.opengis.net/def/crs/OGC/1.3/CRS84", "32632", 32632, None],
)
def test_codes_are_systems(value: str | int | None) -> None:
    require_code("crs", value)


@pytest.mark.parametrize("value", ["", "EPSG:", "+proj=longlat", "PROJCRS[...]", "EPSG:1 ", "/etc/passwd", "x.prj"])
def test_texts_are_none(value: str) -> None:
    with pytest.raises(BadRequestError, match="is not a coordinate system such as EPSG:32632"):
        require_code("to", value)
