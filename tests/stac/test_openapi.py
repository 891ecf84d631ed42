"""The OpenAPI document says what there is: parameters, answers, and who may write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.writing import writing_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The document of an API with transactions."""
    path: Path = tmp_path_factory.mktemp("openapi") / "catalog.sqlite"
    return writing_app(str(path)).openapi()


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_parameter_of_a_path_is_described(document: Any) -> None:
    for method, path, operation in operations(document):
        named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), (method, path)


def test_every_answer_but_empty_ones_has_a_type_and_a_schema(document: Any) -> None:
    for method, path, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status in {"204", "304"}:
                assert "content" not in answer
                continue
            for media, content in answer["content"].items():
                assert content["schema"], (method, path, status, media)
            if status >= "400":
                assert answer["content"].keys() == {"application/json"}


def test_what_needs_a_token_says_so(document: Any) -> None:
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for method, path, operation in operations(document):
        open_to_all = method == "get" and not path.startswith("/register")
        open_to_all |= path.endswith(("/search", "/aggregate", "/aggregations"))
        assert ("security" in operation) != open_to_all, (method, path)
        assert ("401" in operation["responses"]) != open_to_all, (method, path)


def test_an_api_that_only_reads_knows_no_tokens(sqlite_api: TestClient) -> None:
    document = sqlite_api.get("/api").json()
    assert "securitySchemes" not in document["components"]
    assert not [path for _, path, operation in operations(document) if "security" in operation]


def test_the_document_is_of_the_version_that_its_type_and_the_conformance_classes_say(sqlite_api: TestClient) -> None:
    page = sqlite_api.get("/").json()
    (link,) = [one for one in page["links"] if one["rel"] == "service-desc"]
    answer = sqlite_api.get(link["href"])
    assert answer.headers["content-type"] == link["type"]
    assert answer.json()["openapi"].startswith(link["type"].partition("version=")[2])
    assert [one for one in page["conformsTo"] if "oas30" in one] == []
