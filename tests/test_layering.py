"""Who may import whom, and what the light installation can do without."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "abut": {"abut"},
    "catalog": {"abut", "catalog"},
    "ingest": {"abut", "catalog", "ingest"},
    "services": {"abut", "catalog", "services", "workflows"},
    "workflows": {"workflows"},
    "workflows/runs": {"abut", "catalog", "ingest", "workflows"},
    "cli": {"abut", "catalog", "ingest", "services", "workflows", "cli"},
}
HEAVY = ("rasterio", "dask", "distributed", "defusedxml", "fastapi", "starlette", "titiler")


def modules(package: str) -> Iterator[Path]:
    """Modules of a package, but for those of packages inside that have rules of their own."""
    apart = [ROOT / name for name in ALLOWED if name.startswith(f"{package}/")]
    return (path for path in (ROOT / package).rglob("*.py") if not any(path.is_relative_to(one) for one in apart))


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_arrows_go_down_only(package: str) -> None:
    ours = {*(name for name in ALLOWED if "/" not in name), "benchmarks", "tests"}
    for path in modules(package):
        tops = {name.partition(".")[0] for name in imported(path)} & ours
        assert tops <= ALLOWED[package], f"{path.relative_to(ROOT)} imports {tops - ALLOWED[package]}"


def test_what_computes_knows_nothing_of_what_runs_it() -> None:
    for path in (*modules("workflows"), *modules("services")):
        assert not {name for name in imported(path) if name.startswith("workflows.runs")}, path


def test_the_maker_of_products_shares_no_code_with_the_reader() -> None:
    for path in modules("abut/testing"):
        assert not {name for name in imported(path) if name.startswith(("ingest", "catalog", "abut.export"))}
    for package in ("ingest", "catalog", "abut"):
        for path in modules(package):
            if "testing" not in path.parts:
                assert not {name for name in imported(path) if name.startswith("abut.testing")}


def test_reading_an_archive_needs_no_extra() -> None:
    script = f"""
import sys
for name in {HEAVY!r}: sys.modules[name] = None
import abut.archive, abut.legacy, abut.masks, abut.ledger, abut.view, abut.finding_api, catalog, catalog.sqlite
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_a_command_that_needs_an_extra_says_which(tmp_path: Path) -> None:
    script = """
import sys
for name in ("rasterio", "affine"): sys.modules[name] = None
from cli.main import run
sys.exit(run(["ingest", ".", "--archive", sys.argv[1]]))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "archive")]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "is not installed: pip install 'abut[ingest]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_file_is_long() -> None:
    for package in ALLOWED:
        for path in modules(package):
            assert len(path.read_text().splitlines()) <= 350, path
