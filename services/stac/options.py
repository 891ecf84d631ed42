"""What an operator decides about the STAC API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stac_fastapi.types.extension import ApiExtension

DESCRIPTION: Final = (
    "Sentinel-2 Level-1C, stored once: products are Zarr arrays cut into blocks that neighbouring tiles share. "
    "`latest=true` leaves superseded products out; `complete=true` adds the products that hold shared blocks."
)


@dataclass(frozen=True, slots=True)
class LandingLink:
    """A link of the landing page to a service that is mounted beside the STAC API."""

    rel: str
    """Relation, such as ``preview``."""
    href: str
    """URL, or where it is seen from the API's own: ``../tiles`` is beside it."""
    type: str
    """Media type."""
    title: str
    """What it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the STAC API; the defaults serve an archive read-only."""

    id: str = "abut"
    """Id of the landing page."""
    title: str = "Abut"
    """Its title."""
    description: str = DESCRIPTION
    """Its description, CommonMark."""
    archive: str = ""
    """Id of the archive that is served, for those who would register another one's products; empty: not told."""
    links: tuple[LandingLink, ...] = ()
    """Its further links."""
    origins: tuple[str, ...] = ("*",)
    """Web sites whose pages may read answers (CORS)."""
    max_body: int = 1_000_000
    """Largest body of a search, in bytes."""
    max_written_body: int = 64_000_000
    """Largest body of a transaction, in bytes."""
    max_url: int = 32_000
    """Longest path and query, in bytes."""
    extent_seconds: float = 5.0
    """For how long the extent of a collection is not asked again of the database."""
    transactions: tuple[ApiExtension, ...] = ()
    """Extensions that write; none: the API is read-only."""
