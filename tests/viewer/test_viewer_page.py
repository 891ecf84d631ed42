"""The viewer's page as the service gives it: to browsers, compressed, kept for ever, and with a strict policy."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from services.viewer.app import DIST, POLICY, Viewer, create_viewer_app, files_app, load_viewer, wants_page

if TYPE_CHECKING:
    from pathlib import Path

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def viewer() -> Viewer:
    found = load_viewer()
    assert found is not None, "run services/viewer/setup"
    return found


@pytest.fixture(scope="module")
def client(viewer: Viewer) -> TestClient:
    return TestClient(create_viewer_app(viewer))


def files(page: str) -> list[str]:
    """The files that the page names."""
    return re.findall(r'(?:src|href)="(viewer/[^"]+)"', page)


def test_the_page_may_load_nothing_but_its_own_files(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "'none'" in POLICY
    assert answer.headers["cache-control"] == "no-cache"
    assert "//" not in answer.text.replace("<!--", "")  # no address of anything elsewhere
    assert "style=" not in answer.text
    assert re.findall(r"<script[^>]*>([^<]*)</script>", answer.text) == [""]
    assert {name.rpartition(".")[2] for name in files(answer.text)} == {"js", "css", "svg"}


def test_files_carry_a_digest_and_are_kept_for_ever(client: TestClient) -> None:
    names = set(files(client.get("/").text))
    for name in names:
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert re.fullmatch(r"viewer/\w+-[A-Z0-9]{8}\.\w+", name)
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("accepted", "sent"), [("gzip, deflate", "gzip"), ("br;q=0, gzip", "gzip"), ("identity", None)]
)
def test_files_come_as_the_client_accepts_them(client: TestClient, accepted: str, sent: str | None) -> None:
    name = next(name for name in files(client.get("/").text) if name.endswith(".js"))
    answer = client.get(f"/{name}", headers={"accept-encoding": accepted})
    assert answer.headers.get("content-encoding") == sent
    assert answer.content == (DIST / name.rpartition("/")[2]).read_bytes()


def test_compressed_forms_are_those_of_the_files(viewer: Viewer) -> None:
    for file in viewer.files.values():
        assert gzip.decompress(file.bodies["gzip"]) == file.bodies["identity"]
        assert len(file.bodies["br"]) < len(file.bodies["identity"])


def test_a_client_that_has_the_page_gets_nothing(client: TestClient) -> None:
    first = client.get("/")
    again = client.get("/", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize("name", ["index.html", ".stamp", "nothing.js", "..%2Fapp.py", "main.js.br"])
def test_other_names_are_not_there(client: TestClient, name: str) -> None:
    answer = client.get(f"/viewer/{name}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "NotFound"


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("application/json", False),
        ("*/*", False),
        ("", False),
        ("text/html;q=0", False),
        ("application/json, text/html;q=0.5", False),
        ("text/html;q=zero", False),
    ],
)
def test_browsers_get_the_page_and_machines_the_index(accept: str, page: bool) -> None:
    scope = {"type": "http", "headers": [(b"accept", accept.encode())]}
    assert wants_page(Request(scope)) is page


def test_a_service_whose_page_was_not_built_says_so(tmp_path: Path) -> None:
    assert load_viewer(tmp_path) is None
    app = Starlette(routes=[Mount("/viewer", files_app(None)), Route("/", lambda _: None)])
    answer = TestClient(app).get("/viewer/main.js")
    assert answer.status_code == 404
    assert "was not built" in answer.json()["description"]


def test_the_page_is_built_of_what_is_there_now() -> None:
    built = (DIST / ".stamp").stat().st_mtime
    folder = DIST.parent
    sources = [*(folder / "src").iterdir(), folder / "build.mjs", folder / "package-lock.json"]
    assert [path.name for path in sources if path.stat().st_mtime > built] == []


def test_the_lock_names_no_registry() -> None:
    lock = (DIST.parent / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') > 20
