"""Whole SAFE products, written as a processing centre would."""

from __future__ import annotations

import zipfile
from shutil import rmtree
from typing import TYPE_CHECKING

import numpy as np
import rasterio

from abut.metadata import version
from abut.testing.gml import mask_features, mask_gml
from abut.testing.grib import CAMS_FIELDS, ECMWF_FIELDS, LATER_ECMWF_FIELDS, weather
from abut.testing.images import write_images
from abut.testing.listing import entries_of
from abut.testing.manifest import Entry, manifest_xml
from abut.testing.names import Names, stamp
from abut.testing.paths import REFERENCE, Paths
from abut.testing.product_xml import compact_product_xml, footprint, old_product_xml
from abut.testing.side_files import (
    DATASTRIP_REPORTS,
    GRANULE_REPORTS,
    SCHEMA,
    STYLESHEET,
    black_png,
    html_page,
    inspire_xml,
    report_xml,
)
from abut.testing.strip_xml import strip_xml
from abut.testing.tile_xml import sensing_time, tile_xml
from abut.tiling import Tile, tile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.layout import Band
    from abut.testing.images import Alter
    from abut.testing.scene import Scene


def make_safe(
    scene: Scene,
    tile_or_id: Tile | str,
    folder: Path,
    *,
    strip: int = 0,
    zipped: bool = False,
    alter: Alter | None = None,
) -> Path:
    """Write the compact SAFE of one tile of a scene.

    Parameters
    ----------
    scene : Scene
        What the satellite saw.
    tile_or_id : Tile or str
        Any tile of the grid.
    folder : Path
        Where to put it; made where absent.
    strip : int, default 0
        Index of the datastrip.
    zipped : bool, default False
        Whether to leave a ``.zip`` with the SAFE inside instead of a folder.
    alter : callable, optional
        ``alter(band, pixels, bounds)`` returns what to write instead of a band's whole image (rows, columns);
        `nudged` makes one.

    Returns
    -------
    Path
        The folder ``<name>.SAFE``, or the file ``<name>.zip``.

    Raises
    ------
    FileExistsError
        If it is there already.
    InvalidTileError
        If the grid has no such tile.
    """
    names = Names(scene, scene.strip(strip), tile(tile_or_id) if isinstance(tile_or_id, str) else tile_or_id)
    root = folder / f"{names.product}.SAFE"
    archive = folder / f"{names.product}.zip"
    if zipped and archive.exists():
        raise FileExistsError(f"{archive} is there already")
    root.mkdir(parents=True)
    paths = Paths(names)
    cloudy, snowy = _write_granule(root, paths, strip, alter)
    _write_datastrip(root, [paths])
    _write(root / "MTD_MSIL1C.xml", compact_product_xml(names, paths.images(), cloudy, snowy))
    top = [Entry("S2_Level-1C_Product_Metadata", "MTD_MSIL1C.xml")]
    _write_top(root, names.product, [paths], top)
    if not zipped:
        return root
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for path in sorted(root.rglob("*")):
            target.write(path, path.relative_to(folder))
    rmtree(root)
    return archive


def make_multi_granule_safe(
    scene: Scene, tiles: Sequence[Tile | str], folder: Path, *, strip: int = 0, alter: Alter | None = None
) -> Path:
    """Write the SAFE of several tiles in the layout used until December 2016.

    Parameters
    ----------
    scene : Scene
        What the satellite saw; its baseline must be below 02.05.
    tiles : sequence of Tile or str
        Any tiles of the grid.
    folder : Path
        Where to put it; made where absent.
    strip : int, default 0
        Index of the datastrip.
    alter : callable, optional
        As for `make_safe`.

    Returns
    -------
    Path
        The folder ``S2A_OPER_PRD_MSIL1C_....SAFE``.

    Raises
    ------
    FileExistsError
        If it is there already.
    ValueError
        If the baseline never had that layout.
    """
    if version(scene.baseline) > (2, 4):
        raise ValueError(f"baseline {scene.baseline} has no multi-granule layout; 02.04 was its last")
    granules = [Names(scene, scene.strip(strip), tile(t) if isinstance(t, str) else t) for t in tiles]
    first = granules[0]
    sensed = max(map(sensing_time, granules))
    stem = (
        f"MSIL1C_PDMC_{stamp(first.strip.created)}_R{scene.relative_orbit:03}"
        f"_V{stamp(scene.datatake_start)}_{stamp(sensed)}"
    )
    root = folder / f"{first.mission}_OPER_PRD_{stem}.SAFE"
    root.mkdir(parents=True)
    all_paths = [Paths(names, compact=False) for names in granules]
    shares = [_write_granule(root, paths, strip, alter) for paths in all_paths]
    _write_datastrip(root, all_paths)
    metadata = f"{first.mission}_OPER_MTD_SAF{stem.removeprefix('MSI')}.xml"
    images = {paths.names.granule: [image.rsplit("/", 1)[1] for image in paths.images()] for paths in all_paths}
    cloudy = sum(share[0] for share in shares) / len(shares)
    _write(root / metadata, old_product_xml(granules, images, sensed, cloudy))
    browse = f"{first.mission}_OPER_BWI_{stem}.png"
    (root / browse).write_bytes(black_png(64))
    top = [Entry("PreviewData", browse), Entry("S2_Level-1C_Product_Metadata", metadata)]
    _write_top(root, root.name, all_paths, top)
    return root


def safe_pixels(safe: Path, band: Band | str, granule: str | None = None) -> NDArray[np.uint16]:
    """Return the DN of a band as rasterio reads the JP2, whole: slow and obvious.

    Parameters
    ----------
    safe : Path
        A SAFE folder, or a zip file with one.
    band : Band or str
        Such as ``B8A``.
    granule : str, optional
        Tile id or granule id; needed where there are several granules.

    Returns
    -------
    array of uint16, shape (rows, columns), row 0 northmost

    Raises
    ------
    FileNotFoundError
        If not exactly one image fits.
    """
    name = f"_{band if isinstance(band, str) else band.name}.jp2"
    wanted = granule or ""
    if safe.suffix == ".zip":
        with zipfile.ZipFile(safe) as archive:
            found = [f"zip://{safe}!/{path}" for path in archive.namelist()]
    else:
        found = [str(path) for path in safe.rglob("*.jp2")]
    images = [path for path in found if "/IMG_DATA/" in path and path.endswith(name) and wanted in path]
    if len(images) != 1:
        raise FileNotFoundError(f"{safe} has {len(images)} images of {name[1:-4]} {wanted}".rstrip())
    with rasterio.open(images[0]) as image:
        return np.asarray(image.read(1), dtype=np.uint16)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_granule(root: Path, paths: Paths, strip: int, alter: Alter | None) -> tuple[float, float]:
    names = paths.names
    scene, bounds = names.scene, names.tile.footprint
    for folder in ("IMG_DATA", "QI_DATA", "AUX_DATA"):
        (root / paths.folder / folder).mkdir(parents=True)
    write_images(root, paths, strip, alter)
    fields = {"CAMSFO": CAMS_FIELDS, "ECMWFT": LATER_ECMWF_FIELDS if names.modern else ECMWF_FIELDS}
    for kind in paths.weather_kinds:
        (root / paths.weather(kind)).write_bytes(weather(scene, names.tile, fields[kind]))
    if not names.modern:
        for kind, band in paths.masks():
            features = mask_features(scene, kind, band, bounds, strip)
            _write(root / paths.mask(kind, band), mask_gml(paths.mask_id(kind, band), kind, bounds, features))
    if names.modern or not paths.compact:
        for kind in GRANULE_REPORTS:
            path = paths.report(kind)
            _write(root / path, report_xml(names, path, kind, names.granule))
    cloudy, snowy = _shares(scene, paths, strip)
    masks = [
        (f"MSK_{kind}", band, path if paths.compact else path.rsplit("/", 1)[1])
        for kind, band in paths.masks()
        for path in [paths.mask(kind, band)]
    ]
    preview = paths.preview if paths.compact else paths.preview.rsplit("/", 1)[1].removesuffix(".jp2")
    _write(root / paths.metadata, tile_xml(names, masks, preview, cloudy, snowy))
    return cloudy, snowy


def _shares(scene: Scene, paths: Paths, strip: int) -> tuple[float, float]:
    """Return the cloudy and the snowy part of the ground that was seen, in percent."""
    bounds = paths.names.tile.footprint
    seen = np.count_nonzero(scene.pixels(REFERENCE, bounds, strip=strip))
    opaque, cirrus, snow = scene.classification(bounds, strip=strip)
    percent = 100 / max(int(seen), 1)
    return int(np.count_nonzero(opaque | cirrus)) * percent, int(np.count_nonzero(snow)) * percent


def _write_datastrip(root: Path, granules: list[Paths]) -> None:
    paths = granules[0]
    _write(root / paths.datastrip_metadata, strip_xml([granule.names for granule in granules]))
    if paths.names.modern:
        for kind in DATASTRIP_REPORTS:
            path = paths.datastrip_report(kind)
            _write(root / path, report_xml(paths.names, path, kind, paths.names.datastrip))


def _write_top(root: Path, title: str, granules: list[Paths], top: list[Entry]) -> None:
    names = [paths.names for paths in granules]
    outline = footprint(names)
    _write(root / "INSPIRE.xml", inspire_xml(names[0], title, outline))
    _write(root / "HTML/UserProduct_index.html", html_page(title))
    _write(root / "HTML/UserProduct_index.xsl", STYLESHEET)
    _write(root / "rep_info/S2_User_Product_Level-1C_Metadata.xsd", SCHEMA)
    (root / "AUX_DATA").mkdir()
    _write(root / "manifest.safe", manifest_xml(root, names[0], outline, [*top, *entries_of(granules)]))
