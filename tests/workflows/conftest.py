"""Products over the made-up landscape, made once a run."""

from __future__ import annotations

import pytest

from tests.conftest import once, own
from tests.workflows.products import NORTH, SOUTH, Corner, Made, make_archive, make_safes, safes_in


def _made(corner: Corner, factory: pytest.TempPathFactory) -> Made:
    safes = safes_in(corner, once(factory, f"{corner.name}_safes", lambda folder: make_safes(corner, folder)))
    archive = once(factory, f"{corner.name}_archive", lambda folder: make_archive(safes, folder))
    return Made(corner, safes, own(archive, factory))


@pytest.fixture(scope="session")
def north(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Four tiles that meet in the north, beside the edge of a swath; baseline 05.11; not to be changed."""
    return _made(NORTH, tmp_path_factory)


@pytest.fixture(scope="session")
def south(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Four tiles that meet in the south, one of them in two datastrips; baseline 02.04; not to be changed."""
    return _made(SOUTH, tmp_path_factory)
