"""Opening the archive that a command works on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from abut.archive import identified, open_archive
from abut.store import require_conditional_writes
from catalog.opening import reached_by

if TYPE_CHECKING:
    from abut.archive import Archive

CATALOGUE: Final = "ABUT_CATALOGUE"
"""Environment variable that says how an archive's catalogue is reached; that of new archives."""


def open_for_writing(url: str) -> Archive:
    """Open an archive that exists, and probe that it can be written.

    Raises
    ------
    InvalidArchiveError
        If there is none, or ABUT_CATALOGUE names another catalogue than its own.
    UnsupportedStoreError
        If the store lacks locks or conditional writes, or can't be written.
    """
    archive = open_with_catalogue(url)
    require_conditional_writes(archive.store)
    return identified(archive)


def open_with_catalogue(url: str) -> Archive:
    """Open an archive whose catalogue is used.

    Raises
    ------
    InvalidArchiveError
        If there is none, or ABUT_CATALOGUE names another catalogue than its own.
    """
    return reached_by(open_archive(url), os.environ.get(CATALOGUE, ""))
