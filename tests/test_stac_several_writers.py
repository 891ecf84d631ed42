"""Several processes of the service write beside each other, on either database: no change is lost, none done twice.

Each application here has a writer, locks and connections of its own, as a process has.
"""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from catalog.collection import make_collection
from catalog.opening import open_catalogue
from services.backends import backend_of
from tests.postgres import new_database
from tests.writing import PHOTOS, WRITER, client_of, photo, writing_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.testclient import TestClient

    from catalog.interface import Catalogue

PHOTO = "/collections/field-photos"
ITEM = f"{PHOTO}/items/photo-1"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module", params=["sqlite", "pgstac"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A catalogue on either database."""
    if request.param == "sqlite":
        yield str(tmp_path_factory.mktemp("catalogue") / "catalog.sqlite")
        return
    with new_database(request.getfixturevalue("postgres")) as database:
        yield database


@pytest.fixture(scope="module")
def workers(url: str) -> Iterator[list[TestClient]]:
    """Clients of two applications over one catalogue."""
    with client_of(writing_app(url), WRITER) as one, client_of(writing_app(url), WRITER) as other:
        yield [one, other]


@pytest.fixture(autouse=True)
def catalogue(url: str) -> Iterator[Catalogue]:
    """The catalogue with one photo."""
    with open_catalogue(url) as opened:
        for collection in opened.collections():
            opened.remove_collection(collection["id"])
        opened.put_collection(make_collection().to_dict(include_self_link=False))
        opened.put_collection(PHOTOS)
        opened.upsert_many([photo()])
        yield opened


def patch(client: TestClient, body: Any, path: str = ITEM, **headers: str) -> Any:
    return client.patch(path, content=json.dumps(body), headers={"Content-Type": MERGE, **headers})


def write(url: str, *items: dict[str, Any]) -> None:
    """Leave these photos in the catalogue, and no others, as another process does."""
    with open_catalogue(url) as other:
        for name in other.ids("field-photos") - {item["id"] for item in items}:
            other.remove(name, "field-photos")
        other.upsert_many(items)


@contextlib.contextmanager
def between(url: str, meanwhile: Callable[[], object], method: str = "listed") -> Iterator[TestClient]:
    """A client whose first request is interrupted, by what is done meanwhile, after it has looked at what is there."""
    kind = type(backend_of(url))
    todo = [meanwhile]
    with pytest.MonkeyPatch.context() as changed, client_of(writing_app(url), WRITER) as client:
        real = getattr(kind, method)

        async def looked(self: Any, *arguments: Any) -> Any:
            found = await real(self, *arguments)
            if todo:
                todo.pop()()
            return found

        changed.setattr(kind, method, looked)
        yield client


# Applications that serve their first requests in several threads at once make validators in each; what pydantic keeps
# quiet meanwhile, for one thread, others hear.
@pytest.mark.filterwarnings("ignore::pydantic.warnings.UnsupportedFieldAttributeWarning")
def test_many_changes_by_several_processes_are_all_there(workers: list[TestClient], catalogue: Catalogue) -> None:
    def add(number: int) -> int:
        return int(patch(workers[number % 2], {"properties": {f"note-{number}": number}}).status_code)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(add, range(40))) == {200}
    listed = catalogue.get("photo-1", "field-photos")
    assert listed is not None
    assert {f"note-{number}" for number in range(40)} <= set(listed["properties"])


@pytest.mark.filterwarnings("ignore::pydantic.warnings.UnsupportedFieldAttributeWarning")
def test_of_many_changes_of_one_state_exactly_one_is_made(workers: list[TestClient]) -> None:
    tag = workers[0].get(ITEM).headers["ETag"]

    def change(number: int) -> int:
        body = {"properties": {"title": f"by {number}"}}
        return int(patch(workers[number % 2], body, **{"If-Match": tag}).status_code)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(change, range(16))) == [200] + [412] * 15


def test_a_patch_is_made_anew_of_what_another_process_wrote_meanwhile(url: str, catalogue: Catalogue) -> None:
    with between(url, lambda: write(url, photo(crop="maize"))) as client:
        assert patch(client, {"properties": {"title": "mine"}}).status_code == 200
    assert catalogue.get("photo-1", "field-photos") == photo(crop="maize", title="mine")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_what_another_process_changed_meanwhile_is_no_longer_what_if_match_says(
    url: str, catalogue: Catalogue, method: str
) -> None:
    with between(url, lambda: write(url, photo(crop="maize"))) as client:
        headers = {"If-Match": client.get(ITEM).headers["ETag"], "Content-Type": "application/json"}
        body = None if method == "DELETE" else json.dumps(photo(title="mine"))
        assert client.request(method, ITEM, content=body, headers=headers).status_code == 412
    assert catalogue.get("photo-1", "field-photos") == photo(crop="maize")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_another_process_deleted_meanwhile_does_not_come_back(url: str, catalogue: Catalogue, method: str) -> None:
    with between(url, lambda: write(url)) as client:
        headers = {"Content-Type": "application/json"}
        answer = client.request(method, ITEM, content=json.dumps(photo(title="mine")), headers=headers)
        assert answer.status_code == 404
    assert catalogue.get("photo-1", "field-photos") is None


def test_a_delete_takes_out_what_is_there_by_then(url: str, catalogue: Catalogue) -> None:
    with between(url, lambda: write(url, photo(crop="maize"))) as client:
        assert client.delete(ITEM).status_code == 204
    assert catalogue.get("photo-1", "field-photos") is None


def test_collections_are_changed_by_several_processes_and_nothing_is_lost(
    url: str, workers: list[TestClient], catalogue: Catalogue
) -> None:
    def meanwhile() -> None:
        assert patch(workers[0], {"title": "Photos"}, PHOTO).status_code == 200

    with between(url, meanwhile, "collections") as client:
        assert patch(client, {"keywords": ["maize"]}, PHOTO).status_code == 200
    (stored,) = (one for one in catalogue.collections() if one["id"] == "field-photos")
    assert (stored["title"], stored["keywords"]) == ("Photos", ["maize"])


def test_a_collection_is_created_once(workers: list[TestClient]) -> None:
    with ThreadPoolExecutor(2) as pool:
        bodies = [PHOTOS | {"id": "maps", "title": f"by {number}"} for number in range(2)]
        answers = list(pool.map(lambda number: workers[number].post("/collections", json=bodies[number]), range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    made = next(answer for answer in answers if answer.status_code == 201)
    assert workers[0].get("/collections/maps").json()["title"] == made.json()["title"]


def test_a_collection_that_changed_is_no_longer_what_if_match_says(workers: list[TestClient]) -> None:
    shown = workers[0].get(PHOTO)
    tag = {"If-Match": shown.headers["ETag"]}
    assert patch(workers[0], {"title": "first"}, PHOTO, **tag).status_code == 200
    assert patch(workers[1], {"title": "second"}, PHOTO, **tag).status_code == 412
    assert workers[1].delete(PHOTO, headers=tag).status_code == 412
    assert workers[1].get(PHOTO).json()["title"] == "first"
