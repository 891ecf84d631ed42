"""What a search found, sorted: what is to be ingested, what the archive has, and what can't be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingest.job import Failure
from ingest.remote.known import known_by_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from abut.archive import Archive
    from ingest.ingest import Outcome
    from ingest.remote.address import Address
    from ingest.remote.search import Found


@dataclass(slots=True)
class Chosen:
    """What becomes of what a search found."""

    addresses: list[str | Address] = field(default_factory=list)
    """What is to be ingested."""
    skipped: list[Outcome] = field(default_factory=list)
    """What the archive has, by its id."""
    failed: list[Failure] = field(default_factory=list)
    """What has no SAFE, or was not found."""
    ids: dict[str, str] = field(default_factory=dict)
    """Ids of items by the paths of failures: URLs of their SAFEs, or the ids themselves."""

    def id_of(self, failure: Failure) -> str:
        """Return the id of the item that failed; of another SAFE its path."""
        return self.ids.get(failure.path, failure.path)


def choose(archive: Archive, found: Iterable[Found], limit: int | None = None) -> Chosen:
    """Sort what a search found; nothing is fetched.

    Parameters
    ----------
    archive : Archive
        The archive: products that are live in it are left alone, by their ids.
    found : iterable of Found
        See `ingest.remote.search.search`; read as far as is needed.
    limit : int, optional
        Most products to ingest; those that the archive has, and those that can't be, don't count.
    """
    chosen = Chosen()
    for one in found:
        known = known_by_id(archive, one.product) if one.product else None
        if known is not None:
            chosen.skipped.append(known)
        elif one.address is None:
            chosen.failed.append(Failure(one.id, one.product or None, one.error, ""))
            chosen.ids[one.id] = one.id
        elif limit is not None and len(chosen.addresses) >= limit:
            break
        else:
            chosen.addresses.append(one.address)
            chosen.ids[one.address.url] = one.id
    return chosen
