"""Across 180 degrees: pictures are of the ground that is meant, not of the rest of the globe."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from services.tiles.scenes import Scenes
from services.tiles.wish import Wish
from tests.tiles.pictures import DATE_LINE, archive_of
from tests.tiles.serving import BAND, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

    from abut.archive import Archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return archive_of(tmp_path_factory.mktemp("tiles") / "date line", *DATE_LINE)


@pytest.fixture(scope="module")
def client(archive: Archive) -> Iterator[TestClient]:
    with tiles(archive) as one:
        yield one


def test_the_extent_goes_on_beyond_180_degrees(archive: Archive) -> None:
    west, south, east, north = Scenes(archive).open(Wish()).extent
    assert 178 < west < 180 < east < 182
    assert -17.3 < south < north < -16.1


def test_a_preview_shows_the_products_and_not_the_globe(client: TestClient) -> None:
    answer = client.get("/mosaic/preview.png", params={**BAND, "max_size": "64", "rescale": "0,1"})
    assert answer.status_code == 200, answer.text
    with Image.open(BytesIO(answer.content)) as image:
        shown = np.asarray(image)[..., -1] if image.mode in ("LA", "RGBA") else np.full(image.size, 255)
    assert (shown > 0).mean() > 0.02  # of the globe it is a ten-thousandth


def test_a_box_may_have_more_west_than_east(client: TestClient) -> None:
    across, beyond = (
        client.get(f"/mosaic/bbox/179.95,-17.05,{east},-17.0/40x20.npy", params=BAND) for east in ("-179.95", "180.05")
    )
    assert across.status_code == beyond.status_code == 200, across.text
    assert np.load(BytesIO(across.content)).tobytes() == np.load(BytesIO(beyond.content)).tobytes()
    assert np.isfinite(np.load(BytesIO(across.content))).any()
