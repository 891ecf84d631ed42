"""Workflows by name: the same values as the functions themselves, and refusals that say what is needed."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr

from abut.labels import place
from abut.lattice import Zone
from tests.workflows import sky
from tests.workflows.moments import PRODUCT, bounds, moment_of
from tests.workflows.scenes import noise
from workflows import adjacency, clouds, indices, segments
from workflows.atmosphere import atmosphere
from workflows.errors import GeometryError, MissingBandError, NeighbourhoodError, WorkflowError
from workflows.runs.parameters import Parameter
from workflows.runs.registry import WORKFLOWS, user_workflow, workflow
from workflows.runs.results import digest, variables
from workflows.scene import BLOCK, Box, Geometry, Scene

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CORE = Box(57 * BLOCK + 6_000, 510 * BLOCK + 4_800, 57 * BLOCK + 12_000, 510 * BLOCK + 8_400)
"""Over the edge between two blocks, the same distance from either."""
SUN, VIEW = (38.0, 155.0), (6.0, 100.0)


@pytest.fixture(scope="module")
def cloudy() -> Scene:
    return sky.make(CORE.grown(clouds.radius(20) + 60 - clouds.radius(20) % 60), CORE).scene


def air(band: str, sun: tuple[float, float] = SUN) -> adjacency.Atmosphere:
    return atmosphere(
        band,
        satellite="B",
        sun_zenith=sun[0],
        view_zenith=VIEW[0],
        relative_azimuth=sun[1] - VIEW[1],
        optical_thickness=0.3,
        aerosol="maritime",
    )


def test_clouds_are_those_of_the_function(cloudy: Scene) -> None:
    stages: list[str] = []
    params = {"reach": "20", "threshold": 5_000}
    result = workflow("clouds").compute(moment_of(cloudy), params, done=lambda stage, *_: stages.append(stage))
    found = clouds.clouds_and_shadows(cloudy, reach=20, threshold=5_000)
    assert isinstance(result, xr.Dataset)
    assert (result["classes"].to_numpy() == found.classes).all()
    known = found.classes > 0
    assert (result["probability"].to_numpy()[known] == found.probability[known]).all()
    assert (result["probability"].to_numpy()[~known] == 65_535).all()
    assert set(np.unique(result["cloud_base_height"])) == set(np.unique(found.height))
    assert result["classes"].attrs["flag_meanings"] == "nodata clear cloud shadow"
    assert result.attrs["parameters"] == '{"threshold": 5000, "reach": 20}'
    assert result.attrs["products"] == PRODUCT
    assert set(stages) == {"cloud detector"}


def test_a_height_is_that_of_the_square_that_holds_the_pixel(cloudy: Scene) -> None:
    result = workflow("clouds").compute(moment_of(cloudy), {"reach": 20})
    found = clouds.clouds_and_shadows(cloudy, reach=20)
    _, _, _, top = CORE.blocks(960)
    left = CORE.left // 960
    for row in (0, 11, 59):
        for column in (0, 37, 99):
            north, east = CORE.top - 60 * row - 30, CORE.left + 60 * column + 30
            expected = found.height[top - 1 - north // 960, east // 960 - left]
            assert result["cloud_base_height"].to_numpy()[row, column] == expected


def test_adjacency_is_that_of_the_function_and_has_a_group_for_each_pixel_size() -> None:
    scene = around(CORE, ("B8A", "B01"))
    params = {"bands": "b8a,B01", "aerosol": "Maritime", "optical_thickness": "0.3"}
    result = workflow("adjacency").compute(moment_of(scene), params)
    found = variables(result, bounds(CORE))
    assert set(found) == {
        "r20m/b8a",
        *(f"r60m/{name}" for name in ("b01", "b01_known", "b01_uncertainty", "b8a_known", "b8a_uncertainty")),
    }
    truth = adjacency.adjacency(scene, "B8A", air("B8A"))
    assert (found["r20m/b8a"].to_numpy() == truth.reflectance).all()
    assert (found["r60m/b8a_known"].to_numpy() == truth.known).all()
    assert (found["r60m/b8a_uncertainty"].to_numpy() == truth.uncertainty).all()
    assert found["r20m/b8a"].attrs["scale_factor"] == 1e-4


def around(core: Box, bands: tuple[str, ...], radius: int = adjacency.RADIUS) -> Scene:
    box = core.grown(radius)
    return replace(noise(bands, box), core=core, geometry=Geometry.constant(box, SUN, VIEW))


def test_each_block_is_corrected_for_its_own_geometry() -> None:
    core = Box(CORE.left, CORE.top - 600, CORE.right, CORE.top)
    scene = around(core, ("B01",))
    assert scene.geometry is not None
    east = scene.geometry.sun_zenith.copy()
    p0, *_ = scene.box.blocks()
    east[:, 58 - p0 :] = 52.0
    mixed = replace(scene, geometry=replace(scene.geometry, sun_zenith=east))
    params = {"bands": "B01", "aerosol": "maritime", "optical_thickness": 0.3}
    found = variables(workflow("adjacency").compute(moment_of(mixed), params), bounds(core))["b01"].to_numpy()
    low, high = (adjacency.adjacency(scene, "B01", air("B01", (sun, SUN[1]))).reflectance for sun in (52.0, SUN[0]))
    edge = (58 * BLOCK - core.left) // 60
    assert (found[:, :edge] == high[:, :edge]).all()
    assert (found[:, edge:] == low[:, edge:]).all()
    assert (low != high).any()


def test_parts_of_adjacency_join_without_a_seam() -> None:
    core = Box(CORE.left, CORE.top - 600, CORE.right, CORE.top)
    scene = around(core, ("B01",))
    middle = core.left + 1_200
    west, east = replace(core, right=middle), replace(core, left=middle)
    params = {"bands": "B01"}
    whole, *parts = (
        workflow("adjacency").compute(moment_of(scene.cut(part.grown(adjacency.RADIUS), part)), params)
        for part in (core, west, east)
    )
    for name, one in variables(whole, bounds(core)).items():
        found = [variables(result, bounds(part))[name] for result, part in zip(parts, (west, east), strict=True)]
        assert (np.concatenate(found, axis=1) == one.to_numpy()).all()


def test_segments_and_indices_are_those_of_the_functions() -> None:
    scene = around(Box(CORE.left, CORE.bottom, CORE.left + 900, CORE.bottom + 600), segments.BANDS, 1_680)
    moment = moment_of(scene, zone=Zone(32732))
    result = workflow("segments").compute(moment)
    assert (result["segment"].to_numpy() == segments.segment(scene).ids()).all()
    found = variables(workflow("index").compute(moment, {"index": "NDVI,ndmi,evi"}), bounds(scene.core, Zone(32732)))
    assert list(found) == ["r10m/ndvi", "r10m/evi", "r20m/ndmi"]
    for name, one in found.items():
        assert (one.to_numpy() == indices.spectral_index(scene, name[5:])).all()
        assert one.attrs["_FillValue"] == -32_768
    assert found["r10m/evi"]["y"][0] == 10_000_000 + scene.core.top - 5


def test_a_part_that_lacks_ground_is_refused_unless_a_partial_result_is_wanted(cloudy: Scene) -> None:
    moment = moment_of(cloudy.cut(CORE.grown(600), CORE))
    with pytest.raises(NeighbourhoodError, match=r"clouds looks 9540 m .* there are 600 m: a buffer of 9540 m"):
        workflow("clouds").compute(moment)
    assert workflow("clouds").compute(moment, partial=True).sizes == {"y": 60, "x": 100}


def test_what_can_t_be_computed_is_told_in_a_line(cloudy: Scene) -> None:
    partial: dict[str, Any] = {"partial": True}
    with pytest.raises(MissingBandError, match=r"B8A, B11 missing; there are B01, B02"):
        workflow("index").compute(moment_of(cloudy.cut(CORE)).drop_nodes("r20m"), {"index": "ndmi"})
    dark = replace(cloudy, bands={name: array * 0 for name, array in cloudy.bands.items()})
    with pytest.raises(WorkflowError, match="no pixel of"):
        workflow("clouds").compute(moment_of(dark), **partial)
    nowhere = replace(cloudy, geometry=Geometry.constant(cloudy.box, (np.nan, 100.0), VIEW))
    with pytest.raises(GeometryError, match="sun_zenith"):
        workflow("clouds").compute(moment_of(nowhere), **partial)
    for products in ((), ("LC09_L1TP",)):
        with pytest.raises(WorkflowError, match="the satellite is not known"):
            workflow("adjacency").compute(moment_of(cloudy, products=products), {"bands": "B02"}, **partial)
    low = replace(cloudy, geometry=Geometry.constant(cloudy.box, (78.0, 100.0), VIEW))
    with pytest.raises(WorkflowError, match=r"sun zenith is 78.0; the table of the atmosphere goes from 20 to 75"):
        workflow("adjacency").compute(moment_of(low), {"bands": "B02"}, **partial)


@pytest.mark.parametrize(
    ("name", "params", "text"),
    [
        ("clouds", {"threshold": "0.4"}, "threshold=0.4 is not a whole number from 0 to 10000"),
        ("clouds", {"reach": "0"}, "reach=0 is not a whole number from 1 to 1400"),
        (
            "clouds",
            {"reech": "5"},
            "'reech' is no parameter of clouds; there are threshold, reach; did you mean 'reach'",
        ),
        ("adjacency", {"optical_thickness": "nan"}, "optical_thickness=nan is not a number from 0.05 to 0.6"),
        ("adjacency", {"aerosol": "urban"}, "aerosol=urban is not one of continental, maritime"),
        ("adjacency", {"bands": "B02,B10"}, "bands=B02,B10 is not some of B01, B02"),
        ("adjacency", {"bands": ","}, "bands=, is not some of B01, B02"),
        ("index", {"index": "ndvy"}, "did you mean 'ndvi'"),
        ("segments", {"size": "3"}, "'size' is no parameter of segments; it has none"),
    ],
)
def test_a_parameter_is_checked_by_type_and_range(name: str, params: dict[str, str], text: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        workflow(name).params(params)
    assert text in str(caught.value)


def test_values_are_as_good_as_texts() -> None:
    assert workflow("clouds").params({"reach": 50.0}) == {"threshold": 4_000, "reach": 50}
    assert workflow("adjacency").params({"bands": ["B03", "b02", "B03"]})["bands"] == ("B03", "B02")
    for wrong in (True, 50.5, None, [1]):
        with pytest.raises(WorkflowError, match="is not a whole number"):
            workflow("clouds").params({"reach": wrong})
    switch = Parameter(bool, default=False)
    assert [switch.read("deep", text) for text in ("yes", "0", True)] == [True, False, True]
    with pytest.raises(WorkflowError, match="deep=maybe is not true or false"):
        switch.read("deep", "maybe")


def test_how_far_a_workflow_looks_follows_its_parameters() -> None:
    assert workflow("clouds").radius() == clouds.RADIUS
    assert workflow("clouds").radius({"reach": 200}) == clouds.RADIUS + 100 * 60
    assert workflow("segments").buffer() == 1_680
    assert workflow("index").bands({"index": "ndvi,evi"}) == ("B08", "B04", "B02")


def test_a_name_that_is_none_is_told_which_there_are() -> None:
    with pytest.raises(WorkflowError, match=r"'cloud' is no workflow; there are clouds, .*; did you mean 'clouds'\?"):
        workflow("cloud")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_travel_to_other_processes(name: str) -> None:
    copy = pickle.loads(pickle.dumps(workflow(name)))  # noqa: S301 - made above
    assert copy.name == name
    assert (copy.radius(), copy.bands()) == (workflow(name).radius(), workflow(name).bands())


MINE = """
import numpy as np
import xarray as xr

depth = 5


def mean(moment, power: int = 1):
    "Mean of a neighbourhood.\\n\\nMore."
    band = moment["r60m/b01"].astype("float64") ** power
    return band.rolling(x=3, y=3, center=True).mean().rename("mean")


def tree(moment):
    return moment


def nothing(moment):
    return None


def number(moment):
    return xr.DataArray(np.zeros(3), dims="z")


def small(moment):
    return moment["r60m/b01"][20:, :]


def bare(moment):
    return xr.Dataset({"a": (("y", "x"), np.zeros((4, 4)))})


def failing(moment):
    raise KeyError("b77")


def two(moment, other):
    return moment


def none():
    return 1


class Maker:
    @staticmethod
    def double(moment):
        return moment["r60m/b01"] * np.uint16(2)
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A module of a user in the current directory; call it for the name of a function."""
    module = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(MINE)
    (tmp_path / "broken_of_mine.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return lambda name: f"{module}:{name}"


@pytest.fixture
def small_moment() -> xr.DataTree:
    core = Box(CORE.left, CORE.bottom, CORE.left + 1_800, CORE.bottom + 1_200)
    return moment_of(around(core, ("B01",), 600))


def test_a_user_s_function_gets_the_neighbourhood_and_its_result_is_cut_to_the_core(
    mine: Callable[..., str], small_moment: xr.DataTree
) -> None:
    one = user_workflow(mine("mean"), radius=60, bands=["B01"])
    assert (one.title, one.radius(), one.bands()) == ("Mean of a neighbourhood.", 60, ("B01",))
    core = bounds(Box(CORE.left, CORE.bottom, CORE.left + 1_800, CORE.bottom + 1_200))
    found = variables(one.compute(small_moment, {"power": "2"}), core)
    pixels = small_moment["r60m/b01"].to_numpy().astype(np.float64) ** 2
    assert set(found) == {"mean"}
    assert found["mean"].shape == (20, 30)
    assert found["mean"].to_numpy()[0, 0] == pytest.approx(pixels[9:12, 9:12].mean())
    assert found["mean"]["spatial_ref"].attrs["GeoTransform"].split() == [
        str(core.left), "60", "0", str(core.top), "0", "-60",
    ]  # fmt: skip
    with pytest.raises(NeighbourhoodError, match="looks 660 m"):
        user_workflow(mine("mean"), radius=660, bands=["B01"]).compute(small_moment)


def test_a_user_s_function_may_be_a_method_and_return_a_tree(
    mine: Callable[..., str], small_moment: xr.DataTree
) -> None:
    core = bounds(Box(CORE.left, CORE.bottom, CORE.left + 1_800, CORE.bottom + 1_200))
    double = variables(user_workflow(mine("Maker.double"), bands=["B01"]).compute(small_moment), core)
    tree = variables(user_workflow(mine("tree"), bands=["B01"]).compute(small_moment), core)
    assert set(tree) == {"r60m/b01"}, "angles have no pixels"
    assert (double["b01"] == 2 * tree["r60m/b01"]).all()


def test_what_is_made_of_a_band_has_not_the_band_s_nodata() -> None:
    core = bounds(Box(CORE.left, CORE.bottom, CORE.left + 1_800, CORE.bottom + 1_200))
    attributes = {"long_name": "Digital number, B01 (coastal aerosol)", "nodata": 0, "comment": "mine"}
    band = xr.DataArray(np.ones(core.shape(60), np.uint16), place(core, 60), ("y", "x"), attrs=attributes)
    assert variables(band, core)["result"].attrs["nodata"] == 0
    made = band.astype(np.float32)
    made.attrs = attributes
    assert variables(made, core)["result"].attrs == {"comment": "mine"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nothing", "the result, None, is no DataArray"),
        ("number", "the result, a DataArray with the dimensions z, has no variable with the dimensions y and x"),
        ("small", "does not cover the core"),
        ("bare", "a of the result has no coordinate y"),
        ("failing", "raised KeyError: 'b77'"),
    ],
)
def test_what_a_user_s_function_does_wrong_is_told_in_a_line(
    mine: Callable[..., str], small_moment: xr.DataTree, name: str, text: str
) -> None:
    with pytest.raises(WorkflowError) as caught:
        user_workflow(mine(name), bands=["B01"]).compute(small_moment)
    assert text in str(caught.value)
    assert mine(name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("two", "its parameters other have no default"),
        ("none", "takes no moment"),
        ("depth", "is not callable: it is int"),
        ("missing", "has no 'missing'"),
    ],
)
def test_what_is_no_function_of_a_moment_is_refused(mine: Callable[..., str], name: str, text: str) -> None:
    with pytest.raises(WorkflowError, match=text):
        user_workflow(mine(name))


def test_a_module_that_can_t_be_imported_is_told_with_its_reason(mine: Callable[..., str], tmp_path: Path) -> None:
    assert mine("mean").endswith(":mean")
    for spec, text in (
        ("nowhere_at_all:f", f"nowhere_at_all can't be imported from {tmp_path}: ModuleNotFoundError"),
        ("broken_of_mine:f", "No module named 'nowhere_to_be_found'"),
        ("broken_of_mine", "write package.module:function"),
        (":f", "write package.module:function"),
    ):
        with pytest.raises(WorkflowError) as caught:
            user_workflow(spec)
        assert text in str(caught.value)
    for wrong, text in (
        ({"radius": -5}, "negative"),
        ({"bands": ["B77"]}, "B77 is no band"),
        ({"bands": []}, "no band"),
    ):
        with pytest.raises(WorkflowError, match=text):
            user_workflow(mine("mean"), **wrong)


def test_a_digest_is_of_type_shape_and_values() -> None:
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    some = [
        xr.DataArray(values),
        xr.DataArray(values.astype(np.int32)),
        xr.DataArray(values.reshape(4, 3)),
        xr.DataArray(values + np.int16(1)),
    ]
    assert len({digest(one) for one in some}) == 4
    assert digest(some[0]) == digest(xr.DataArray(np.asfortranarray(values.astype(">i2")), attrs={"a": 1}))
    with pytest.raises(WorkflowError, match="not numbers"):
        digest(xr.DataArray(np.array(["a"])))


def test_results_may_run_south_to_north_and_have_other_pixels_than_the_bands() -> None:
    core = bounds(Box(CORE.left, CORE.bottom, CORE.left + 1_800, CORE.bottom + 1_200))
    y = core.bottom - 250 + 100 * np.arange(18)
    x = core.left - 250 + 100 * np.arange(24)
    one = xr.DataArray(np.add.outer(y, x * 0.0), {"y": y, "x": x}, ("y", "x"))
    found = variables(one, core)["result"]
    assert found.shape == (12, 18)
    assert (found[:, 0] == core.top - 50 - 100 * np.arange(12)).all()
    with pytest.raises(WorkflowError, match="not evenly spaced"):
        variables(one.isel(x=[0, 1, 3, 4]), core)
