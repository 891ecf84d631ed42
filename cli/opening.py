"""Opening the archive that a command works on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from abut.archive import create_archive, identified, open_archive
from abut.catalogue import path_of, without_secrets
from abut.codec import PROFILES
from abut.errors import InvalidArchiveError
from abut.writable import require_conditional_writes
from catalog.opening import open_catalogue, reached_by

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


def make_archive(url: str, profile: str | None, catalogue: str | None) -> Archive:
    """Open an archive for writing, or make it if there is none.

    Parameters
    ----------
    url : str
        Where it is.
    profile : str, optional
        Encoding of a new one; one that is there must have it.
    catalogue : str, optional
        Catalogue of a new one, or how that of one that is there is reached.

    Raises
    ------
    InvalidArchiveError
        If it has another profile or catalogue, or the catalogue is that of another archive.
    UnsupportedStoreError
        If the store lacks locks or conditional writes, or can't be written.
    CatalogueError
        If the catalogue of a new archive can't be reached.
    """
    opened = _made(url, profile or PROFILES[0], catalogue)
    if profile is not None and opened.profile != profile:
        raise InvalidArchiveError(f"{opened.store.url}: an archive of profile {opened.profile!r}, not {profile!r}")
    return reached_by(opened, catalogue or "")


def _made(url: str, profile: str, catalogue: str | None) -> Archive:
    """Open an archive, or make one; its catalogue must answer, and be no other's, before it is written down."""
    if catalogue:
        try:
            open_archive(url)
        except InvalidArchiveError:
            _require_free(catalogue, None if url.startswith("s3://") else Path(url))
    return create_archive(url, profile=profile, catalogue=without_secrets(catalogue) if catalogue else None)


def _require_free(catalogue: str, folder: Path | None) -> None:
    """See that a catalogue can be that of a new archive; a file that is not there can."""
    path = path_of(catalogue, folder)
    if path is not None and not path.is_file():
        return
    with open_catalogue(path or catalogue) as opened:
        owner = opened.owner()
        if owner is not None:
            raise InvalidArchiveError(
                f"{opened.url}: is the catalogue of the archive {owner}; a new one needs a catalogue of its own"
            )
