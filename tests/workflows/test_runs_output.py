"""Files of results: the same pixels in every format, what they mean beside them, whole or not at all."""

from __future__ import annotations

import gc
import weakref
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr

from abut.errors import BadRequestError, ExportError
from abut.lattice import Bounds, Zone
from workflows.errors import WorkflowError
from workflows.runs.output import Step, format_of, require_free, write_steps
from workflows.runs.results import make_result, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

CORE = Bounds(Zone(32632), 600_000, 4_900_020, 600_600, 4_900_440)
FLAGS = {
    "flag_values": np.arange(3, dtype=np.uint8),
    "flag_meanings": "nodata land water",
    "flag_colors": "#000000 #00ff00 #0000ff",
    "nodata": 0,
}
SCALED = {"units": "1", "scale_factor": 1e-4, "_FillValue": np.int16(-32_768)}


def step(day: int, *, sizes: tuple[int, ...] = (60, 10)) -> Step:
    random = np.random.default_rng(day)
    layers: dict[int, Any] = {
        60: {
            "classes": (random.integers(0, 3, CORE.shape(60), np.uint8), FLAGS),
            "share": (random.random(CORE.shape(60), np.float32), {}),
        },
        10: {
            "ndvi": (random.integers(-9_000, 9_000, CORE.shape(10), np.int16), SCALED),
            "segment": (random.integers(0, 2**40, CORE.shape(10), np.int64), {"nodata": -(1 << 62)}),
        },
    }
    layers[10]["ndvi"][0][0, :5] = -32_768
    result = make_result(CORE, {size: layers[size] for size in sizes}, {"workflow": "made"})
    return Step(
        time=datetime(2023, 8, day, 9, 55, 59, tzinfo=UTC),
        datatake=f"GS2B_{day}",
        products=("a", "b" * day),
        variables=variables(result, CORE),
        attributes={str(name): value for name, value in result.attrs.items()},
    )


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip", "a.nc"])
def test_groups_hold_all_moments_and_open_in_xarray(tmp_path: Path, name: str) -> None:
    steps = [step(1), step(12)]
    assert write_steps(iter(steps), tmp_path / name) == ["r10m/ndvi", "r10m/segment", "r60m/classes", "r60m/share"]
    with opened(tmp_path / name) as tree:
        assert [str(time)[:10] for time in tree["r60m"]["time"].to_numpy()] == ["2023-08-01", "2023-08-12"]
        assert list(tree["r10m"]["products"].to_numpy()) == ["a b", "a " + "b" * 12]
        assert tree.attrs["workflow"] == "made"
        for number, one in enumerate(steps):
            for path, truth in one.variables.items():
                found = tree[path].isel(time=number)
                assert isinstance(found, xr.DataArray)
                assert (found["x"] == truth["x"]).all()
                assert (found["y"] == truth["y"]).all()
                if path == "r10m/ndvi":
                    assert np.isnan(found[0, :5]).all()
                    np.testing.assert_allclose(found[1:], truth[1:] * 1e-4)
                else:
                    assert found.dtype == truth.dtype
                    assert (found.to_numpy() == truth.to_numpy()).all()
        assert tree["r60m/classes"].attrs["flag_meanings"] == "nodata land water"
        assert list(tree["r60m/classes"].attrs["flag_values"]) == [0, 1, 2]
        assert "crs_wkt" in tree["r60m"]["spatial_ref"].attrs


def opened(path: Path) -> xr.DataTree:
    if path.suffix == ".nc":
        return xr.open_datatree(path, engine="h5netcdf")
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as packed:
            packed.extractall(path.with_name("unpacked"))
        path = path.with_name("unpacked")
    return xr.open_datatree(path, engine="zarr")


def test_one_pixel_size_needs_no_groups(tmp_path: Path) -> None:
    write_steps([step(1, sizes=(60,))], tmp_path / "a.zarr")
    found = xr.open_zarr(tmp_path / "a.zarr")
    assert dict(found.sizes) == {"time": 1, "y": 7, "x": 10}
    assert set(found.data_vars) == {"classes", "share"}
    assert found.attrs["Conventions"] == "CF-1.11"


def test_gdal_sees_where_a_zarr_lies(tmp_path: Path) -> None:
    write_steps([step(1)], tmp_path / "a.zarr")
    with rasterio.open(tmp_path / "a.zarr" / "r10m" / "ndvi") as image:
        assert image.crs.to_epsg() == 32632
        assert tuple(image.bounds) == (CORE.left, CORE.bottom, CORE.right, CORE.top)
        assert image.nodata == -32_768


def test_a_folder_of_images_holds_every_variable_of_every_moment(tmp_path: Path) -> None:
    steps = [step(1), step(2)]
    write_steps(steps, tmp_path / "images")
    names = ["classes", "ndvi", "segment", "share"]
    expected = [f"2023080{day}T095559_{name}.tif" for day in (1, 2) for name in names]
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == expected
    for one in steps:
        for path, truth in one.variables.items():
            file = tmp_path / "images" / f"{one.time:%Y%m%dT%H%M%S}_{path.rpartition('/')[2]}.tif"
            with rasterio.open(file) as image:
                assert (image.read(1) == truth.to_numpy()).all()
                assert image.dtypes == (truth.dtype.name,)
                assert (image.crs.to_epsg(), image.tags(ns="IMAGE_STRUCTURE")["LAYOUT"]) == (32632, "COG")
                assert tuple(image.bounds) == (CORE.left, CORE.bottom, CORE.right, CORE.top)


def test_images_say_what_values_mean(tmp_path: Path) -> None:
    write_steps([step(1)], tmp_path / "images")
    with rasterio.open(tmp_path / "images" / "20230801T095559_classes.tif") as image:
        assert image.nodata == 0
        colours = image.colormap(1)
        assert [colours[value][:3] for value in (1, 2)] == [(0, 255, 0), (0, 0, 255)]
        assert image.tags()["FLAG_MEANINGS"] == "nodata land water"
        assert image.tags()["PRODUCTS"] == "a b"
    with rasterio.open(tmp_path / "images" / "20230801T095559_ndvi.tif") as image:
        assert (image.nodata, image.scales, image.units) == (-32_768, (1e-4,), ("1",))
    with rasterio.open(tmp_path / "images" / "20230801T095559_segment.tif") as image:
        assert image.nodata == -(1 << 62)


def test_one_image_is_the_variable_that_was_chosen_else_the_first(tmp_path: Path) -> None:
    assert write_steps([step(1, sizes=(60,))], tmp_path / "a.tif") == ["classes"]
    assert write_steps([step(1)], tmp_path / "b.tif", names=["share"]) == ["r60m/share"]
    with rasterio.open(tmp_path / "b.tif") as image:
        assert (image.read(1) == step(1).variables["r60m/share"].to_numpy()).all()
    for steps, names, text in (
        ([step(1), step(2)], None, "one moment"),
        ([step(1)], ["share", "ndvi"], "one raster, not r60m/share, r10m/ndvi"),
    ):
        with pytest.raises(BadRequestError, match=text):
            write_steps(steps, tmp_path / "c.tif", names=names)
    assert not (tmp_path / "c.tif").exists()


def test_further_dimensions_become_bands_of_an_image(tmp_path: Path) -> None:
    base = step(1, sizes=(60,))
    share = base.variables["share"]
    stacked = xr.concat([share, 2 * share], xr.Variable("kind", ["one", "two"]), coords="minimal", compat="override")
    stacked.encoding["grid_mapping"] = "spatial_ref"
    many = Step(time=base.time, datatake="", products=(), variables={"share": stacked}, attributes={})
    write_steps([many], tmp_path / "a.tif")
    write_steps([many], tmp_path / "a.zarr")
    with rasterio.open(tmp_path / "a.tif") as image:
        assert image.descriptions == ("share one", "share two")
        assert (image.read() == stacked.to_numpy()).all()
    found = xr.open_zarr(tmp_path / "a.zarr")["share"]
    assert found.dims == ("time", "kind", "y", "x")
    assert list(found["kind"].to_numpy()) == ["one", "two"]


def test_booleans_are_written(tmp_path: Path) -> None:
    base = step(1, sizes=(60,))
    flags = base.variables["classes"] > 1
    flags.encoding["grid_mapping"] = "spatial_ref"
    one = Step(time=base.time, datatake="", products=(), variables={"water": flags}, attributes={})
    for name in ("a.zarr", "a.nc", "a.tif"):
        write_steps([one], tmp_path / name)
    with rasterio.open(tmp_path / "a.tif") as image, xr.open_dataset(tmp_path / "a.nc") as file:
        assert (image.read(1) == flags.to_numpy()).all()
        assert (file["water"][0].to_numpy() == flags.to_numpy()).all()
    assert (xr.open_zarr(tmp_path / "a.zarr")["water"][0].to_numpy() == flags.to_numpy()).all()


@pytest.mark.parametrize("name", ["a.zarr", "a.nc", "a.tif", "a"])
def test_what_is_there_is_replaced_only_if_asked_and_when_the_new_one_is_complete(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    write_steps([step(1, sizes=(60,))], out)

    def failing() -> Iterator[Step]:
        yield step(2, sizes=(60,))
        raise WorkflowError("no sun")

    before = contents(tmp_path)
    with pytest.raises(ExportError, match="is there already"):
        write_steps([step(2, sizes=(60,))], out)
    with pytest.raises(WorkflowError, match="no sun"):
        write_steps(failing(), out, overwrite=True)
    assert contents(tmp_path) == before
    write_steps([step(2, sizes=(60,))], out, overwrite=True)
    assert contents(tmp_path) != before
    assert [path.name for path in tmp_path.iterdir()] == [name]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_that_is_no_result_is_never_replaced(tmp_path: Path) -> None:
    for name in ("home", "x.zarr"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "letter.txt").write_text("dear")
        with pytest.raises(ExportError, match="no result"):
            require_free(tmp_path / name, overwrite=True)


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    other = step(2, sizes=(60,))
    short = {name: one[:5] for name, one in other.variables.items()}
    odd = Step(time=other.time, datatake="", products=(), variables=short, attributes={})
    with pytest.raises(WorkflowError, match="other variables than the first"):
        write_steps([step(1, sizes=(60,)), odd], tmp_path / "a.zarr")
    with pytest.raises(WorkflowError, match="no variable of the result; there are classes, share"):
        write_steps([step(1, sizes=(60,))], tmp_path / "a.zarr", names=["cloud"])
    with pytest.raises(WorkflowError, match="no result to write"):
        write_steps([], tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_the_name_decides_the_format(tmp_path: Path) -> None:
    names = {"a.zarr": "zarr", "a.ZARR.zip": "zip", "a.nc": "netcdf", "a.tiff": "cog", "a": "cogs", ".a": "cogs"}
    assert {name: format_of(tmp_path / name) for name in names} == names
    for name in ("a.png", ".zarr", "a.zip"):
        with pytest.raises(BadRequestError, match=r"write to x\.zarr"):
            format_of(tmp_path / name)


def test_moments_of_one_second_have_files_of_their_own(tmp_path: Path) -> None:
    first = step(1, sizes=(60,))
    later = Step(
        time=first.time + timedelta(milliseconds=500),
        datatake="",
        products=(),
        variables=first.variables,
        attributes={},
    )
    write_steps([first, later], tmp_path / "a", names=["classes"])
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "20230801T095559-2_classes.tif",
        "20230801T095559_classes.tif",
    ]


def test_somebody_elses_zarr_and_images_are_not_replaced(tmp_path: Path) -> None:
    """They have the suffix of a result, and are none."""
    zarr.create_group(tmp_path / "product.zarr").create_array("b02", shape=(2,), dtype="u2")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "orthophoto.tif").write_bytes(b"mine")
    for name in ("product.zarr", "photos"):
        with pytest.raises(ExportError, match="it is not replaced"):
            write_steps([step(1)], tmp_path / name, overwrite=True)
    assert (tmp_path / "photos" / "orthophoto.tif").read_bytes() == b"mine"
    for name in ("own.zarr", "own", "one.zarr"):
        sizes = (60,) if name == "one.zarr" else (60, 10)
        write_steps([step(1, sizes=sizes)], tmp_path / name)
        write_steps([step(2, sizes=sizes)], tmp_path / name, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.zarr", "own", "own.zarr", "photos", "product.zarr"]


def test_a_result_stays_if_the_one_that_replaces_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_steps([step(1)], tmp_path / "a.zarr")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "fresh":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ExportError, match="Input/output error"):
        write_steps([step(2)], tmp_path / "a.zarr", overwrite=True)
    monkeypatch.undo()
    with opened(tmp_path / "a.zarr") as tree:
        assert str(tree["r60m"]["time"].to_numpy()[0])[:10] == "2023-08-01"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_one_result_is_in_memory_at_a_time(tmp_path: Path) -> None:
    """A result is let go before the next one is computed."""
    for name in ("a.zarr", "a"):
        kept: list[weakref.ref[Any]] = []
        living: list[int] = []

        def steps(kept: list[weakref.ref[Any]] = kept, living: list[int] = living) -> Iterator[Step]:
            for day in (1, 2, 3):
                gc.collect()
                living.append(sum(one() is not None for one in kept))
                made = step(day)
                kept.append(weakref.ref(made.variables["r60m/classes"]))
                yield made
                del made

        write_steps(steps(), tmp_path / name)
        assert living == [0, 0, 0]
