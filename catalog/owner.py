"""Whose a catalogue is: it lists the items of one archive, which is written in it when the archive first uses it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abut.archive import identified
from abut.errors import InvalidArchiveError

if TYPE_CHECKING:
    from abut.archive import Archive
    from catalog.interface import Catalogue


@dataclass(frozen=True, slots=True)
class Owner:
    """An archive, as a catalogue knows it."""

    id: str
    """Its id, see `abut.archive.Archive.id`."""
    url: str = ""
    """Where it lay when it first used the catalogue; empty if that is not known."""

    def __str__(self) -> str:
        return f"{self.url} (id {self.id})" if self.url else f"of id {self.id}"


def encoded(owner: Owner) -> str:
    """Return an owner as a catalogue keeps it."""
    return json.dumps({"id": owner.id, "url": owner.url})


def decoded(text: str) -> Owner:
    """Return what `encoded` was given."""
    kept = json.loads(text)
    return Owner(kept["id"], kept["url"])


def require_own(catalogue: Catalogue, archive: Archive, *, claim: bool) -> None:
    """See that a catalogue is an archive's, and not another's: whoever repairs it removes what it should not list.

    Parameters
    ----------
    catalogue : Catalogue
        The catalogue.
    archive : Archive
        The archive.
    claim : bool
        Whether to make it the archive's if it is nobody's yet. Without, one that is nobody's will do.

    Raises
    ------
    InvalidArchiveError
        If it is another archive's.
    """
    if claim:
        archive = identified(archive)
    own = Owner(archive.id, archive.store.url)
    owner = catalogue.owner()
    if owner is None and claim:
        owner = catalogue.claim(own)
    if owner is not None and archive.id and owner.id != archive.id:
        raise InvalidArchiveError(
            f"{catalogue.url}: is the catalogue of the archive {owner}, not of {own}; `abut catalog migrate --to ... "
            "--switch` gives this one a catalogue of its own"
        )
