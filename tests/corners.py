"""Products over the made-up landscape, made once a run."""

from __future__ import annotations

import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from abut.archive import open_archive
from abut.testing import make_safe
from ingest.ingest import ingest
from ingest.safe_source import safe_sources
from tests.conftest import once, own
from tests.workflows.products import NEXT_ZONE, NORTH, SOUTH, Corner, Made, make_archive, make_safes, safes_in

if TYPE_CHECKING:
    from types import ModuleType

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"


def _made(corner: Corner, factory: pytest.TempPathFactory, beside: Corner | None = None) -> Made:
    safes, others = _safes(corner, factory), _safes(beside, factory) if beside else {}
    paths = [*safes.values(), *others.values()]
    archive = once(factory, f"{corner.name}_archive", lambda folder: make_archive(paths, folder))
    return Made(corner, safes, own(archive, factory))


def _safes(corner: Corner, factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    return safes_in(corner, once(factory, f"{corner.name}_safes", lambda folder: make_safes(corner, folder)))


@pytest.fixture(scope="session")
def north(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Four tiles that meet in the north, beside the edge of a swath, offset -1000; not to be changed.

    The archive has a product of the next zone, too.
    """
    return _made(NORTH, tmp_path_factory, NEXT_ZONE)


@pytest.fixture(scope="session")
def south(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Four tiles that meet in the south, one of them in two datastrips, no offset; not to be changed."""
    return _made(SOUTH, tmp_path_factory)


def of_notebooks(name: str) -> ModuleType:
    """A module beside the notebooks, which are no package."""
    spec = spec_from_file_location(f"notebooks_{name}", NOTEBOOKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="session")
def two_dates(north: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the northern SAFEs, that of the tile ten days before, and an ``archive``; not to be changed."""
    return once(tmp_path_factory, "two_dates", lambda folder: _fill(folder, north))


def _fill(folder: Path, north: Made) -> None:
    folder.mkdir()
    for safe in north.safes.values():
        (folder / safe.name).symlink_to(safe)
    before = make_safe(of_notebooks("data").second_date(), NORTH.tile, folder)
    shutil.copytree(north.archive.store.url, folder / "archive")
    for source in safe_sources(before):
        ingest(open_archive(folder / "archive"), source)
