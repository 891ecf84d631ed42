"""The notebooks run, on the products of the tests, and what is committed of them is what they give."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.corners import NOTEBOOKS as HERE
from tests.corners import of_notebooks
from tests.workflows.products import NORTH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PICTURES = HERE.parent / "pictures"
NAMES = ("adjacency", "clouds", "composites", "landcover")


@pytest.fixture(name="fresh", scope="module")
def _fresh(two_dates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebooks and pictures of a run of their own."""
    folder = tmp_path_factory.mktemp("fresh")
    environment = {**os.environ, "ABUT_NOTEBOOK_DATA": str(two_dates), "HOME": str(tmp_path_factory.mktemp("home"))}
    done = subprocess.run(
        [sys.executable, HERE / "run.py", folder], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return folder


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (cell for cell in notebook["cells"] if cell["cell_type"] == "code")


def test_the_products_of_the_tests_are_those_that_the_notebooks_make() -> None:
    """So results of the one are results of the other."""
    scene = of_notebooks("data").first_date()
    for name in ("texture", "frame", "swath", "datatake_start", "clouds", "seed", "baseline", "strips"):
        assert getattr(scene, name) == getattr(NORTH.scene, name), name


def test_every_notebook_runs_and_its_claims_hold(fresh: Path) -> None:
    assert {path.stem for path in fresh.glob("*.ipynb")} == set(NAMES) == {path.stem for path in HERE.glob("*.ipynb")}
    for name in NAMES:
        said = "".join(line for cell in cells(read(HERE / f"{name}.ipynb")) for line in cell["source"])
        assert said.count("assert ") >= 4, name


@pytest.mark.parametrize("name", NAMES)
def test_committed_outputs_are_those_of_this_version(name: str, fresh: Path) -> None:
    assert texts(read(HERE / f"{name}.ipynb")) == texts(read(fresh / f"{name}.ipynb"))


def texts(notebook: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """What each cell says in words and numbers."""
    return [
        ("".join(cell["source"]), ["".join(one["text"]) for one in cell["outputs"] if one["output_type"] == "stream"])
        for cell in cells(notebook)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_committed_is_small_and_tells_nothing_of_a_machine(name: str) -> None:
    path = HERE / f"{name}.ipynb"
    assert path.stat().st_size < 400_000
    notebook = read(path)
    outputs = [one for cell in cells(notebook) for one in cell["outputs"]]
    assert {one["output_type"] for one in outputs} == {"stream", "display_data"}
    assert {one["name"] for one in outputs if one["output_type"] == "stream"} == {"stdout"}
    assert sum("image/png" in one.get("data", {}) for one in outputs) >= 2
    assert [cell["execution_count"] for cell in cells(notebook)] == list(range(1, len([*cells(notebook)]) + 1))
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    words = re.sub(r'"image/png": "[^"]*"', "", path.read_text())
    assert not re.search(
        r"(?<![\w.)*])/(home|root|tmp|work|usr|Users|var)/|site-packages|Warning|Traceback|0x[0-9a-f]{6}", words
    )


def test_the_pictures_of_the_documentation_are_those_of_the_notebooks() -> None:
    nbformat = pytest.importorskip("nbformat")
    run = of_notebooks("run")
    text = (HERE.parent / "workflows.md").read_text()
    found: dict[str, bytes] = {}
    for name in NAMES:
        found |= run.pictures(nbformat.read(HERE / f"{name}.ipynb", as_version=4))
    assert set(found) == {"lone-clouds", "lone-adjacency", "lone-classes"}
    for name, image in found.items():
        assert (PICTURES / f"{name}.png").read_bytes() == image
        assert len(image) < 150_000
        assert f"pictures/{name}.png" in text
