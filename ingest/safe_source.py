"""A granule of a SAFE as a source: its bands, and everything else that its product's store holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from abut import layout
from abut.layout import BANDS, Band
from catalog.item import make_item
from ingest import images
from ingest.meteorology import read_fields
from ingest.safe import find_granules, granules_of
from ingest.tree import Tree

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from abut.tiling import Tile
    from catalog.item import StoreDescription
    from ingest.container import Container
    from ingest.granule import Granule


def safe_sources(path: str | os.PathLike[str]) -> list[SafeSource]:
    """Return the products of a SAFE folder or zip: one, or one per granule of a multi-granule SAFE.

    Raises
    ------
    InvalidSafeError
        If it is no Level-1C SAFE, or a broken one.
    """
    return [SafeSource(granule) for granule in find_granules(path)]


def sources_of(container: Container) -> list[SafeSource]:
    """Return the products of a SAFE that was opened, as `safe_sources` does."""
    return [SafeSource(granule) for granule in granules_of(container)]


@dataclass(frozen=True, slots=True)
class SafeSource:
    """One granule of a SAFE."""

    granule: Granule
    """The granule."""

    @property
    def id(self) -> str:
        """Product id."""
        return self.granule.metadata.id

    @property
    def tile(self) -> Tile:
        """Its tile."""
        return self.granule.metadata.tile

    @property
    def layer(self) -> str:
        """Zone and full datastrip id."""
        return self.granule.metadata.layer

    @property
    def digest(self) -> str:
        """Digest of the source's metadata and file list."""
        return self.granule.source_digest

    @property
    def bands(self) -> tuple[Band, ...]:
        """All thirteen bands."""
        return BANDS

    @property
    def safe(self) -> Mapping[str, Any]:
        """What writing the SAFE again needs."""
        metadata = self.granule.metadata
        return {
            "name": metadata.safe_name,
            "format": metadata.safe_format,
            "baseline": metadata.processing_baseline,
            "images": {band.band.name: band.image for band in metadata.bands},
            "tci": self.granule.tci,
            "offsets": {band.band.name: band.radio_add_offset for band in metadata.bands},
            "missing": list(self.granule.missing),
            "source": self.granule.source_digest,
        }

    @property
    def paths(self) -> list[str]:
        """Paths in the SAFE of all files that are read: the true colour image is not."""
        metadata = self.granule.metadata
        return [*(band.image for band in metadata.bands), *(file.path for file in self.granule.files)]

    def check(self) -> None:
        """Compare every file with the manifest; nothing is decoded."""
        for band in self.granule.metadata.bands:
            self.granule.check(band.image)
        for file in self.granule.files:
            self.granule.check(file.path)

    def strips(self, band: Band) -> Iterator[NDArray[np.uint16]]:
        """Decode a band, each tile row of its JP2 once."""
        return images.band_strips(self.granule, band)

    def extras(self, masks: dict[str, str], profile: str) -> Iterator[tuple[str, bytes]]:
        """Yield the Zarr tree with masks and angles, and the legacy files byte for byte."""
        tree = Tree(self.granule.metadata, profile)
        self._add_masks(tree, masks)
        for name, field in read_fields(self.granule).items():
            tree.add_array(f"{layout.METEOROLOGY}/{name}", field.values, field.dimensions, **field.attributes)
        yield from tree.objects()
        for file in self.granule.files:
            yield f"{layout.LEGACY}/{file.path}", self.granule.read(file.path)

    def item(self, written: StoreDescription) -> dict[str, Any]:
        """Return the STAC item."""
        made: dict[str, Any] = make_item(self.granule.metadata, written).to_dict(transform_hrefs=False)
        return made

    def _add_masks(self, tree: Tree, masks: dict[str, str]) -> None:
        for band in sorted(BANDS, key=lambda band: band.resolution):  # equal tiles of one size after each other
            detectors = images.detector_strips(self.granule, band)
            if detectors is not None:
                path = f"{layout.DETECTOR_FOOTPRINT}/{band.group}"
                digest = tree.add_mask(path, band.resolution, band.name, detectors, _DETECTORS)
                masks[f"detector_footprint/{band.name}"] = digest
            quality = images.quality_strips(self.granule, band)
            if quality is not None:
                path = f"{layout.QUALITY}/{band.group}"
                masks[f"quality/{band.name}"] = tree.add_mask(path, band.resolution, band.name, quality, _QUALITY)
        classes = images.classification(self.granule)
        if classes is not None:
            masks["classification"] = tree.add_mask(layout.CLASSIFICATION, 60, None, [classes], _CLASSES)


def _flags(names: tuple[str, ...]) -> dict[str, Any]:
    return {"flag_masks": [1 << bit for bit in range(len(names))], "flag_meanings": " ".join(names).lower()}


_DETECTORS: dict[str, Any] = {"long_name": "Detector that saw the pixel, 1 ... 12; 0 none", "valid_max": 12}
_QUALITY: dict[str, Any] = {"long_name": "Quality: the eight planes of MSK_QUALIT", **_flags(layout.QUALITY_BITS)}
_CLASSES: dict[str, Any] = {"long_name": "Clouds, snow and ice", **_flags(layout.CLASSIFICATION_BITS)}
