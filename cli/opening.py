"""Opening the archive that a command works on."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

from abut.archive import Archive, open_archive
from abut.catalogue import same, without_secrets
from abut.errors import InvalidArchiveError
from abut.store import require_conditional_writes

CATALOGUE: Final = "ABUT_CATALOGUE"
"""Environment variable that names the catalogue: that of new archives, and perhaps how an archive's own is reached."""


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
    return archive


def open_with_catalogue(url: str) -> Archive:
    """Open an archive whose catalogue is used.

    Raises
    ------
    InvalidArchiveError
        If there is none, or ABUT_CATALOGUE names another catalogue than its own.
    """
    return reached_by(open_archive(url), os.environ.get(CATALOGUE, ""))


def reached_by(archive: Archive, catalogue: str) -> Archive:
    """Return an archive whose catalogue is reached by a URL that may have a password in it.

    Nothing is ever registered in one catalogue while the archive names another.

    Raises
    ------
    InvalidArchiveError
        If that is another catalogue than the archive's.
    """
    if not catalogue:
        return archive
    if not same(catalogue, archive.catalogue, archive.store.root):
        own = repr(archive.catalogue) if archive.catalogue else "none"
        raise InvalidArchiveError(
            f"{archive.store.url}: its catalogue is {own}, not {without_secrets(catalogue)!r} as --catalogue or "
            f"{CATALOGUE} says (`abut catalog migrate --switch` changes it)"
        )
    return replace(archive, catalogue=catalogue)
