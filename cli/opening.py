"""Opening the archive that a command works on."""

from __future__ import annotations

from abut.archive import Archive, open_archive
from abut.store import require_conditional_writes


def open_for_writing(url: str) -> Archive:
    """Open an archive that exists, and probe that it can be written.

    Raises
    ------
    InvalidArchiveError
        If there is none.
    UnsupportedStoreError
        If the store lacks locks or conditional writes, or can't be written.
    """
    archive = open_archive(url)
    require_conditional_writes(archive.store)
    return archive
