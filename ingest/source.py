"""What the writer needs of a product: any source of granules that can say this can be ingested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from abut.layout import Band
    from abut.tiling import Tile


class Source(Protocol):
    """One product that can be ingested."""

    @property
    def id(self) -> str:
        """Product id."""

    @property
    def tile(self) -> Tile:
        """Its tile."""

    @property
    def layer(self) -> str:
        """Name of the layer that it asks for: zone and full datastrip id."""

    @property
    def digest(self) -> str:
        """SHA-256 that names this source's files, so that an interrupted run knows what it had begun, hex."""

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands that it has."""

    @property
    def safe(self) -> Mapping[str, Any]:
        """What writing the SAFE again needs, as JSON values."""

    def check(self) -> None:
        """Verify that the files are whole without decoding them; `InvalidSafeError` if they are not."""

    def strips(self, band: Band) -> Iterator[NDArray[np.uint16]]:
        """Yield a band's rows, north to south, in strips of shape (rows, 109800 / resolution)."""

    def extras(self, masks: dict[str, str], profile: str) -> Iterator[tuple[str, bytes]]:
        """Yield every object that is no band block or overview, key and bytes; note mask digests in `masks`.

        The band arrays are declared with the encoding of a profile, see `abut.codec`.
        """

    def item(self, written: Any) -> dict[str, Any]:
        """Return the STAC item of what was written (a `catalog.item.StoreDescription`)."""
