"""Bodies that writers send by mistake or with bad intent are refused; what is there stays as it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.stac.databases import filled
from tests.stac.items import OTHER
from tests.writing import REGISTRAR, client_of, writing_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

PATH = f"/collections/{OTHER}"
PHOTO = f"{PATH}/items/photo-1"
JSON, MERGE, OPERATIONS = "application/json", "application/merge-patch+json", "application/json-patch+json"


@pytest.fixture(scope="module", params=["sqlite", "pgstac"])
def writer(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    """Client with a token for everything, on each of the databases."""
    with filled(request) as url, client_of(writing_app(url), REGISTRAR) as client:
        yield client


def sent(client: TestClient, method: str, path: str, body: bytes | str, kind: str = JSON) -> tuple[int, str]:
    answer = client.request(method, path, content=body, headers={"Content-Type": kind})
    assert set(answer.json()) == {"code", "description"}, answer.text
    assert "\n" not in answer.json()["description"]
    return answer.status_code, answer.json()["description"]


@pytest.mark.parametrize("path", [PATH, PHOTO])
@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (MERGE, "[]", "body: []: not a merge patch"),
        (OPERATIONS, "{}", "body: {}: not a list of operations"),
        (JSON, '"title"', "body: 'title': not a patch"),
    ],
)
def test_a_patch_is_what_its_media_type_says(writer: TestClient, path: str, kind: str, body: str, said: str) -> None:
    before = writer.get(path).content
    assert sent(writer, "PATCH", path, body, kind) == (400, said)
    assert writer.get(path).content == before


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", f"{PATH}/items", "text/plain"),
        ("POST", f"{PATH}/items", MERGE),
        ("PUT", PHOTO, OPERATIONS),
        ("PATCH", PHOTO, "application/geo+json"),
        ("POST", "/collections", "application/x-www-form-urlencoded"),
        ("POST", f"{PATH}/bulk_items", "text/plain"),
    ],
)
def test_bodies_of_other_types_are_415(writer: TestClient, method: str, path: str, kind: str) -> None:
    status, said = sent(writer, method, path, "{}", kind)
    assert status == 415
    assert kind in said


@pytest.mark.parametrize("path", [PATH, PHOTO])
def test_copies_of_copies_do_not_fill_the_memory(writer: TestClient, path: str) -> None:
    doubling = [{"op": "add", "path": "/x", "value": {"text": "x" * 1000}}]
    doubling += [{"op": "copy", "from": "/x", "path": f"/x/{number}"} for number in range(200)]
    before = writer.get(path).content
    status, said = sent(writer, "PATCH", path, json.dumps(doubling), OPERATIONS)
    assert (status, "copied is larger" in said or "deep" in said) == (400, True)
    wide = [{"op": "add", "path": "/x", "value": ["x" * 100_000] * 10}]
    wide += [{"op": "copy", "from": "/x", "path": f"/y{number}"} for number in range(200)]
    status, said = sent(writer, "PATCH", path, json.dumps(wide), OPERATIONS)
    assert (status, "copied is larger" in said) == (400, True)
    assert writer.get(path).content == before


@pytest.mark.parametrize("path", [PATH, PHOTO])
def test_patches_do_not_nest_without_end(writer: TestClient, path: str) -> None:
    deep: list[dict[str, Any]] = [{"op": "add", "path": "/x", "value": {}}]
    deep += [{"op": "add", "path": "/x" * number, "value": {"x": {}}} for number in range(2, 500)]
    before = writer.get(path).content
    status, said = sent(writer, "PATCH", path, json.dumps(deep), OPERATIONS)
    assert status == 400
    assert "nested more than" in said
    assert writer.get(path).content == before


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[]", "body: []"),
        ("{}", "items: null"),
        ('{"items": []}', "items: []"),
        ('{"items": {}, "method": "replace"}', "method: 'replace'"),
        ('{"items": {}, "method": ["insert"]}', 'method: ["insert"]'),
        ('{"items": {}, "chunk": 5}', "'chunk': unknown"),
        ('{"items": {"a": NaN}}', "not JSON"),
        ("[" * 100_000, "body"),
        ('{"items": ' + '{"a":' * 200 + "0" + "}" * 201, "nested more than"),
        ("", "body: missing"),
    ],
    ids=range(10),
)
def test_bulks_that_are_none_are_refused(writer: TestClient, body: str, said: str) -> None:
    status, description = sent(writer, "POST", f"{PATH}/bulk_items", body)
    assert status == 400
    assert said in description
