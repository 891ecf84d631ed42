"""Map tiles as GDAL's driver of WMTS reads them over a socket, which is what QGIS asks with."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import rasterio
import uvicorn
from rasterio.warp import transform_bounds

from tests.tiles.pictures import FOUR, archive_of
from tests.tiles.serving import app_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest
    from fastapi import FastAPI


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """Serve on a free port of this machine until the end of the block; yield the URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_gdal_reads_wmts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_DEFAULT_WMS_CACHE_PATH", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    asked = "bands=B01&rescale=0%2C1"  # GDAL takes what follows a comma for an option
    with listening(app_of(archive_of(tmp_path / "archive", *FOUR))) as url:
        place = f"WMTS:{url}/mosaic/WMTSCapabilities.xml?{asked},layer=mosaic_WebMercatorQuad_default"
        with rasterio.open(place) as opened:
            assert opened.crs.to_epsg() == 3857
            box = transform_bounds("EPSG:4326", "EPSG:3857", 10.15, 44.2, 10.3, 44.25)
            window = rasterio.windows.from_bounds(*box, opened.transform)
            pixels = opened.read(window=window, out_shape=(opened.count, 64, 64))
    assert len(np.unique(pixels[0])) > 20
