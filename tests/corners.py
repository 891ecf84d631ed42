"""Products over the made-up landscape, made once a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import once, own
from tests.workflows.products import NEXT_ZONE, NORTH, SOUTH, Corner, Made, make_archive, make_safes, safes_in

if TYPE_CHECKING:
    from pathlib import Path


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
