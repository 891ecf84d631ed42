"""`abut zone`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr

from abut.store import open_store
from cli.main import run
from ingest.ingest import ingest
from tests.pasted import pasted
from tests.zone_scene import B01, BETWEEN, PERIOD, SHOTS, WINDOW, copied, make_archive, truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from abut.archive import Archive

    type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def abut(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the program; returns status, output and errors."""

    def command(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = run(["zone", *arguments])
        return status, *capfd.readouterr()

    return command


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return make_archive(tmp_path_factory.mktemp("zone"), "unsettled")


def test_a_zone_is_written_and_read_by_any_client(abut: Run, archive: Archive, tmp_path: Path) -> None:
    out = tmp_path / "zone.zarr"
    asked = ("--archive", archive.store.url, "--zone", "32632", "--datetime", PERIOD)
    status, output, errors = abut("materialise", *asked, "--bands", "B01,B09", "--out", str(out), "--json")
    assert (status, errors) == (0, "")
    done = json.loads(output)
    status, output, _ = abut("info", *asked, "--json")
    view = json.loads(output)
    assert done["copied"] + done["merged"] == 2 * sum(step["blocks"] for step in view["steps"])
    assert done["merged"] == 2 * sum(step["merged"] for step in view["steps"]) > 0
    assert done["bytes"] == sum(entry.size for entry in open_store(out).entries("") if entry.key != "abut-zone.json")
    with xr.open_zarr(out, group="r60m", chunks=None) as found:
        for step, shots in enumerate(SHOTS):
            window = found.b01[step].sel(x=slice(WINDOW.left, WINDOW.right), y=slice(WINDOW.top, WINDOW.bottom))
            assert np.array_equal(window, pasted(truth(shots), WINDOW, B01))
    status, output, _ = abut("info", "--zarr", str(out), "--json")
    written = json.loads(output)
    assert written["shape"] == view["shape"]
    assert [step["blocks"] for step in written["steps"]] == [step["blocks"] for step in view["steps"]]
    assert [step["merged"] for step in written["steps"]] == [0, 0]
    status, output, _ = abut("materialise", *asked, "--bands", "B01,B09", "--out", str(out))
    assert status == 0
    assert f"0 objects of 0 B written, {done['written']:,} were there" in output


def test_info_says_which_steps_there_are(abut: Run, archive: Archive) -> None:
    status, output, _ = abut("info", "--archive", archive.store.url, "--zone", "EPSG:32632")
    lines = output.splitlines()
    assert status == 0
    assert lines[0] == "EPSG:32632  2 steps of 802,560 x 72,000 pixels of 10 m"
    assert lines[2].startswith("2023-08-23T09:55:59")
    assert lines[3].startswith("2023-09-02T09:55:59")


def test_another_state_of_the_archive_is_not_mixed_in(abut: Run, archive: Archive, tmp_path: Path) -> None:
    changing = copied(archive, tmp_path)
    asked = ("--archive", changing.store.url, "--zone", "32632", "--bands", "B01", "--out", str(tmp_path / "zone.zarr"))
    assert abut("materialise", *asked)[0] == 0
    ingest(changing, BETWEEN, threads=1)
    status, output, errors = abut("materialise", *asked)
    assert (status, output) == (2, "")
    assert "was begun with other pixels" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("info", "--zone", "32632", "--datetime", "1999"), "no product of EPSG:32632 in 1999-01-01"),
        (("info", "--zone", "32T"), "'32T' is not the EPSG code"),
        (("info", "--zone", "32632", "--datetime", "july"), "'july' is no period"),
        (("info",), "--archive and --zone are needed, or --zarr"),
        (("info", "--zarr", "x", "--zone", "32632"), "--zarr is by itself"),
        (("info", "--zarr", "nowhere"), "nowhere: no such folder"),
        (("materialise", "--zone", "32632", "--bands", "B99", "--out", "x"), "'B99' is not a band"),
        (("materialise", "--zone", "32632"), "--out"),
    ],
)
def test_bad_input_is_one_line(abut: Run, archive: Archive, arguments: tuple[str, ...], reason: str) -> None:
    status, output, errors = abut(*arguments, "--archive", archive.store.url)
    assert (status, output) == (2, "")
    assert reason in errors
    assert errors.count("\n") == 1
