"""A workflow on SAFEs and on an archive: what is equal is said to be, and what is not is found.

The functions are somebody else's (`tests.workflows.theirs`), on bands of 60 m; `test_identity` has the workflows of
this software.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from abut.errors import ProductNotFoundError
from abut.layout import BAND
from cli.main import run
from tests.workflows.products import with_wrong_pixel
from workflows.errors import WorkflowError
from workflows.runs.compare import Comparison, Subject, compare
from workflows.runs.maps import BEYOND, DIFFERS, draw_maps
from workflows.runs.registry import user_workflow
from workflows.runs.subjects import around, chosen, given_products

if TYPE_CHECKING:
    from pathlib import Path

    from abut.lattice import Bounds
    from tests.workflows.products import Made

RADIUS = 4 * 60
"""How far `sums` looks."""


def subject_of(made: Made, **changes: Any) -> Subject:
    """The corner of the first tile."""
    one = Subject(
        connection=made.connection,
        safes=tuple(made.safes.values()),
        product=made.safes[made.corner.delivered[0]].stem,
        core=made.corner.core(4_800),
    )
    return replace(one, **changes)


def compared(made: Made, function: str = "sums", radius: int = RADIUS, **changes: Any) -> Comparison:
    one = user_workflow(f"tests.workflows.theirs:{function}", radius, ["B01"])
    params = changes.pop("params", None)
    return compare(one, subject_of(made, **changes), params)


@pytest.fixture(name="sums", scope="module")
def _sums(north: Made) -> Comparison:
    return compared(north, across=True)


def test_somebody_elses_filter_is_identical_and_its_radius_holds(sums: Comparison) -> None:
    found = sums.certificate
    assert found.passed, found.lines()
    (one,) = found.variables
    assert one.name == "sums"
    assert one.digests["a"] == one.digests["b"]
    assert one.digests["c"] == one.digests["d"] != one.digests["e"]
    assert one.tile.pixels == one.neighbourhood.pixels == 80 * 80
    assert one.pieces is not None
    assert (one.pieces.pixels, one.pieces.differing) == (80 * 80, 0)
    assert found.inputs["a"] == found.inputs["b"]
    assert found.inputs["c"] == found.inputs["d"]


def test_what_a_lone_tile_gets_wrong_is_counted_by_distance(sums: Comparison) -> None:
    (one,) = sums.certificate.variables
    assert [ring.label for ring in one.rim] == ["not in the lone tile", "0-0.24 km", "beyond 0.24 km"]
    assert sum(ring.pixels for ring in one.rim) == 80 * 80
    assert one.in_rim == one.rim[1].differing == int((sums.near["sums"] != sums.lone["sums"]).sum()) > 0
    assert one.beyond == 0
    assert one.rim[1].pixels == one.in_rim == 80 * 80 - 76 * 76  # a corner: four pixels from two sides
    assert one.own_angles == one.rim  # it does not look at angles


def test_other_zones_are_reported_and_nothing_is_claimed_of_them(sums: Comparison) -> None:
    found = sums.certificate
    assert found.variables[0].across is not None
    assert found.passed
    assert any("no identity is claimed" in line for line in found.verdict())


def test_the_certificate_says_what_was_compared(sums: Comparison, north: Made) -> None:
    document = json.loads(json.dumps(sums.certificate.as_json()))
    assert document["result"] == "identical"
    assert document["workflow"] == "tests.workflows.theirs:sums"
    assert document["params"] == {"size": 9}
    assert document["radius"] == RADIUS
    assert document["core"] == [*_edges(north.corner.core(4_800))]
    assert set(document["products"]["c"]) == set(document["products"]["d"])
    assert set(document["products"]["a"]) == {document["product"]}
    assert document["variables"][0]["rim"][1]["differing"] > 0
    assert {"abut", "numpy", "scipy", "rasterio"} <= document["versions"].keys()
    lines = sums.certificate.lines()
    assert lines[-1].endswith("IDENTICAL")
    assert any(line.startswith("rim: ") and "ground is missing" in line for line in lines)


def _edges(bounds: Bounds) -> tuple[int, int, int, int]:
    return bounds.left, bounds.bottom, bounds.right, bounds.top


def test_maps_show_every_differing_pixel(sums: Comparison, tmp_path: Path) -> None:
    (path,) = draw_maps(sums, tmp_path / "maps")
    assert path.name == "sums.png"
    colours = np.asarray(Image.open(path).convert("RGB"))
    side = 640 // 80  # each pixel of the result is a square of so many
    found = (colours == DIFFERS).all(axis=2)
    legend = 200
    wrong = sums.certificate.variables[0].in_rim
    assert abs(int(found.sum()) - wrong * side**2) <= legend
    assert not (colours == BEYOND).all(axis=2).any()


def test_an_understated_radius_is_found(north: Made) -> None:
    found = compared(north, radius=RADIUS, params={"size": 25}).certificate
    assert found.identical  # the same pixels give the same result, right or wrong
    assert not found.radius_holds
    assert not found.passed
    (one,) = found.variables
    assert one.beyond == (80 - 4) ** 2 - (80 - 12) ** 2  # as far as it looks: twelve pixels from two sides
    assert one.pieces is not None
    assert one.pieces.differing > 0
    assert any("UNDERSTATED" in line for line in found.verdict())


def test_a_function_that_looks_at_all_of_its_window_has_no_radius(north: Made) -> None:
    found = compared(north, "labels", radius=1_200).certificate
    assert found.identical
    assert not found.radius_holds


def test_a_function_that_is_not_deterministic_is_told_from_pixels_that_differ(north: Made) -> None:
    found = compared(north, "noisy", in_pieces=False).certificate
    assert not found.passed
    assert not any(found.unequal_inputs.values())
    noisy, quiet = found.variables
    assert noisy.tile.differing > 0
    assert quiet.tile.differing == quiet.neighbourhood.differing == 0
    assert any("not deterministic" in line for line in found.verdict())


def test_one_wrong_pixel_is_found_counted_and_placed(north: Made, tmp_path: Path) -> None:
    core = north.corner.core(4_800)
    here = replace(core, left=core.left + 1_200, right=core.left + 1_260, bottom=core.top - 1_260, top=core.top - 1_200)
    safes = tuple(
        with_wrong_pixel(safe, here, BAND["B01"], tmp_path) for safe in north.safes.values()
    )  # it lies in the overlap of all four
    found = compared(north, safes=safes).certificate
    assert not found.identical
    assert found.radius_holds
    (one,) = found.variables
    assert one.tile.differing == one.neighbourhood.differing == 81  # all that are near enough to have it in their sum
    assert (one.tile.easting, one.tile.northing) == (here.left + 30 - 240, here.top - 30 + 240)
    assert found.unequal_inputs == {"ab": ["B01"], "dc": ["B01"]}
    assert any("what was read differs between a and b: B01" in line for line in found.verdict())


def test_one_wrong_pixel_beside_the_tile_is_found_in_the_neighbourhood_alone(north: Made, tmp_path: Path) -> None:
    core = north.corner.core(4_800)
    here = replace(
        core, left=core.right + 60, right=core.right + 120, bottom=core.bottom + 1_200, top=core.bottom + 1_260
    )
    safes = {
        key: safe if key[0][3] == "N" else with_wrong_pixel(safe, here, BAND["B01"], tmp_path)
        for key, safe in north.safes.items()
    }
    found = compared(north, safes=tuple(safes.values())).certificate
    assert found.unequal_inputs == {"ab": [], "dc": ["B01"]}
    (one,) = found.variables
    assert one.tile.differing == 0
    assert one.neighbourhood.differing == 3 * 9  # columns of the tile that are near enough
    assert not found.passed


def test_neighbours_that_were_not_given_are_named(north: Made) -> None:
    safes = [safe for key, safe in north.safes.items() if key[0][3] == "N"]
    found = compared(north, safes=tuple(safes)).certificate
    assert not found.identical
    assert any(line.startswith("only the archive had: ") and "_T32VPR_" in line for line in found.verdict())
    (one,) = found.variables
    assert one.tile.differing == 0
    assert one.neighbourhood.differing == 80 * 4


def test_ground_without_data_and_composites_are_refused(north: Made) -> None:
    data = north.corner.scene.frame
    assert data is not None
    beside = replace(north.corner.core(), left=data.left - 1_260, right=data.left - 60)
    with pytest.raises(WorkflowError, match="has no data in"):
        compared(north, core=beside)
    several = replace(user_workflow("tests.workflows.theirs:sums", RADIUS, ["B01"]), per_time=False)
    with pytest.raises(WorkflowError, match="made of several moments"):
        compare(several, subject_of(north))


def test_the_product_in_the_middle_is_compared_unless_one_is_named(north: Made) -> None:
    products = given_products(north.safes.values())
    assert len(around(products, chosen(products))) == len(products)
    last = products[-1].metadata.id
    assert chosen(products, last).metadata.id == last
    with pytest.raises(ProductNotFoundError, match="none of the SAFEs"):
        chosen(products, "S2B_MSIL1C_nothing")


def asked(made: Made, *more: str) -> list[str]:
    core = ",".join(map(str, _edges(made.corner.core(4_800))))
    function = ["tests.workflows.theirs:sums", "--radius", "240m", "--bands", "B01"]
    product = ["--product", made.safes[made.corner.delivered[0]].stem]
    return ["run", *function, "--compare", *map(str, made.safes.values()), "--core", core, *product, *more]


def test_the_command_compares_writes_a_certificate_and_maps(
    north: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, maps = tmp_path / "certificate.json", tmp_path / "maps"
    options = ["--archive", north.archive.store.url, "--certificate", str(certificate), "--maps", str(maps)]
    assert run(asked(north, *options)) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1].endswith(": IDENTICAL")
    assert json.loads(certificate.read_text())["result"] == "identical"
    assert [path.name for path in maps.iterdir()] == ["sums.png"]
    assert run(asked(north, *options)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(asked(north, *options, "--set", "size=25", "--overwrite", "--json")) == 1
    assert json.loads(capsys.readouterr().out) == json.loads(certificate.read_text())
    assert json.loads(certificate.read_text())["radius_holds"] is False


def test_without_an_archive_one_is_made_of_the_safes_and_kept_if_asked(
    north: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    own = north.safes[north.corner.delivered[0]]
    made = replace(north, safes={north.corner.delivered[0]: own})
    assert run(asked(made, "--keep", str(kept))) == 0
    told = capsys.readouterr()
    assert f"storing the products in {kept / 'archive'} (kept)" in told.err
    assert (kept / "archive" / "products" / f"{own.stem}.json").is_file()
    assert run(asked(made, "--keep", str(kept))) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["index", "--compare"], "--compare needs SAFE products", id="no-safe"),
        pytest.param(["index", "--compare", "nowhere.SAFE"], "nowhere.SAFE does not exist", id="absent"),
        pytest.param(
            ["index", "--compare", ".", "--core", "0,0,60,60", "--bbox", "1,2,3,4"], "two ways", id="core-and-bbox"
        ),
        pytest.param(["index", "--compare", ".", "--crs", "EPSG:32632"], "--crs is for --bbox", id="crs"),
        pytest.param(["index", "--compare", ".", "--timeout", "3"], "--timeout is for --command", id="timeout"),
        pytest.param(
            ["--command", "true {safe}", "--compare", ".", "--maps", "x"], "--maps is for workflows", id="maps"
        ),
        pytest.param(["--command", "true", "--compare", "."], "where the SAFE goes", id="command"),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_core_beside_the_tile_is_refused(north: Made, capsys: pytest.CaptureFixture[str]) -> None:
    command = asked(north, "--archive", north.archive.store.url)
    command[command.index("--core") + 1] = "0,0,60,60"
    assert run(command) == 2
    assert "is no part of" in capsys.readouterr().err
    place = command.index("--core")
    command[place : place + 2] = ["--bbox", "1,2,3,4"]
    assert run(command) == 2
    assert "not on the tile" in capsys.readouterr().err


def test_a_function_that_changes_what_it_is_given_is_refused(north: Made) -> None:
    """What it left behind would count as ground that the lone tile lacks: nothing would lie beyond the radius."""
    with pytest.raises(WorkflowError, match="spoiling changes what it is given"):
        compared(north, "spoiling")


def test_a_radius_beyond_which_nothing_lies_is_not_said_to_hold(north: Made) -> None:
    core = north.corner.core(4_800)
    found = compared(north, core=replace(core, left=core.right - 240, bottom=core.bottom, top=core.bottom + 240))
    (line,) = (line for line in found.certificate.verdict() if line.startswith("radius: "))
    assert found.certificate.variables[0].rim[-1].pixels == 0
    assert "it shows nothing here" in line


def test_json_on_standard_output_is_json_whatever_a_function_prints_and_returns(
    north: Made, capfd: pytest.CaptureFixture[str]
) -> None:
    command = asked(north, "--archive", north.archive.store.url, "--json")
    command[1] = "tests.workflows.theirs:endless"
    assert run(command) == 1

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    told = capfd.readouterr()
    document = json.loads(told.out, parse_constant=refuse)
    assert document["result"] == "not identical"
    assert told.err.count("working") > 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["index", "--compare", ".", "--baseline", "05.09"], "--baseline is not for --compare", id="base"),
        pytest.param(["index", "--compare", ".", "--workers", "0"], "--workers is not for --compare", id="workers"),
        pytest.param(["--command", "true {safe}", ".", "--set", "a=b"], "--set is for workflows", id="set"),
        pytest.param(["--command", "true {safe}", ".", "--radius", "9"], "--radius is for workflows", id="radius"),
    ],
)
def test_options_that_would_mean_nothing_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_maps_that_can_t_be_drawn_are_told_before_anything_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "maps").touch()
    assert run(["run", "index", "--compare", str(tmp_path), "--maps", str(tmp_path / "maps")]) == 2
    assert "is no folder" in capsys.readouterr().err
