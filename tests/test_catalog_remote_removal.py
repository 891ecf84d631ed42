"""Taking an item out of a catalogue behind a STAC API, if it is still what was looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from catalog.item import COLLECTION_ID
from catalog.opening import open_catalogue
from catalog.remote import RemoteCatalogue, open_remote
from tests.catalog_products import item
from tests.test_catalog_remote import QUICK, moody
from tests.writing import PHOTOS, REGISTRAR, live, photo, writing_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue behind the server."""
    return tmp_path_factory.mktemp("catalogue") / "catalog.sqlite"


@pytest.fixture(scope="module")
def server(file: Path) -> Iterator[str]:
    with live(writing_app(str(file))) as url:
        yield url


@pytest.fixture
def listed(file: Path) -> list[dict[str, Any]]:
    """What is listed: a product of an archive, and an item that is none."""
    with open_catalogue(file) as own:
        own.put_collection(PHOTOS)
        for collection in (COLLECTION_ID, "field-photos"):
            for name in own.ids(collection):
                own.remove(name, collection)
        own.upsert_many([item(), photo()])
        return list(own.items())


def test_what_is_still_the_same_is_taken_out_once(server: str, listed: list[dict[str, Any]]) -> None:
    with open_remote(server, REGISTRAR, patience=QUICK) as remote:
        for one in listed:
            assert remote.remove_if(one)
            assert not remote.remove_if(one)
            assert remote.get(one["id"], one["collection"]) is None


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_answer_that_gets_lost_does_no_harm(server: str, listed: list[dict[str, Any]], method: str) -> None:
    with moody(server) as (way, state), open_remote(way, REGISTRAR, patience=QUICK) as remote:
        for one in listed:
            state.only, state.lost = method, 1
            assert remote.remove_if(one)
            assert remote.get(one["id"], one["collection"]) is None


@pytest.mark.parametrize("looks", [1, 2])
def test_what_was_replaced_meanwhile_stays(
    server: str, file: Path, listed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """It is replaced after one look at it, or, where it is withdrawn first, after the second."""
    real = RemoteCatalogue._tag
    seen: list[str | None] = []

    def look(self: RemoteCatalogue, expected: dict[str, Any]) -> str | None:
        seen.append(real(self, expected))
        if len(seen) == looks:
            with open_catalogue(file) as own:
                own.upsert_many([newer])
        return seen[-1]

    monkeypatch.setattr(RemoteCatalogue, "_tag", look)
    with open_remote(server, REGISTRAR, patience=QUICK) as remote:
        for one in listed[looks - 1 :]:
            seen.clear()
            newer = {**one, "properties": {**one["properties"], "title": "newer"}}
            assert not remote.remove_if(one)
            found = remote.get(one["id"], one["collection"])
            assert found is not None
            assert found["properties"]["title"] == "newer"
