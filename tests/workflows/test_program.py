"""Programs that are not ours, on an original SAFE and on the one that the archive gives back."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from PIL import Image
from rasterio.transform import from_origin

from abut.errors import ExportError
from abut.export import export_safe
from workflows.errors import WorkflowError
from workflows.runs import program
from workflows.runs.program import STDOUT, compare_program, parse_command
from workflows.runs.written import compare_written

if TYPE_CHECKING:
    from abut.archive import Archive
    from workflows.runs.program_certificate import ProgramCertificate

RIO = Path(sys.executable).with_name("rio")
"""rasterio's own program."""


def python(script: str) -> str:
    """Return a command that runs a line of Python with {safe} and {out} as arguments."""
    return shlex.join([sys.executable, "-c", f"import sys; safe, out = sys.argv[1:]; {script}", "{safe}", "{out}"])


@pytest.fixture(name="safe")
def _safe(neighbours: tuple[Path, Path]) -> Path:
    return neighbours[1]


@pytest.fixture(name="whole", scope="module")
def _whole(
    old_archive: Archive, neighbours: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[ProgramCertificate, Path]:
    """A comparison in which all is real; the re-created SAFE is kept for the other tests."""
    folder = tmp_path_factory.mktemp("whole")
    kept = folder / "safe"

    def recreated(archive: Archive, product: Any, out: Path) -> Path:
        made = export_safe(archive, product, out)
        shutil.copytree(made, kept)
        return made

    product = old_archive.product(neighbours[1].stem)
    # What a shell does with wildcards, GDAL through rasterio's program, and a raster that it computes.
    script = (
        f"{RIO} info {{safe}}/GRANULE/*/IMG_DATA/*_B01.jp2 && "
        f"{RIO} convert {{safe}}/GRANULE/*/IMG_DATA/*_B09.jp2 {{out}}/b09.tif && "
        f"{RIO} calc --not-masked '(- (read 1) (read 2))' {{safe}}/GRANULE/*/IMG_DATA/*_B01.jp2 "
        "{safe}/GRANULE/*/IMG_DATA/*_B10.jp2 {out}/difference.tif && "
        "mkdir {out}/text && cp {safe}/MTD_*.xml {out}/text/"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "export_safe", recreated)
        found = compare_program(
            parse_command(f"sh -c {shlex.quote(script)}"), old_archive, product, neighbours[1], keep=folder / "written"
        )
    return found, kept


@pytest.fixture(name="again")
def _again(whole: tuple[ProgramCertificate, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let comparisons use the SAFE that was re-created already: making one takes 20 s of CPU."""
    safe = whole[1]
    monkeypatch.setattr(
        program, "export_safe", lambda _archive, product, out: shutil.copytree(safe, out / f"{product.id}.SAFE")
    )
    return safe


def compared(command: str, archive: Archive, safe: Path, **options: Any) -> ProgramCertificate:
    return compare_program(parse_command(command, timeout=60), archive, archive.product(safe.stem), safe, **options)


def test_gdals_programs_write_the_same_of_original_and_recreated_safe(
    whole: tuple[ProgramCertificate, Path], safe: Path
) -> None:
    found, recreated = whole
    assert found.result == "equal"
    names = {file.path for file in found.files}
    assert names == {"b09.tif", "difference.tif", f"text/{next(safe.glob('MTD_*.xml')).name}", STDOUT}
    assert all(file.original == file.recreated for file in found.files)
    assert not found.repeated
    # Nothing of this would tell two SAFEs apart if they were one: the images are other files.
    first, second = (next(folder.glob("GRANULE/*/IMG_DATA/*_B09.jp2")) for folder in (safe, recreated))
    assert first.read_bytes() != second.read_bytes()


def test_what_was_written_is_kept_and_holds_pixels(whole: tuple[ProgramCertificate, Path]) -> None:
    written = whole[1].parent / "written"
    for run in ("original", "recreated"):
        with rasterio.open(written / run / "out" / "b09.tif") as image:
            assert image.read(1).any()
        assert json.loads((written / run / "stdout").read_text())["crs"] == "EPSG:32632"


def test_the_certificate_of_a_program_is_json_and_says_what_was_run(whole: tuple[ProgramCertificate, Path]) -> None:
    document = json.loads(json.dumps(whole[0].as_json()))
    assert document["result"] == "equal"
    assert document["command"][:2] == ["sh", "-c"]
    assert {"path", "original", "recreated", "equal"} <= document["files"][0].keys()
    assert whole[0].lines()[-1].endswith(": EQUAL")


def test_a_program_that_reads_the_bytes_of_images_sees_that_they_were_encoded_anew(
    old_archive: Archive, safe: Path, again: Path
) -> None:
    assert again.is_dir()
    found = compared(
        "sh -c 'sha256sum < $(echo {safe}/GRANULE/*/IMG_DATA/*_B09.jp2) > {out}/sum; echo done > {out}/x'",
        old_archive,
        safe,
    )
    assert found.result == "not equal"
    assert found.repeated
    assert {file.path: file.equal for file in found.files} == {"sum": False, "x": True}
    assert "encoded anew" in " ".join(found.verdict())
    assert "bytes" in str(found.files[0])


def test_one_altered_pixel_is_found(
    old_archive: Archive, safe: Path, again: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive lies: one pixel of B01 is another one in what it gives back."""

    def wrong(_archive: Archive, product: Any, out: Path) -> Path:
        made = shutil.copytree(again, out / f"{product.id}.SAFE")
        (image,) = made.glob("GRANULE/*/IMG_DATA/*_B01.jp2")
        with rasterio.open(image) as source:
            pixels, profile = source.read(), source.profile
        rows, columns = np.nonzero(pixels[0])
        pixels[0, rows[7], columns[7]] += 1
        with rasterio.open(image, "w", **{**profile, "REVERSIBLE": "YES", "QUALITY": "100"}) as target:
            target.write(pixels)
        return made

    monkeypatch.setattr(program, "export_safe", wrong)
    command = f"sh -c '{RIO} convert {{safe}}/GRANULE/*/IMG_DATA/*_B01.jp2 {{out}}/b01.tif'"
    found = compared(command, old_archive, safe)
    assert found.result == "not equal"
    (file,) = found.files
    assert file.raster
    assert "band 1: 1 of 3,348,900 pixels differ by up to 1, the first in row" in str(file)


def test_a_program_that_never_writes_the_same_twice_is_undecided(old_archive: Archive, safe: Path, again: Path) -> None:
    assert again.is_dir()
    script = "import os, pathlib; pathlib.Path(out, 'id').write_bytes(os.urandom(8)); pathlib.Path(out, 'b').touch()"
    found = compared(python(script), old_archive, safe)
    assert found.result == "undecided"
    assert found.repeated
    assert [file.path for file in found.files if file.varies] == ["id"]
    assert "does not write the same twice" in " ".join(found.verdict())


def test_running_it_twice_shows_a_program_to_be_deterministic(old_archive: Archive, safe: Path, again: Path) -> None:
    assert again.is_dir()
    found = compared(python("print(sorted(__import__('os').listdir(safe)))"), old_archive, safe, repeat=True)
    assert found.result == "equal"
    assert [file.path for file in found.files] == [STDOUT]
    assert "deterministic" in " ".join(found.verdict())


def test_files_with_names_of_their_own_are_told_as_varying(old_archive: Archive, safe: Path, again: Path) -> None:
    assert again.is_dir()
    found = compared(python("import uuid; open(out + '/' + uuid.uuid4().hex, 'w').write('x')"), old_archive, safe)
    assert found.result == "not equal"
    assert sum(file.varies for file in found.files) == 2


def test_both_runs_get_the_same_paths_an_empty_folder_and_can_not_hurt_the_original(
    old_archive: Archive, safe: Path, again: Path
) -> None:
    assert again.is_dir()
    before = {path: path.stat().st_mtime_ns for path in safe.rglob("*")}
    script = (
        "import os, pathlib; print(safe, out, os.listdir(out)); pathlib.Path(out, 'x').touch(); "
        "pathlib.Path(safe, 'more').touch(); pathlib.Path(safe, 'manifest.safe').write_text('')"
    )
    found = compared(python(script), old_archive, safe, keep=None)
    assert found.result == "equal"
    assert {path: path.stat().st_mtime_ns for path in safe.rglob("*")} == before


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param("no-such-program {safe} {out}", "no-such-program can't be run: No such file", id="absent"),
        pytest.param(
            "sh -c 'echo one >&2; echo two >&2; exit 3' {safe}",
            "sh ended with status 3 on the original SAFE: one | two",
            id="status",
        ),
        pytest.param("sh -c 'kill -9 $$' {safe}", "sh was ended by signal 9", id="signal"),
        pytest.param("sh -c 'true' {safe} {out}", "sh wrote nothing", id="nothing"),
    ],
)
def test_a_program_that_fails_is_told_in_one_line(
    command: str, said: str, old_archive: Archive, safe: Path, again: Path
) -> None:
    assert again.is_dir()
    with pytest.raises(WorkflowError, match=said) as error:
        compared(command, old_archive, safe)
    assert "\n" not in str(error.value)


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(
    old_archive: Archive, safe: Path, again: Path, tmp_path: Path
) -> None:
    assert again.is_dir()
    mark = tmp_path / "mark"
    command = parse_command(f"sh -c '(sleep 1; touch {mark}) & echo late >&2; wait' {{safe}}", timeout=0.5)
    with pytest.raises(WorkflowError, match=r"did not end within 0\.5 s: late"):
        compare_program(command, old_archive, old_archive.product(safe.stem), safe)
    sleep(1.3)
    assert not mark.exists()


def test_results_are_kept_in_an_empty_folder_only(old_archive: Archive, safe: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ExportError, match="is no empty folder"):
        compared("true {safe}", old_archive, safe, keep=tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "does not say where the SAFE goes", id="empty"),
        pytest.param("gdalinfo x.jp2", "does not say where the SAFE goes", id="no-safe"),
        pytest.param("{safe}", "does not say where the SAFE goes", id="program-is-safe"),
        pytest.param("prog '{safe}", "No closing quotation", id="quote"),
    ],
)
def test_commands_without_meaning_are_refused(text: str, said: str) -> None:
    with pytest.raises(WorkflowError, match=said):
        parse_command(text)


def test_no_shell_looks_at_a_command_unless_it_is_named() -> None:
    command = parse_command("prog {safe}/*.xml '$HOME; rm' --out={out}/x")
    assert command.filled(Path("/s"), Path("/o")) == ["prog", "/s/*.xml", "$HOME; rm", "--out=/o/x"]
    with pytest.raises(WorkflowError, match="timeout"):
        parse_command("prog {safe}", timeout=0)


def raster(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "count": 1,
        "dtype": pixels.dtype,
        "crs": "EPSG:32632",
        "transform": from_origin(600_000, 4_900_000, 10, 10),
        **options,
    }
    tags = profile.pop("tags", {})
    with rasterio.open(path, "w", **profile) as image:
        image.write(pixels, 1)
        image.update_tags(**tags)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"crs": "EPSG:32633"}, "crs EPSG:32632 and EPSG:32633", id="crs"),
        pytest.param({"transform": from_origin(600_010, 4_900_000, 10, 10)}, "transform", id="transform"),
        pytest.param({"nodata": 3}, "nodatavals", id="nodata"),
        pytest.param({"dtype": "int16"}, "dtypes", id="dtype"),
    ],
)
def test_rasters_with_equal_pixels_elsewhere_or_of_another_kind_are_not_equal(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30)
    raster(tmp_path / "a" / "x.tif", pixels)
    raster(tmp_path / "b" / "x.tif", pixels, **options)
    (found,) = compare_written(tmp_path / "a", tmp_path / "b")
    assert not found.equal
    assert said in str(found)
    assert len(found.unequal) == 1


def test_rasters_are_compared_by_pixels_and_nan_equals_itself(tmp_path: Path) -> None:
    pixels = np.full((20, 30), np.nan, np.float32)
    pixels[3:] = 7
    raster(tmp_path / "a" / "x.tif", pixels, nodata=np.nan)
    raster(tmp_path / "b" / "x.tif", pixels, nodata=np.nan, compress="deflate", tags={"MADE": "now"})
    (found,) = compare_written(tmp_path / "a", tmp_path / "b")
    assert found.equal
    assert found.raster
    assert found.notes == ("bytes", "tags")
    pixels[5, 6] += 2
    raster(tmp_path / "b" / "x.tif", pixels, nodata=np.nan)
    (found,) = compare_written(tmp_path / "a", tmp_path / "b")
    assert found.unequal == ("band 1: 1 of 600 pixels differ by up to 2, the first in row 5, column 6",)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        pytest.param({"scales": (0.5,)}, "scales (1.0,) and (0.5,)", id="scale"),
        pytest.param({"descriptions": ("red",)}, "descriptions (None,) and ('red',)", id="description"),
        pytest.param({"colormap": {1: (255, 0, 0, 255)}}, "colour tables", id="colours"),
        pytest.param({"mask": np.eye(20, 30, dtype=bool)}, "band 1: 580 of 600 pixels differ", id="mask"),
    ],
)
def test_what_says_what_pixels_mean_is_no_mere_tag(setting: dict[str, Any], said: str, tmp_path: Path) -> None:
    pixels = np.ones((20, 30), np.uint8)
    for folder, values in (("a", {"colormap": {1: (0, 0, 0, 255)}} if "colormap" in setting else {}), ("b", setting)):
        raster(tmp_path / folder / "x.tif", pixels)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / folder / "x.tif", "r+") as image:
            for name, value in values.items():
                if name == "colormap":
                    image.write_colormap(1, value)
                elif name == "mask":
                    image.write_mask(value)
                else:
                    setattr(image, name, value)
    (found,) = compare_written(tmp_path / "a", tmp_path / "b")
    assert not found.equal
    assert said in str(found)


def test_files_that_hold_more_than_an_image_are_compared_by_bytes(tmp_path: Path) -> None:
    """What GDAL shows of them is one image; what is beside it may differ."""
    for folder, height in (("a", 1_000.0), ("b", 2_000.0)):
        (tmp_path / folder).mkdir()
        data = {"image": (("y", "x"), np.ones((20, 30), np.uint8)), "heights": ("cloud", np.full(40, height))}
        xr.Dataset(data).to_netcdf(tmp_path / folder / "x.nc", engine="h5netcdf")
        pages = [Image.fromarray(np.full((20, 30), value, np.uint8)) for value in (1, int(height) % 251)]
        pages[0].save(tmp_path / folder / "pages.tif", save_all=True, append_images=pages[1:])
    found = compare_written(tmp_path / "a", tmp_path / "b")
    assert [file.path for file in found if not file.equal and "bytes" in str(file)] == ["pages.tif", "x.nc"]


def test_files_on_one_side_and_other_bytes_are_told(tmp_path: Path) -> None:
    for folder, names in (("a", ("one", "both", "long")), ("b", ("two", "both", "long"))):
        (tmp_path / folder / "sub").mkdir(parents=True)
        for name in names:
            (tmp_path / folder / "sub" / name).write_bytes(b"abcd" if name != "long" or folder == "a" else b"abxd")
    found = {file.path: str(file) for file in compare_written(tmp_path / "a", tmp_path / "b")}
    assert found == {
        "sub/both": "sub/both: equal, byte for byte",
        "sub/long": "sub/long: 1 of 4 bytes differ, the first at 2",
        "sub/one": "sub/one: not written of the re-created SAFE",
        "sub/two": "sub/two: not written of the original",
    }
