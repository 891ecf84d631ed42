"""What items can be searched by: names, types and meaning, as a JSON Schema for clients and as types for filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

type Kind = Literal["text", "number", "boolean", "instant", "geometry", "array"]
"""What values a property has, as far as comparing them goes."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class Queryable:
    """One property that items can be searched by."""

    name: str
    """Name in filters, without ``properties.``."""
    kind: Kind
    """What values it has."""
    title: str
    """What it is."""
    schema: tuple[tuple[str, Any], ...] = ()
    """Further keywords of its JSON Schema."""

    def described(self) -> dict[str, Any]:
        """Return the JSON Schema of its values."""
        if self.kind == "geometry":
            types: dict[str, Any] = {"$ref": "https://geojson.org/schema/Geometry.json"}
        else:
            types = {"type": {"text": "string", "instant": "string"}.get(self.kind, self.kind)}
            if self.kind == "instant":
                types["format"] = "date-time"
        return {"title": self.title, **types, **dict(self.schema)}


def _between(least: float, most: float) -> tuple[tuple[str, Any], ...]:
    return ("minimum", least), ("maximum", most)


def _one_of(*values: str) -> tuple[tuple[str, Any], ...]:
    return (("enum", list(values)),)


QUERYABLES: Final = (
    Queryable("id", "text", "Id of the item: name of the SAFE product without .SAFE"),
    Queryable("collection", "text", "Id of the collection"),
    Queryable("geometry", "geometry", "Ground that the product holds"),
    Queryable("datetime", "instant", "Start of the datatake"),
    Queryable("created", "instant", "When the product was stored"),
    Queryable("updated", "instant", "When the item last changed"),
    Queryable("eo:cloud_cover", "number", "Clouds in percent", _between(0, 100)),
    Queryable("grid:code", "text", "Tile", (("pattern", "^MGRS-[0-9]{2}[C-HJ-NP-X][A-HJ-NP-Z]{2}$"),)),
    Queryable("mgrs:utm_zone", "number", "UTM zone of the tile", _between(1, 60)),
    Queryable("mgrs:latitude_band", "text", "Latitude band of the tile"),
    Queryable("mgrs:grid_square", "text", "100 km square of the tile"),
    Queryable("proj:code", "text", "Coordinate system", (("pattern", "^EPSG:[0-9]+$"),)),
    Queryable("platform", "text", "Satellite", _one_of("sentinel-2a", "sentinel-2b", "sentinel-2c", "sentinel-2d")),
    Queryable("constellation", "text", "Constellation"),
    Queryable("instruments", "array", "Instruments"),
    Queryable("gsd", "number", "Finest ground sampling distance in metres"),
    Queryable("sat:orbit_state", "text", "Direction of the orbit", _one_of("ascending", "descending")),
    Queryable("sat:relative_orbit", "number", "Relative orbit", _between(1, 143)),
    Queryable("sat:absolute_orbit", "number", "Absolute orbit"),
    Queryable("view:sun_elevation", "number", "Mean elevation of the sun in degrees", _between(-90, 90)),
    Queryable("view:sun_azimuth", "number", "Mean azimuth of the sun in degrees", _between(0, 360)),
    Queryable("view:incidence_angle", "number", "Mean angle in degrees between the view and the vertical"),
    Queryable("processing:version", "text", "Processing baseline, such as 05.11"),
    Queryable("processing:datetime", "instant", "When ESA made the product"),
    Queryable("product:type", "text", "Type of product"),
    Queryable("deprecated", "boolean", "Whether a newer version of the product is listed"),
    Queryable("s2:datatake_id", "text", "Id of the datatake"),
    Queryable("s2:datastrip_id", "text", "Id of the datastrip"),
    Queryable("s2:product_uri", "text", "Name of the SAFE product"),
    Queryable("s2:tile_id", "text", "Id of the granule"),
    Queryable("s2:datatake_type", "text", "Type of datatake"),
    Queryable("s2:nodata_pixel_percentage", "number", "Pixels without data in percent", _between(0, 100)),
    Queryable("s2:degraded_msi_data_percentage", "number", "Degraded pixels in percent", _between(0, 100)),
    Queryable("s2:reflectance_conversion_factor", "number", "Correction of the distance to the sun"),
    Queryable("abut:layer", "text", "Layer: products that may hold blocks for each other"),
    Queryable("abut:store", "text", "Folder of the product's store"),
    Queryable("abut:revision", "number", "Revision of the layer's ledger that the item repeats"),
    Queryable("abut:sensing_time", "instant", "Sensing time of the tile"),
    Queryable("abut:datastrip_start", "instant", "Start of sensing of the datastrip"),
    Queryable("abut:data_bytes", "number", "Bytes of the bands as ingested"),
)
"""All properties of known type; others can be searched by too, by the type of what they are compared with."""

KINDS: Final[dict[str, Kind]] = {queryable.name: queryable.kind for queryable in QUERYABLES}
"""Kind by name of property."""

UNSEARCHABLE: Final = frozenset({"abut:footprint", "abut:blocks", "abut:digests"})
"""Properties that no filter may name: large structures that say nothing to one."""


def queryables(url: str, collection: str | None) -> dict[str, Any]:
    """Return what items can be searched by, as a JSON Schema.

    Parameters
    ----------
    url : str
        URL of the schema itself.
    collection : str or None
        Collection that it is about, or None for all.
    """
    return {
        "$schema": _DIALECT,
        "$id": url,
        "type": "object",
        "title": f"Queryables of {collection}" if collection else "Queryables",
        "description": "Properties that filters may name; further properties of items may be named too.",
        "properties": {queryable.name: queryable.described() for queryable in QUERYABLES},
        "additionalProperties": True,
    }
