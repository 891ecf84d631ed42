"""What no product, tile or datatake can be called is refused before anything looks for it; answers are in ASCII."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

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
