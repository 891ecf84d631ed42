"""What users' functions return that no file can hold, or that would be lost in it, is refused in a line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.workflows.moments import moment_of
from tests.workflows.scenes import noise
from workflows.errors import WorkflowError
from workflows.runs.output import write_steps
from workflows.runs.registry import user_workflow
from workflows.runs.results import ground, variables
from workflows.runs.running import step_of
from workflows.scene import Box

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

BOX = Box(600_000, 4_800_000, 601_200, 4_801_200)
ODD = """
import sys

import xarray as xr


def quits(moment):
    sys.exit(0)


def late(moment):
    def fails(array):
        raise ValueError("too late")

    return xr.apply_ufunc(fails, moment["r60m/b01"].chunk(), dask="parallelized", output_dtypes=[float])
"""


@pytest.fixture
def moment() -> xr.DataTree:
    return moment_of(noise(("B01",), BOX))


def odd(moment: xr.DataTree, name: str = "v", kind: Any = np.uint8, **attributes: Any) -> xr.DataArray:
    return moment["r60m/b01"].astype(kind).rename(name).assign_attrs(attributes)


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a\0b", "a\nb", "time", "datatake", "products", "spatial_ref"])
def test_names_that_files_or_labels_have_are_refused(moment: xr.DataTree, name: str) -> None:
    made = odd(moment).drop_vars("spatial_ref").rename(name)
    with pytest.raises(WorkflowError, match="can't be the name of a variable"):
        variables(made, ground(moment))


@pytest.mark.parametrize("kind", [object, str, complex, "datetime64[ns]", np.longdouble])
def test_values_that_are_no_numbers_are_refused(moment: xr.DataTree, kind: Any) -> None:
    with pytest.raises(WorkflowError, match=r"v of the result holds .*, not numbers"):
        variables(odd(moment, kind=kind), ground(moment))


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("_FillValue", float("nan")), ("nodata", "none"), ("flag_values", [0, 1_000]), ("scale_factor", "much")],
)
def test_attributes_that_no_value_can_have_are_refused(moment: xr.DataTree, attribute: str, value: Any) -> None:
    with pytest.raises(WorkflowError, match=f"v of the result is uint8, and its .*{attribute}.* no such number"):
        variables(odd(moment, **{attribute: value}), ground(moment))


def test_a_second_time_is_refused(moment: xr.DataTree) -> None:
    with pytest.raises(WorkflowError, match="has the dimension time"):
        variables(odd(moment).expand_dims(time=1), ground(moment))


def test_columns_from_east_to_west_are_turned(moment: xr.DataTree) -> None:
    straight = odd(moment)
    (found,) = variables(straight.isel(x=slice(None, None, -1)), ground(moment)).values()
    assert (found["x"].to_numpy() == straight["x"].to_numpy()).all()
    assert (found.to_numpy() == straight.to_numpy()).all()


@pytest.mark.parametrize("name", ["a.zarr", "a.nc", "a.tif"])
def test_attributes_that_mean_nothing_to_a_format_are_no_obstacle(
    moment: xr.DataTree, tmp_path: Path, name: str
) -> None:
    odds: dict[str, Any] = {
        "nothing": None,
        "made": {1},
        "flag_values": [0, 1],
        "flag_meanings": "a b",
        "flag_colors": "red blue",
    }
    assert write_steps([step_of(moment, odd(moment, **odds))], tmp_path / name) == ["v"]


@pytest.mark.parametrize(
    ("function", "said"), [("quits", "raised SystemExit: 0"), ("late", "raised ValueError: too late")]
)
def test_a_function_that_ends_the_process_or_fails_lazily_has_failed(
    moment: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, said: str
) -> None:
    (tmp_path / "odd_functions.py").write_text(ODD)
    (tmp_path / "odd_script.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(WorkflowError, match=said):
        user_workflow(f"odd_functions:{function}", bands=["B01"]).compute(moment)
    with pytest.raises(WorkflowError, match="odd_script can't be imported"):
        user_workflow("odd_script:f")
    monkeypatch.delitem(sys.modules, "odd_functions")
