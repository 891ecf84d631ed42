"""Parts of the service: each answers alone, and knows where the others are if it is told."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, get_args

import pytest
from starlette.testclient import TestClient

from abut.archive import Archive, create_archive
from cli.main import run
from ingest.ingest import ingest
from services.app import create_app
from services.settings import PARTS, InvalidSettingError, PartName, load_settings
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLIC = "https://l1c.example.org/abut"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    made = create_archive(tmp_path_factory.mktemp("parts") / "archive")
    ingest(made, ToySource(TILES[0]), threads=1)
    return made


@contextlib.contextmanager
def only(archive: Archive, *parts: str, **settings: str) -> Iterator[TestClient]:
    """A client of a service that has some parts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ABUT_")]:
            patch.delenv(name)
        app = create_app(load_settings(archive=archive.store.url, parts=parts, **settings))
    with TestClient(app, client=("127.0.0.1", 50_000)) as client:
        yield client


def places(archive: Archive) -> dict[str, str]:
    """A path that only one part answers, for each part."""
    (name,) = archive.product_ids()
    return {
        "viewer": "/viewer/",
        "stac": f"/stac/collections/sentinel-2-l1c/items/{name}",
        "tiles": f"/tiles/items/{name}/info",
        "cubes": "/cubes/processes/cube",
        "legacy": f"/legacy/{name}?format=geotiff",
        "zarr": f"/zarr/products/{name}.json",
    }


@pytest.mark.parametrize("part", PARTS)
def test_each_part_answers_alone(archive: Archive, part: str) -> None:
    paths = places(archive)
    assert set(paths) == set(PARTS) == set(get_args(PartName.__value__))
    with only(archive, part, public_url=PUBLIC) as client:
        for other, path in paths.items():
            answer = client.head(path, follow_redirects=False)
            assert (answer.status_code in (200, 307)) == (other == part), (path, answer.status_code)
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        related = {link["href"] for link in client.get("/").json()["links"]}
    assert {href.removeprefix(PUBLIC) for href in related} <= {"/", "/readyz", f"/{part}"}


def test_items_lead_to_parts_that_others_have_behind_the_same_url(archive: Archive) -> None:
    path = places(archive)["stac"]
    with only(archive, "stac", public_url=PUBLIC) as client:
        apart = client.get(path).json()
    with only(archive, *PARTS, public_url=PUBLIC) as client:
        together = client.get(path).json()
    assert apart == together
    assert {link["rel"] for link in apart["links"]} >= {"store", "xyz"}


def test_items_lead_nowhere_else_if_nothing_is_said(archive: Archive) -> None:
    with only(archive, "stac", products_url="s3://bucket/products") as client:
        item = client.get(places(archive)["stac"]).json()
    assert {link["rel"] for link in item["links"]}.isdisjoint({"store", "xyz", "tilejson", "wmts", "preview"})
    assert all(asset["href"].startswith("s3://bucket/products/") for asset in item["assets"].values())


def test_parts_that_make_no_service_are_refused(archive: Archive) -> None:
    for parts, said in [
        ("stac", "ABUT_PARTS has stac without zarr: ABUT_PUBLIC_URL or ABUT_PRODUCTS_URL has to say where objects are"),
        ("stac,maps", "ABUT_PARTS=maps: Input should be 'viewer', 'stac', 'tiles', 'cubes', 'legacy' or 'zarr'"),
        (",", "ABUT_PARTS names none of viewer, stac, tiles, cubes, legacy, zarr"),
    ]:
        with pytest.raises(InvalidSettingError) as refused:
            load_settings(archive=archive.store.url, parts=parts)
        assert str(refused.value) == said


def test_the_command_line_names_parts(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--archive", archive.store.url, "--part", "stac", "--port", "0"]) == 2
    assert "ABUT_PARTS has stac without zarr" in capsys.readouterr().err
    assert run(["serve", "--archive", archive.store.url, "--part", "maps"]) == 2
    assert "'maps' is not one of" in capsys.readouterr().err
