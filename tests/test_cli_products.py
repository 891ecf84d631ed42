"""The commands on SAFE products: in, settled, compared, and out again."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import rasterio

import catalog.remote
from abut.errors import CatalogueError
from abut.testing import safe_pixels
from catalog.opening import open_catalogue
from catalog.remote_http import Patience
from cli.main import run
from ingest.parallel import ingest_many
from tests.writing import REGISTRAR, live, writing_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def settled(neighbours: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of both neighbours in which their overlap is stored once."""
    archive = tmp_path_factory.mktemp("settled") / "a"
    arguments = [*map(str, neighbours), "--archive", str(archive)]
    assert run(["ingest", *arguments, "--workers", "0", "--settle"]) == 0
    assert run(["purge", "--archive", str(archive), "--grace", "0s"]) == 0
    return archive


def document(capfd: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> Any:
    """Run a command and return its JSON."""
    capfd.readouterr()
    assert run([*map(str, arguments), "--json"]) == status
    output, errors = capfd.readouterr()
    assert errors == ""
    return json.loads(output)


def test_products_that_are_stored_already_are_left_alone(
    capfd: pytest.CaptureFixture[str], settled: Path, neighbours: tuple[Path, Path]
) -> None:
    found = document(capfd, "ingest", neighbours[0].parent, "--archive", settled, "--workers", "0")

    assert [one["product"] for one in found["products"]] == [safe.stem for safe in neighbours]
    assert {one["status"] for one in found["products"]} == {"unchanged"}
    assert (found["failures"], found["settled"]) == ([], [])


def test_a_withdrawn_product_is_reinstated_by_ingesting_it(
    capfd: pytest.CaptureFixture[str], settled: Path, neighbours: tuple[Path, Path]
) -> None:
    assert document(capfd, "withdraw", neighbours[1].stem, "--archive", settled)["withdrawn"][0]["changed"]

    found = document(capfd, "ingest", neighbours[1], "--archive", settled)

    assert found["products"][0]["status"] == "reinstated"
    assert document(capfd, "check", "--archive", settled)["findings"] == []


def test_an_archive_of_another_profile_is_refused(
    capfd: pytest.CaptureFixture[str], settled: Path, neighbours: tuple[Path, Path]
) -> None:
    assert run(["ingest", str(neighbours[0]), "--archive", str(settled), "--profile", "dense"]) == 2
    assert capfd.readouterr().err == f"abut: error: {settled}: an archive of profile 'default', not 'dense'\n"
    assert run(["ingest", str(neighbours[0]), "--archive", str(settled), "--profile", "default"]) == 0


def test_safe_and_settled_archive_are_equal(
    capfd: pytest.CaptureFixture[str], settled: Path, neighbours: tuple[Path, Path]
) -> None:
    found = document(capfd, "verify", neighbours[1], "--archive", settled)

    assert found["equal"] is True
    assert [one["product"] for one in found["certificates"]] == [neighbours[1].stem]
    assert found["certificates"][0]["differing_pixels"] == 0


def test_a_product_that_is_not_there_can_t_be_verified(
    capfd: pytest.CaptureFixture[str], settled: Path, neighbours: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.SAFE"
    shutil.copytree(neighbours[0], other, copy_function=os.link)
    text = (other / "MTD_MSIL1C.xml").read_text().replace(f"{neighbours[0].stem}.SAFE", "S2B_OTHER.SAFE")
    (other / "MTD_MSIL1C.xml").unlink()
    (other / "MTD_MSIL1C.xml").write_text(text)

    assert run(["verify", str(other), "--archive", str(settled)]) == 2
    assert capfd.readouterr().err == f"abut: error: {settled}: no product 'S2B_OTHER'\n"


def test_a_legacy_tile_comes_back_as_geotiff(
    capfd: pytest.CaptureFixture[str], settled: Path, neighbours: tuple[Path, Path], tmp_path: Path
) -> None:
    arguments = ("recreate", neighbours[0].name, "--archive", settled, "--out", tmp_path / "tiles", "--band", "B01")

    found = document(capfd, *arguments)["recreated"][0]

    assert found == {
        "product": neighbours[0].stem,
        "format": "geotiff",
        "path": str(tmp_path / "tiles" / neighbours[0].stem),
    }
    images = {path.name: path for path in (tmp_path / "tiles" / neighbours[0].stem).iterdir()}
    assert {name.rpartition("_")[2] for name in images} >= {"B01.tif"}
    assert not [name for name in images if name.endswith("_B02.tif")]
    with rasterio.open(images["T32TMT_20250801T101559_B01.tif"]) as opened:
        assert (opened.read(1) == safe_pixels(neighbours[0], "B01")).all()

    assert run(list(map(str, arguments))) == 2
    assert capfd.readouterr().err == f"abut: error: {tmp_path / 'tiles' / neighbours[0].stem}: is there already\n"


def test_a_safe_comes_back_and_verify_finds_what_was_made_anew(
    capfd: pytest.CaptureFixture[str], settled: Path, neighbours: tuple[Path, Path], tmp_path: Path
) -> None:
    safe = neighbours[0]
    assert run(["recreate", safe.stem, "--archive", str(settled), "--format", "safe", "--out", str(tmp_path)]) == 0
    assert capfd.readouterr().out == f"{tmp_path / safe.name}\n"

    found = document(capfd, "verify", tmp_path / safe.name, "--archive", settled, status=1)

    certificate = found["certificates"][0]
    assert found["equal"] is False
    assert all(array["equal"] for array in certificate["arrays"])
    assert [file["path"] for file in certificate["files"] if not file["equal"]] == ["manifest.safe"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("S2B_UNKNOWN", "--out", "o"), "S2B_UNKNOWN"),
        (("S2B_UNKNOWN",), "--out"),
        (("S2B_UNKNOWN", "--out", "o", "--band", "B99"), "B99"),
        (("S2B_UNKNOWN", "--out", "o", "--format", "safe", "--band", "B01"), "--band"),
    ],
)
def test_what_can_t_be_recreated_is_said_in_one_line(
    capfd: pytest.CaptureFixture[str], settled: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert run(["recreate", *arguments, "--archive", str(settled)]) == 2

    errors = capfd.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1


@pytest.fixture
def elsewhere(settled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a copy of the archive that has another catalogue, which is given up soon if it is away."""
    monkeypatch.setattr(catalog.remote, "Patience", lambda: Patience(tries=2, first=0.01, connect=2, answer=20))
    monkeypatch.setenv("ABUT_CATALOGUE_TOKEN", REGISTRAR)

    def copy(url: str) -> Path:
        shutil.copytree(settled, tmp_path / "copy", copy_function=os.link)
        settings = tmp_path / "copy" / "archive.json"
        text = json.dumps(json.loads(settings.read_text()) | {"catalogue": url})
        settings.unlink()
        settings.write_text(text)
        return tmp_path / "copy"

    return copy


def test_what_the_catalogue_could_not_be_told_is_said(
    capfd: pytest.CaptureFixture[str], elsewhere: Callable[[str], Path], neighbours: tuple[Path, Path]
) -> None:
    where = ("--archive", str(elsewhere("http://127.0.0.1:9/stac")))

    capfd.readouterr()
    assert run(["ingest", str(neighbours[0]), *where, "--settle", "--json"]) == 1
    output, errors = capfd.readouterr()
    found = json.loads(output)["products"][0]
    assert found["status"] == "unchanged"
    assert "catalogue http://127.0.0.1:9/stac: can't be reached" in found["unlisted"]
    assert len(errors.splitlines()) == 1
    assert "1 product stored, but not in the catalogue: catalogue http://127.0.0.1:9/stac" in errors
    assert "`abut check --repair`" in errors

    for command in (["withdraw", neighbours[0].stem], ["check"], ["list"], ["catalog", "info"]):
        assert run([*command, *where]) == 1
        output, errors = capfd.readouterr()
        assert "can't be reached" in output + errors
        assert len(errors.splitlines()) <= 1
    assert run(["recreate", neighbours[0].stem, *where, "--out", where[1] + "-out", "--band", "B01"]) == 0


def test_a_catalogue_that_was_away_for_a_moment_is_told_at_the_end(
    elsewhere: Callable[[str], Path], neighbours: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = catalog.remote.RemoteCatalogue.upsert_many, 0

    def upsert_many(self: Any, items: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise CatalogueError("away")
        return real(self, items)

    monkeypatch.setattr(catalog.remote.RemoteCatalogue, "upsert_many", upsert_many)
    with live(writing_app(str(tmp_path / "behind.sqlite"))) as url:
        results = ingest_many(elsewhere(url), [neighbours[0]], workers=0)
        assert [getattr(one, "unlisted", None) for one in results] == [""]
        with open_catalogue(url) as opened:
            assert opened.ids() == {neighbours[0].stem}
