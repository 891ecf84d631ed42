"""A SAFE product, folder or zip, of any baseline: its granules with all that their metadata says."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from abut.errors import InvalidSafeError
from abut.layout import BANDS
from abut.metadata import BandMetadata, ProductMetadata
from ingest.container import MANIFEST, open_container, read_whole
from ingest.granule import Granule, LegacyFile
from ingest.granule_files import own_paths, resolve_files
from ingest.granule_xml import read_granule
from ingest.manifest import read_manifest
from ingest.product_xml import read_product
from ingest.xmlfile import MAX_XML_BYTES, read_xml

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from ingest.container import Container
    from ingest.granule_files import GranuleFiles
    from ingest.granule_xml import GranuleXml
    from ingest.manifest import Manifest, ManifestEntry
    from ingest.product_xml import ListedGranule, ProductXml

_ID = re.compile(r"S2[A-Z][A-Za-z0-9_.-]{1,199}", re.ASCII)


def find_granules(path: str | os.PathLike[str]) -> list[Granule]:
    """Return the granules of a SAFE, each of which becomes one product. No pixels are read.

    The file lists of the metadata are followed, not name patterns.

    Parameters
    ----------
    path : path
        A SAFE folder, or a zip that holds one; compact (since 12/2016) or multi-granule format.

    Returns
    -------
    list of Granule
        In the order of the product's list; one for a compact product.

    Raises
    ------
    InvalidSafeError
        If it is no Level-1C SAFE, or one that is incomplete, hostile, or contradicts the tiling grid. The message is
        one line that names file and value.
    """
    return granules_of(open_container(path))


def granules_of(container: Container) -> list[Granule]:
    """Return the granules of a SAFE that was opened, as `find_granules` does."""
    sizes = container.sizes()
    manifest = read_manifest(read_xml(container, MANIFEST))
    product_path = manifest.product_metadata or _product_path(container, sizes)
    product = read_product(read_xml(container, product_path))
    names = [listed.id for listed in product.granules]
    if len(set(names)) != len(names) or (len(names) > 1 and any(listed.compact for listed in product.granules)):
        raise InvalidSafeError(f"{container.label(product_path)}: lists granules twice, or several in compact format")
    return [
        _granule(container, sizes, manifest, product, product_path=product_path, listed=listed)
        for listed in product.granules
    ]


def _product_path(container: Container, sizes: Mapping[str, int]) -> str:
    paths = [path for path in sizes if "/" not in path and "MTD" in path and path.lower().endswith(".xml")]
    if len(paths) != 1:
        raise InvalidSafeError(f"{container.source}: {len(paths)} product metadata files (MTD_MSIL1C.xml)")
    return paths[0]


def _granule(
    container: Container,
    sizes: Mapping[str, int],
    manifest: Manifest,
    product: ProductXml,
    *,
    product_path: str,
    listed: ListedGranule,
) -> Granule:
    found = resolve_files(container, sizes, manifest, listed)
    xml = read_granule(read_xml(container, found.metadata))
    if (xml.granule_id, xml.datastrip_id) != (listed.id, listed.datastrip_id):
        raise InvalidSafeError(
            f"{container.label(found.metadata)}: TILE_ID {xml.granule_id}, DATASTRIP_ID {xml.datastrip_id}, "
            f"but the product lists {listed.id[:200]!r}, {listed.datastrip_id[:200]!r}"
        )
    alone = len(product.granules) == 1
    own = own_paths(sizes, manifest, found.folder, listed.datastrip_id, alone=alone)
    images = {*found.images.values(), found.tci}
    entries = {path: manifest.entries[path] for path in own if path in manifest.entries}
    return Granule(
        source=container.source,
        metadata=_metadata(container, product, xml, found, compact=listed.compact),
        files=tuple(LegacyFile(path, sizes[path]) for path in own if path in sizes and path not in images),
        tci=found.tci,
        missing=tuple(path for path in own if path not in sizes),
        source_digest=_source_digest(
            container, (MANIFEST, product_path, found.metadata), {p: sizes[p] for p in own if p in sizes}, entries
        ),
        masks=found.resolve_masks(container, sizes, xml.masks),
        manifest=entries,
        container=container,
    )


def _source_digest(
    container: Container,
    metadata: tuple[str, ...],
    sizes: Mapping[str, int],
    entries: Mapping[str, ManifestEntry],
) -> str:
    digest = hashlib.sha256()
    for path in metadata:
        content = hashlib.sha256(read_whole(container, path, MAX_XML_BYTES)).hexdigest()
        digest.update(f"{path}\0{content}\n".encode())
    for path, size in sorted(sizes.items()):
        entry = entries.get(path)
        digest.update(f"{path}\0{size}\0{entry.checksum if entry else ''}\n".encode())
    return digest.hexdigest()


def _names(container: Container, product: ProductXml, folder: str, *, compact: bool) -> tuple[str, str]:
    """Return product id and name of the SAFE."""
    stem = re.sub(r"\.safe$", "", container.name, flags=re.IGNORECASE)
    if not compact:
        product_id = folder.rsplit("/", 1)[-1]
    elif product.uri.endswith(".SAFE") and _ID.fullmatch(product.uri):
        # Folders get renamed; what the metadata says stays.
        product_id = stem = product.uri.removesuffix(".SAFE")
    else:
        product_id = stem
    for name in (product_id, stem):
        if not _ID.fullmatch(name):
            raise InvalidSafeError(f"{container.source}: {name[:200]!r} can't be the name of a product")
    return product_id, f"{stem}.SAFE"


def _metadata(
    container: Container, product: ProductXml, xml: GranuleXml, found: GranuleFiles, *, compact: bool
) -> ProductMetadata:
    product_id, safe_name = _names(container, product, found.folder, compact=compact)
    cloud = xml.cloud_percentage if xml.cloud_percentage is not None else product.cloud_percentage
    return ProductMetadata(
        id=product_id,
        safe_name=safe_name,
        safe_format="compact" if compact else "multi-granule",
        tile=xml.tile,
        granule_id=xml.granule_id,
        datastrip_id=xml.datastrip_id,
        datatake_id=product.datatake_id,
        datatake_type=product.datatake_type,
        datatake_start=product.datatake_start,
        datastrip_start=xml.datastrip_start,
        sensing_time=xml.sensing_time,
        product_start=product.product_start,
        product_stop=product.product_stop,
        generation_time=product.generation_time,
        spacecraft=product.spacecraft,
        processing_baseline=product.processing_baseline,
        product_type=product.product_type,
        product_doi=product.product_doi,
        relative_orbit=product.relative_orbit,
        absolute_orbit=product.absolute_orbit,
        orbit_direction=product.orbit_direction,
        quantification_value=product.quantification_value,
        special_values=product.special_values,
        reflectance_conversion_u=product.reflectance_conversion_u,
        cloud_percentage=cloud,
        nodata_percentage=xml.nodata_percentage,
        degraded_percentage=xml.degraded_percentage,
        mean_sun_zenith=xml.mean_sun_zenith,
        mean_sun_azimuth=xml.mean_sun_azimuth,
        sun_angles=xml.sun_angles,
        view_angles=xml.view_angles,
        bands=_bands(product, xml, found.images),
    )


def _bands(product: ProductXml, xml: GranuleXml, images: Mapping[str, str]) -> tuple[BandMetadata, ...]:
    return tuple(
        BandMetadata(
            band=band,
            image=images[band.name],
            radio_add_offset=calibration.radio_add_offset,
            solar_irradiance=calibration.solar_irradiance,
            physical_gain=calibration.physical_gain,
            wavelength_min=calibration.wavelength_min,
            wavelength_central=calibration.wavelength_central,
            wavelength_max=calibration.wavelength_max,
            response_step=calibration.response_step,
            response=calibration.response,
            mean_view_zenith=zenith,
            mean_view_azimuth=azimuth,
        )
        for band, calibration, (zenith, azimuth) in zip(BANDS, product.bands, xml.mean_view, strict=True)
    )
