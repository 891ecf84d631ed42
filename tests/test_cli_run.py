"""`abut run`: workflows and users' functions on ground of an archive, files, refusals in one line."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr
from zarr.storage import MemoryStore

from abut.archive import create_archive
from abut.lattice import Bounds
from abut.layout import BAND
from abut.testing import safe_pixels
from abut.tiling import tile
from cli.main import run
from ingest.ingest import ingest
from tests.pasted import Delivered, pasted
from tests.serving import serving
from tests.shots import Shot
from tests.toy import CORNER, TILES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from abut.archive import Archive

CORE = Bounds(CORNER.zone, 607_200, 4_897_980, 609_600, 4_899_780)
"""In the corner of 32TNP; the other tiles are around it."""


@dataclass(frozen=True)
class Angled(Shot):
    """A toy product that says how it was seen."""

    def __hash__(self) -> int:
        return hash(self.id)

    def extras(self, masks: dict[str, str], profile: str) -> Iterator[tuple[str, bytes]]:
        yield from super().extras(masks, profile)
        memory: dict[str, Any] = {}
        store = MemoryStore(memory)
        for name, values in (("sun", np.array([41.0, 160.0])), ("viewing_incidence", np.full((13, 2), 5.0))):
            zarr.create_array(store, name=f"conditions/geometry/mean_{name}_angles", data=values)
        yield from ((key, data.to_bytes()) for key, data in memory.items() if key != "zarr.json")


START = Shot("32TNP").datatake
LATER = START + timedelta(days=10)
SHOTS = (
    tuple(Angled(name) for name in TILES),
    tuple(Angled(name, datatake=LATER, datastrip_start=LATER, offset=0, baseline="03.01") for name in TILES),
)
MINE = '''
import numpy as np


def reflectance(moment, factor: float = 1.0):
    """Reflectance of B01, and the highest around."""
    group = moment["r60m"].to_dataset()
    offset = group.radio_add_offset.sel(band="B01")
    found = factor * (group.b01.astype("float64") + offset) / group.quantification_value
    highest = found.rolling(x=5, y=5, center=True).max()
    return found.drop_vars(["band"]).to_dataset(name="rho").assign(highest=highest.drop_vars(["band"]))


def failing(moment):
    raise ValueError("no snow\\nhere")


def nothing(moment):
    return None
'''


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four tiles around a corner at two times, B01 and B09; with offset, and without."""
    made = create_archive(tmp_path_factory.mktemp("corner") / "archive")
    for shots in SHOTS:
        for shot in shots:
            ingest(made, shot)
    return made.store.url


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's module in the current directory."""
    name = f"mine_{abs(hash(tmp_path.name))}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def core_of(some: Bounds) -> str:
    return f"{some.left},{some.bottom},{some.right},{some.top}"


def delivered(shot: Shot) -> Delivered:
    return Delivered(shot.id, shot.tile, lambda band: shot.arrays[band.name])


def truth(step: int, window: Bounds) -> np.ndarray:
    products = [delivered(one) for one in SHOTS[step]]
    offset = SHOTS[step][0].offset
    dn: np.ndarray = pasted(products, window, BAND["B01"])
    return (dn.astype(np.float64) + offset) / 10_000


def refused(capfd: pytest.CaptureFixture[str], *arguments: object, status: int = 2) -> str:
    """Run a command that refuses; return its one line."""
    capfd.readouterr()
    assert run([str(argument) for argument in arguments]) == status
    output, errors = capfd.readouterr()
    assert output == ""
    (line,) = errors.splitlines()
    return line


def test_each_moment_is_computed_with_its_own_offset_and_its_neighbourhood(
    archive: str, mine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    common = ["run", f"{mine}:reflectance", "-a", archive, "--tile", "32tnp", "--core", core_of(CORE), "--bands", "B01"]
    assert run([*common, "--radius", "120m", "--set", "factor=2", "--out", "a.zarr"]) == 0
    found = xr.open_zarr(tmp_path / "a.zarr")
    assert [str(time)[:10] for time in found["time"].to_numpy()] == ["2023-08-23", "2023-09-02"]
    for step in range(2):
        rho = 2 * truth(step, CORE.buffered(120))
        highest = np.lib.stride_tricks.sliding_window_view(rho, (5, 5)).max(axis=(2, 3))
        assert (found["rho"][step].to_numpy() == rho[2:-2, 2:-2]).all()
        assert (found["highest"][step].to_numpy() == highest).all()
        assert set(str(found["products"][step].to_numpy()).split()) <= {one.id for one in SHOTS[step]}
    output, errors = capfd.readouterr()
    assert output.splitlines()[0] == "a.zarr: rho, highest of 2 moments"
    assert errors == ""


def test_json_tells_what_was_written(archive: str, mine: str, capfd: pytest.CaptureFixture[str]) -> None:
    box = ["--crs", "EPSG:32632", "--bbox", core_of(CORE), "--datetime", "2023-08"]
    common = ["run", f"{mine}:reflectance", "-a", archive, *box, "--bands", "B01", "--json"]
    assert run([*common, "--radius", "120", "--out", "a.nc"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["workflow"] == f"{mine}:reflectance"
    assert told["parameters"] == {"factor": 1.0}
    (moment,) = told["moments"]
    assert moment["datetime"].startswith("2023-08-23T09:55:59")
    assert moment["variables"]["rho"]["shape"] == [30, 40]
    assert run([*common, "--radius", "1km", "--out", "b"]) == 0
    again = json.loads(capfd.readouterr().out)
    assert again["moments"] == told["moments"], "a larger neighbourhood changes nothing"


def test_a_product_has_what_its_datatake_saw_around_it(archive: str, mine: str, tmp_path: Path) -> None:
    common = ["run", f"{mine}:reflectance", "-a", archive, "--product", SHOTS[0][0].id, "--core", core_of(CORE)]
    assert run([*common, "--bands", "B01", "--radius", "120", "--variables", "highest", "--out", "a.tif"]) == 0
    rho = truth(0, CORE.buffered(120))
    with rasterio.open(tmp_path / "a.tif") as image:
        assert (image.read(1) == np.lib.stride_tricks.sliding_window_view(rho, (5, 5)).max(axis=(2, 3))).all()
        assert tuple(image.bounds) == (CORE.left, CORE.bottom, CORE.right, CORE.top)
        assert image.crs.to_epsg() == 32632


def test_less_ground_than_a_workflow_looks_at_is_refused_unless_a_partial_result_is_wanted(
    archive: str, mine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    common = ["run", f"{mine}:reflectance", "-a", archive, "--tile", "32TNP", "--core", core_of(CORE), "--bands", "B01"]
    arguments = [*common, "--datetime", "2023-08", "--radius", "130", "--buffer", "60m", "--out", "a.zarr"]
    assert "looks 130 m around a pixel: a buffer of 60 m is too small, 180 m are needed" in refused(capfd, *arguments)
    assert not (tmp_path / "a.zarr").exists()
    assert run([*arguments, "--partial"]) == 0
    assert np.isnan(xr.open_zarr(tmp_path / "a.zarr")["highest"][0]).sum() == 2 * (30 + 40) - 4


def test_what_is_there_is_replaced_only_if_asked(
    archive: str, mine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    common = ["run", f"{mine}:reflectance", "-a", archive, "--tile", "32TNP", "--core", core_of(CORE), "--bands", "B01"]
    arguments = [*common, "--datetime", "2023-08", "--out", "a.tif"]
    assert run(arguments) == 0
    before = (tmp_path / "a.tif").read_bytes()
    assert "a.tif: is there already (--overwrite replaces it)" in refused(capfd, *arguments, "--set", "factor=4")
    assert (tmp_path / "a.tif").read_bytes() == before
    assert run([*arguments, "--set", "factor=4", "--overwrite"]) == 0
    with rasterio.open(tmp_path / "a.tif") as image:
        assert (image.read(1) == 4 * truth(0, CORE)).all()
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.is_file()) == [".py", ".tif"]


def test_what_a_user_s_function_does_wrong_is_one_line_and_debug_shows_where(
    archive: str, mine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    common = ["-a", archive, "--tile", "32TNP", "--core", core_of(CORE), "--bands", "B01", "--out", "a.zarr"]
    line = refused(capfd, "run", f"{mine}:failing", *common)
    assert line == f"abut: error: {mine}:failing raised ValueError: no snow here"
    assert f"{mine}:nothing: the result, None, is no DataArray" in refused(capfd, "run", f"{mine}:nothing", *common)
    assert f"({tmp_path / mine}.py) has no 'absent'" in refused(capfd, "run", f"{mine}:absent", *common)
    assert "nowhere can't be imported from" in refused(capfd, "run", "nowhere:f", *common)
    assert run(["run", f"{mine}:failing", *common, "--debug"]) == 2
    assert f"{mine}.py" in capfd.readouterr().err
    assert not (tmp_path / "a.zarr").exists()


def test_what_an_archive_does_not_have_is_told_in_a_line(
    archive: str, mine: str, capfd: pytest.CaptureFixture[str]
) -> None:
    place = ["-a", archive, "--tile", "32TNP", "--core", core_of(CORE), "--out", "a.zarr"]
    assert "_T32TNP_20240101T000000 has no band B08, B04" in refused(capfd, "run", "index", *place)
    product = ["-a", archive, "--product", SHOTS[0][0].id, "--core", core_of(CORE), "--out", "a.zarr"]
    assert f"{SHOTS[0][0].id} has no band B08, B04" in refused(capfd, "run", "index", *product)
    own = ["run", f"{mine}:reflectance", "--bands", "B01", *place]
    assert "no product" in refused(capfd, *own, "--datetime", "2020")
    beyond = Bounds(CORE.zone, CORNER.left - 30_000, CORNER.bottom, CORNER.left - 29_400, CORNER.bottom + 600)
    empty = [*own[:-4], "--core", core_of(beyond), "--out", "a.zarr"]
    assert "no product at any time" in refused(capfd, *empty)
    assert "no pixel of 555600 4886400" in refused(capfd, *empty, "--buffer", "40km")
    assert "nowhere_at_all: no such folder" in refused(capfd, *own, "-a", "nowhere_at_all")
    assert "S2B_X" in refused(capfd, "run", "index", "-a", archive, "--product", "S2B_X", "--out", "a.zarr")


@pytest.mark.filterwarnings("ignore::abut.errors.MixedBaselinesWarning")
def test_a_neighbourhood_of_mixed_offsets_says_how_to_choose(
    mine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = create_archive(tmp_path / "mixed")
    place = replace(CORNER, top=CORNER.bottom + 19_200)
    new = Angled("32TNP", place)
    old = Angled("32TPP", place, datastrip_start=START.replace(second=30), offset=0, baseline="03.01")
    for shot in (new, old):
        ingest(made, shot)
    common = ["run", f"{mine}:reflectance", "-a", made.store.url, "--bands", "B01", "--radius", "120", "--out", "a.nc"]
    line = refused(capfd, *common, "--product", new.id)
    assert "differ in radio_add_offset" in line
    assert "choose one baseline" in line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Missing argument 'NAME'"),
        (["cloud"], "'cloud' is no workflow; there are clouds"),
        (["clouds"], "Missing option '--archive'"),
        (["clouds", "-a", "x"], "Missing option '--out'"),
        (["clouds", "-a", "x", "--out", "y"], "name one of --tile, --product, --tiles, --bbox"),
        (["clouds", "-a", "x", "--out", "y", "--tile", "32TNP", "--product", "z"], "not 2"),
        (["clouds", "-a", "x", "--out", "y.png", "--tile", "32TNP"], "y.png: write to x.zarr"),
        (["clouds", "-a", "x", "--out", "y", "--tile", "99XXX"], "99XXX"),
        (["clouds", "-a", "x", "--out", "y", "--tile", "32TNP", "--crs", "3035"], "--crs is for --bbox"),
        (["clouds", "-a", "x", "--out", "y", "--product", "z", "--datetime", "2020"], "--datetime is for --tile"),
        (["clouds", "-a", "x", "--out", "y", "--bbox", "1,2,3,4", "--core", "1,2,3,4"], "--core is for --tile"),
        (["clouds", "-a", "x", "--out", "y", "--bbox", "1,2,3,west"], "--bbox '1,2,3,west' is not W,S,E,N"),
        (["clouds", "-a", "x", "--out", "y", "--tile", "32TNP", "--datetime", "soon"], "soon"),
        (["clouds", "-a", "x", "--out", "y", "--tile", "32TNP", "--buffer", "far"], "'far' is no length"),
        (["clouds", "-a", "x", "--out", "y", "--tile", "32TNP", "--buffer", "2km"], "9540 m are needed"),
        (["clouds", "--set", "reach"], "--set 'reach' is not NAME=VALUE"),
        (["clouds", "--set", "reach=1", "--set", "reach=2"], "--set reach is given twice"),
        (["clouds", "--set", "reach=far"], "reach=far is not a whole number from 1 to 1400"),
        (["clouds", "--radius", "10km"], "--radius is for functions of your own; clouds knows its radius itself"),
        (["json:dumps", "--bands", "B77"], "'B77' is not a band"),
        (["clouds", "x.SAFE"], "SAFE products are for --compare"),
        (["clouds", "--maps", "x"], "--maps is for --compare"),
        (["clouds", "-a", "x", "--out", "y", "--tile", "32TNP", "--workers", "3"], "--workers is for --tiles"),
        (["clouds", "-a", "x", "--out", "y", "--tiles", "32TNP"], "with --tiles the result is a Zarr, x.zarr"),
        (["clouds", "-a", "x", "--out", "y.zarr", "--tiles", "32TNP", "--overwrite"], "--overwrite is not for --tiles"),
        (["composite", "-a", "x", "--out", "y", "--tile", "32TNP"], "with --tiles the result is a Zarr, x.zarr"),
        (["composite", "-a", "x", "--out", "y.zarr", "--bbox", "1,2,3,4"], "it needs --tile or --tiles"),
        (["clouds", "--compare", "--tile", "32TNP", "x.SAFE"], "--tile is not for --compare"),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_is_read(
    arguments: list[str], text: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ABUT_ARCHIVE", raising=False)
    assert text in refused(capfd, "run", *arguments)


def test_many_tiles_become_one_zarr_and_the_same_command_goes_on(
    archive: str, mine: str, capfd: pytest.CaptureFixture[str]
) -> None:
    place = ["-a", archive, "--tiles", "32TNP, 32tpq", "--datetime", "2023-08", "--bands", "B01", "--workers", "0"]
    arguments = ["run", f"{mine}:reflectance", *place, "--out", "all.zarr"]
    assert run(arguments) == 0
    assert "2 tasks computed, 0 done earlier, 0 failed" in capfd.readouterr().out
    assert run([*arguments, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["computed"], told["earlier"], told["failed"]) == (0, 2, [])
    failing = ["run", f"{mine}:failing", *place, "--out", "none.zarr"]
    assert run(failing) == 1
    output, errors = capfd.readouterr()
    assert "0 tasks computed, 0 done earlier, 2 failed" in output
    assert errors.splitlines() == [
        f"abut: error: {name}, step 0: {mine}:failing raised ValueError: no snow here" for name in ("32TNP", "32TPQ")
    ]


def test_a_core_that_is_no_part_of_the_tile_is_told_what_is(archive: str, capfd: pytest.CaptureFixture[str]) -> None:
    common = ["run", "index", "-a", archive, "--tile", "32TNP", "--out", "y", "--core"]
    for core in ("607200,4897980,609600", "607201,4897980,609600,4899780", "607200,4897980,609600,4901760"):
        assert "is no part of 32TNP: west, south, east and north are 499980 + 60 i" in refused(capfd, *common, core)


def test_workflows_are_listed_with_what_can_be_set(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--list"]) == 0
    text = capfd.readouterr().out
    assert (
        "clouds  Clear ground, clouds and their shadows, at 60 m\n    looks 9,540 m around a pixel; bands B01," in text
    )
    assert "    --set optical_thickness=...  of aerosols at 550 nm: a number from 0.05 to 0.6  [default: 0.2]\n" in text
    assert run(["run", "--list", "--json"]) == 0
    told: list[dict[str, Any]] = json.loads(capfd.readouterr().out)
    assert {"clouds", "adjacency", "segments", "classify", "index"} <= {one["name"] for one in told}
    assert all(one["radius"] <= 10_000 for one in told)
    assert run(["run", "clouds", "--list", "--json"]) == 0
    (one,) = json.loads(capfd.readouterr().out)
    assert [parameter["name"] for parameter in one["parameters"]] == ["threshold", "reach"]


def test_an_index_of_an_archive_is_that_of_the_safe(
    modern_archive: Archive, modern_neighbours: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    safe = modern_neighbours[1]
    footprint = tile("32TNT").footprint
    b04, b08 = (safe_pixels(safe, band).astype(np.float64) for band in ("B04", "B08"))
    rows, columns = np.nonzero((b04 > 0) & (b08 > 0))
    row, column = (int(np.median(axis)) // 6 * 6 for axis in (rows, columns))
    left, top = footprint.left + 10 * column, footprint.top - 10 * row
    core = Bounds(footprint.zone, left, top - 1_200, left + 1_800, top)
    arguments = ["run", "index", "-a", modern_archive.store.url, "--product", safe.stem, "--core", core_of(core)]
    assert run([*arguments, "--set", "index=ndvi,ndmi", "--out", str(tmp_path / "images")]) == 0
    here = footprint.slices(core, 10)
    first, second = (b08[here] - 1_000) / 10_000, (b04[here] - 1_000) / 10_000
    with np.errstate(divide="ignore", invalid="ignore"):
        ndvi = np.clip(np.rint((first - second) / (first + second) * 10_000), -32_767, 32_767)
    seen = (b08[here] > 0) & (b04[here] > 0) & (first + second != 0)
    names = sorted(path.name.partition("_")[2] for path in (tmp_path / "images").iterdir())
    assert names == ["ndmi.tif", "ndvi.tif"]
    with rasterio.open(next((tmp_path / "images").glob("*_ndvi.tif"))) as image:
        assert (image.read(1) == np.where(seen, ndvi, -32_768)).all()
        assert image.res == (10, 10)
    assert "ndvi known of" in capfd.readouterr().out


def test_an_archive_behind_a_service_gives_the_same_and_a_dead_one_is_told_in_a_line(
    archive: str, mine: str, capfd: pytest.CaptureFixture[str]
) -> None:
    common = ["run", f"{mine}:reflectance", "--tile", "32TNP", "--core", core_of(CORE), "--bands", "B01", "--json"]
    with serving(archive) as served:
        told = []
        for number, source in enumerate((archive, served.url)):
            assert run([*common, "--radius", "120", "-a", source, "--out", f"{number}.zarr"]) == 0
            told.append(json.loads(capfd.readouterr().out))
    assert told[0]["moments"] == told[1]["moments"]
    assert len(told[0]["moments"]) == len(SHOTS)
    assert "can't be read" in refused(capfd, *common, "-a", served.url, "--out", "2.zarr")
