"""`abut create`: an archive without products, which services can start on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from abut.archive import open_archive
from cli.main import run
from services.app import create_app
from services.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABUT_CATALOGUE", raising=False)


def test_it_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = str(tmp_path / "l1c")
    assert run(["create", "--archive", archive, "--profile", "dense", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["profile"] == "dense"
    assert (tmp_path / "l1c" / "catalog.sqlite").is_file()
    assert run(["create", "--archive", archive, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert open_archive(archive).id == first["id"]
    assert list(open_archive(archive).product_ids()) == []


def test_services_start_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ABUT_ARCHIVE", "ABUT_PARTS"):
        monkeypatch.delenv(name, raising=False)
    assert run(["create", "--archive", str(tmp_path / "l1c")]) == 0
    with TestClient(create_app(load_settings(archive=str(tmp_path / "l1c")))) as client:
        assert client.get("/readyz").json() == {"ready": True, "catalogue": "ok", "store": "ok"}
        assert client.get("/stac/search").json()["features"] == []


def test_one_that_is_otherwise_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = str(tmp_path / "l1c")
    assert run(["create", "--archive", archive]) == 0
    assert run(["create", "--archive", archive, "--profile", "dense"]) == 2
    assert "an archive of profile 'default', not 'dense'" in capsys.readouterr().err
    assert run(["create", "--archive", archive, "--catalogue", str(tmp_path / "other.sqlite")]) == 2
    assert "other.sqlite" in capsys.readouterr().err
    assert (
        run(["create", "--archive", str(tmp_path / "more"), "--catalogue", str(tmp_path / "l1c/catalog.sqlite")]) == 2
    )
    assert "a new one needs a catalogue of its own" in capsys.readouterr().err
    assert not (tmp_path / "more").exists()
