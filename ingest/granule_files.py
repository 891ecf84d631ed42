"""Which files of a SAFE are a granule's own, and which of them are its images, masks and metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from abut.errors import InvalidSafeError
from abut.layout import BANDS
from ingest.container import relative_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ingest.container import Container
    from ingest.granule_xml import ListedMask
    from ingest.manifest import Manifest
    from ingest.product_xml import ListedGranule

DROPPINGS: Final = (".aux.xml", ".ovr", ".idx", ".DS_Store", "Thumbs.db", "desktop.ini", "~")
"""Ends of the names of files that viewers and GRIB readers leave behind. Where the manifest doesn't list them they are
no part of the product, so that one that was looked at stays the same product."""

MASK_KINDS: Final = frozenset(
    f"MSK_{name}" for name in ("DETFOO", "QUALIT", "CLASSI", "CLOUDS", "DEFECT", "SATURA", "NODATA", "TECQUA")
)
"""Types of masks that are read."""

_IMAGE = re.compile(r".+_(B\d\d|B8A|TCI)", re.ASCII)
_SUFFIXES: Final = ("", ".jp2", ".gml")


@dataclass(frozen=True, slots=True)
class GranuleFiles:
    """The files of a granule that have a meaning to Abut, as paths relative to the SAFE folder."""

    folder: str
    """Its folder, such as ``GRANULE/L1C_T32TNM_A008785_20170226T102458``."""
    metadata: str
    """Its metadata file."""
    images: Mapping[str, str]
    """Images of the thirteen bands by band name."""
    tci: str | None
    """True colour image, if one is listed."""

    def resolve_masks(
        self, container: Container, sizes: Mapping[str, int], listed: Iterable[ListedMask]
    ) -> dict[tuple[str, str | None], str]:
        """Return the paths of the granule's masks by type and band.

        Raises
        ------
        InvalidSafeError
            If one is missing, or two are listed for the same type and band.
        """
        found: dict[tuple[str, str | None], str] = {}
        where = container.label(self.metadata)
        for mask in listed:
            if mask.kind not in MASK_KINDS:
                continue
            name = relative_path(mask.name, where)
            # Old lists have names without folder, or with a folder of another name than the real one.
            bases = (name, f"{self.folder}/QI_DATA/{name.rsplit('/', 1)[-1]}")
            path = next((base + suffix for base in bases for suffix in _SUFFIXES if base + suffix in sizes), None)
            if path is None:
                raise InvalidSafeError(f"{container.label(name)}: missing, but listed in {where}")
            if found.setdefault((mask.kind, mask.band), path) != path:
                raise InvalidSafeError(f"{where}: two masks {mask.kind} of band {mask.band}: {path}")
        return found


def resolve_files(
    container: Container, sizes: Mapping[str, int], manifest: Manifest, listed: ListedGranule
) -> GranuleFiles:
    """Return the files that a granule's entry in the product's list stands for.

    Parameters
    ----------
    container : Container
        The SAFE, for messages.
    sizes : mapping of str to int
        Its files.
    manifest : Manifest
        Its manifest.
    listed : ListedGranule
        The entry.

    Raises
    ------
    InvalidSafeError
        If a band is missing or listed twice, an image belongs to no band, or there is no metadata file.
    """
    where = f"{container.source}: granule {listed.id[:200]!r}"
    names = [relative_path(name, where) for name in listed.images]
    if not listed.compact:
        folder = f"GRANULE/{relative_path(listed.id, where)}"
        names = [f"{folder}/IMG_DATA/{name}" for name in names]
    images: dict[str, str] = {}
    for name in names:
        match = _IMAGE.fullmatch(name.removesuffix(".jp2"))
        if match is None:
            raise InvalidSafeError(f"{where} lists {name!r}, an image of no band")
        path = name.removesuffix(".jp2") + ".jp2"
        if match[1] in images:
            raise InvalidSafeError(f"{where} lists band {match[1]} twice: {path}")
        if path not in sizes:
            raise InvalidSafeError(f"{container.label(path)}: missing")
        images[match[1]] = path
    tci = images.pop("TCI", None)
    if set(images) != {band.name for band in BANDS}:
        missing = [band.name for band in BANDS if band.name not in images]
        raise InvalidSafeError(f"{where} lists no image of {', '.join(missing) or 'the thirteen bands alone'}")
    folders = {path.rsplit("/", 2)[0] for path in images.values() if path.count("/") > 1}
    if len(folders) != 1:
        raise InvalidSafeError(f"{where} has its images in {len(folders)} granule folders")
    folder = folders.pop()
    return GranuleFiles(folder, _metadata_path(container, sizes, manifest, folder), images, tci)


def own_paths(
    sizes: Mapping[str, int], manifest: Manifest, folder: str, datastrip_id: str, *, alone: bool
) -> tuple[str, ...]:
    """Return the paths that belong to a granule, sorted: files that are there, and those that the manifest lists.

    In a SAFE with several granules each has the product's own files, its datastrip's and its own.

    Parameters
    ----------
    sizes : mapping of str to int
        Files of the SAFE.
    manifest : Manifest
        Its manifest.
    folder : str
        Folder of the granule.
    datastrip_id : str
        Its datastrip; the name of a datastrip's folder is its id or a part of it.
    alone : bool
        Whether it is the only granule, to which everything belongs.
    """

    def belongs(path: str) -> bool:
        if path in manifest.entries or not path.endswith(DROPPINGS):
            kind, _, rest = path.partition("/")
            if alone or not rest or kind not in ("GRANULE", "DATASTRIP"):
                return True
            return path.startswith(f"{folder}/") if kind == "GRANULE" else rest.partition("/")[0] in datastrip_id
        return False

    return tuple(sorted(path for path in {*sizes, *manifest.entries} if belongs(path)))


def _metadata_path(container: Container, sizes: Mapping[str, int], manifest: Manifest, folder: str) -> str:
    listed = [path for path in manifest.tile_metadata if path.rpartition("/")[0] == folder]
    there = [path for path in sizes if path.rpartition("/")[0] == folder and path.lower().endswith(".xml")]
    paths = listed or there
    if len(paths) != 1:
        raise InvalidSafeError(f"{container.label(folder)}: {len(paths)} granule metadata files (MTD_TL.xml)")
    return paths[0]
