"""Masks as polygons: GML as it was before baseline 04.00."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from abut.testing.swath import polygon

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from abut.lattice import Bounds
    from abut.layout import Band
    from abut.testing.scene import Scene

_PLANES: Final = {
    "DEFECT": {"QT_DEFECTIVE": "QT_DEFECTIVE_PIXELS"},
    "NODATA": {
        "QT_NODATA": "QT_NODATA_PIXELS",
        "QT_PARTIALLY_CORRECTED": "QT_PARTIALLY_CORRECTED_PIXELS",
    },
    "SATURA": {"SATURATED_L1A": "QT_SATURATED_PIXELS_L1A"},
    "TECQUA": {name: name for name in ("ANC_LOST", "ANC_DEG", "MSI_LOST", "MSI_DEG")},
}
"""Mask types of each old mask, by the plane of MSK_QUALIT that took their place."""


def mask_features(
    scene: Scene, kind: str, band: Band | None, bounds: Bounds, strip: int | None
) -> Iterator[tuple[str, str, list[tuple[float, float]]]]:
    """Yield id, mask type and corners (easting, northing; not closed) of the features of a mask."""
    if kind == "DETFOO" and band is not None:
        footprints = scene.footprints(bounds.zone, band, strip)
        for number, (detector, area) in enumerate(footprints):
            corners = polygon(area, bounds)
            if corners:
                yield f"detector_footprint-{band.name}-{detector:02}-{number}", "DETECTOR_FOOTPRINT", corners
        return
    if band is None:
        patches, types = scene.covers(bounds, strip=strip), {"OPAQUE": "OPAQUE", "CIRRUS": "CIRRUS"}
    else:
        patches, types = scene.flaws(band, bounds, strip=strip), _PLANES[kind]
    number = 0
    for patch, plane in patches:
        shared = patch.intersection(bounds)
        if plane in types and shared is not None:
            yield f"{types[plane]}.{number}", types[plane], polygon((), shared)
            number += 1


def mask_gml(
    identifier: str, kind: str, bounds: Bounds, features: Iterable[tuple[str, str, list[tuple[float, float]]]]
) -> str:
    """Return a mask as GML.

    Parameters
    ----------
    identifier : str
        Such as ``S2A_OPER_MSK_CLOUDS_SGS__20170226T171842_A008785_T32TNM_B00_MSIL1C``.
    kind : str
        Such as ``CLOUDS``: whose polygons have two coordinates; those of all others have a height too.
    bounds : Bounds
        Ground of the tile; it names the reference system.
    features : iterable of (id, type, corners)
        What the mask holds.
    """
    height = "" if kind == "CLOUDS" else " 0"
    dimension = 2 if kind == "CLOUDS" else 3
    features = list(features)
    members, envelope = "  <eop:maskMembers/>", ""
    if features:
        members = "\n".join(
            [
                "  <eop:maskMembers>",
                *(_member(*feature, height, dimension) for feature in features),
                "  </eop:maskMembers>",
            ]
        )
        points = [point for _, _, corners in features for point in corners]
        low, high = (" ".join(f"{limit(p[i] for p in points):.15g}" for i in (0, 1)) for limit in (min, max))
        envelope = f"""
  <gml:boundedBy>
    <gml:Envelope srsName="urn:ogc:def:crs:EPSG:8.7:{bounds.zone.epsg}">
      <gml:lowerCorner>{low}{height}</gml:lowerCorner>
      <gml:upperCorner>{high}{height}</gml:upperCorner>
    </gml:Envelope>
  </gml:boundedBy>"""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="{identifier}">
  <gml:name>MSK_{kind} pixels mask from data-strip {identifier}</gml:name>{envelope}
{members}
</eop:Mask>
"""


def _member(name: str, kind: str, corners: list[tuple[float, float]], height: str, dimension: int) -> str:
    ring = " ".join(f"{x:.15g} {y:.15g}{height}" for x, y in [*corners, corners[0]])
    return f"""    <eop:MaskFeature gml:id="{name}">
      <eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">{kind}</eop:maskType>
      <eop:extentOf>
        <gml:Polygon gml:id="{name}_Polygon">
          <gml:exterior>
            <gml:LinearRing>
              <gml:posList srsDimension="{dimension}">{ring}</gml:posList>
            </gml:LinearRing>
          </gml:exterior>
        </gml:Polygon>
      </eop:extentOf>
    </eop:MaskFeature>"""
