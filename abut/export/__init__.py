"""Legacy tiles for programs that know no Zarr: GeoTIFF, or the SAFE that came in. rasterio is needed when it runs."""

from abut.export.geotiff import export_geotiff
from abut.export.safe import export_safe, missing_files

__all__ = ["export_geotiff", "export_safe", "missing_files"]
