"""A catalogue written out, for those who have no API: static STAC files, or one stac-geoparquet table."""

from catalog.export.geoparquet import export_geoparquet
from catalog.export.result import Exported
from catalog.export.static import export_static

__all__ = ["Exported", "export_geoparquet", "export_static"]
