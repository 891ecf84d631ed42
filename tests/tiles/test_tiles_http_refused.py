"""What nothing can be called is refused before anything looks for it; what there is not is told in a fitting form."""

from __future__ import annotations

import io
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from PIL import Image

from services.tiles.told import Told
from tests.tiles.pictures import FOUR, archive_of
from tests.tiles.serving import BAND, TILE, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

MOSAIC_TILE = f"/mosaic/tiles/{TILE}.png"
LONG = "a" * 3_000


@pytest.fixture(name="client", scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with tiles(archive_of(tmp_path_factory.mktemp("refused") / "archive", *FOUR)) as client:
        yield client


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ids", "\u20ac", "'\u20ac'"),
        ("ids", "../../../etc", "'../../../etc'"),
        ("ids", LONG, "'aaa"),
        ("ids", f"{FOUR[0].id},.SAFE", "'.SAFE'"),
        ("datatake", "\u20ac", "'\u20ac'"),
        ("datatake", "a" * 101, "'aaa"),
        ("tiles", "\uff13\uff12TNP", "'\uff13\uff12TNP'"),
        ("tiles", LONG, "'aaa"),
        ("datetime", LONG, "'aaa"),
    ],
)
def test_what_nothing_can_be_called_is_refused(client: TestClient, name: str, value: str, words: str) -> None:
    answer = client.get(MOSAIC_TILE, params={**BAND, name: value})
    assert answer.status_code == 400
    assert words in answer.json()["description"]
    assert len(answer.json()["description"]) < 500


@pytest.mark.parametrize("item", ["%E2%82%AC", "%2E%2E", ".SAFE", "a" * 300, "a%20b"])
def test_what_no_product_can_be_called_is_not_there(
    client: TestClient, caplog: pytest.LogCaptureFixture, item: str
) -> None:
    with caplog.at_level(logging.WARNING, logger="abut"):
        assert client.get(f"/items/{item}/info").status_code == 404
    assert caplog.records == []


@pytest.mark.parametrize(
    "asked", [{"datatake": "GS2B_1"}, {"filter": "s2:datatake_id = '\u20ac'"}, {"datetime": "1999"}], ids=str
)
def test_why_there_is_nothing_is_said_in_the_words_of_the_url(client: TestClient, asked: dict[str, str]) -> None:
    empty = client.get(MOSAIC_TILE, params={**BAND, **asked})
    reason = empty.headers["abut-reason"]
    assert empty.status_code == 204
    assert reason.startswith("no data")
    assert reason.isascii()
    missing = client.get("/mosaic/preview.png", params={**BAND, **asked})
    assert missing.status_code == 404
    for text in (reason, missing.json()["description"]):
        assert "Wish(" not in text
    assert f"{next(iter(asked))}=" in missing.json()["description"]


def test_any_reason_fits_into_a_header() -> None:
    told = Told(cast("Any", SimpleNamespace()), reason="no data\r\n\u20ac" + LONG)
    assert told.headers["abut-reason"] == "no data???" + "a" * 190


FAR = "/mosaic/tiles/WebMercatorQuad/10/0/0"


@pytest.mark.parametrize(
    ("path", "kind"), [(FAR, "image/png"), (f"{FAR}.png", "image/png"), (f"{FAR}.webp", "image/webp")]
)
def test_an_empty_tile_is_transparent_in_the_format_that_is_asked_for(client: TestClient, path: str, kind: str) -> None:
    answer = client.get(path, params={**BAND, "empty": "transparent"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    shown = Image.open(io.BytesIO(answer.content))
    assert (shown.size, shown.get_format_mimetype()) == ((256, 256), kind)
    assert not np.asarray(shown.convert("RGBA"))[:, :, 3].any()


@pytest.mark.parametrize("form", ["npy", "tif", "jpg", "jp2"])
def test_an_empty_tile_is_none_in_formats_that_are_never_transparent(client: TestClient, form: str) -> None:
    answer = client.get(f"{FAR}.{form}", params={**BAND, "empty": "transparent"})
    assert (answer.status_code, answer.content) == (204, b"")


def test_what_an_algorithm_computes_has_one_range_in_all_tiles(client: TestClient) -> None:
    asked = {"bands": "B01,B09", "algorithm": "normalizedIndex"}
    shown = client.get(MOSAIC_TILE, params=asked)
    assert shown.status_code == 200
    assert shown.content == client.get(MOSAIC_TILE, params={**asked, "rescale": "-1,1"}).content
    tampered = client.get(MOSAIC_TILE, params={**asked, "algorithm_params": '{"output_min": [-9], "output_max": [9]}'})
    assert tampered.content == shown.content


@pytest.mark.parametrize("algorithm", ["sum", "mean", "std"])
def test_what_has_no_range_needs_one(client: TestClient, algorithm: str) -> None:
    asked = {"bands": "B01,B09", "algorithm": algorithm}
    refused = client.get(MOSAIC_TILE, params=asked)
    assert refused.status_code == 400
    assert "give rescale" in refused.json()["description"]
    assert client.get(MOSAIC_TILE, params={**asked, "rescale": "0,1"}).status_code == 200
    assert client.get(f"/mosaic/tiles/{TILE}.tif", params=asked).status_code == 200
