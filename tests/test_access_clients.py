"""Programs that read from `abut serve` where reading needs a token: ours, and stock ones, each with its own setting."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, override

import httpx
import numpy as np
import odc.stac
import pystac_client
import pytest
import rasterio
import xarray as xr
from obstore.store import HTTPStore
from rasterio.windows import Window
from zarr.storage import ObjectStore

import abut
import abut.odc
from abut.errors import AbutError, CatalogueError
from abut.http_json import fetch
from abut.store import open_store
from abut.token import token_for, token_for_found, with_token
from cli.finding import found_by_api
from cli.main import run
from tests.serving import ROOT, Served, environment, serving, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pystac
    from numpy.typing import NDArray

    from abut.archive import Archive

TOKEN, TILES = "the-token-of-the-readers", ("32TMT", "32TNT")
HEADER = {"Authorization": f"Bearer {TOKEN}"}

pytestmark = [
    # odc-geo 0.5 with affine 3 and shapely 2.2; nothing that a service could do about.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def served(old_archive: Archive) -> Iterator[Served]:
    with serving(old_archive.store.url, read="token", read_tokens=TOKEN) as made:
        wait_until_ready(made.url)
        yield made


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ABUT_TOKEN", "ABUT_TOKEN_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def item(served: Served) -> pystac.Item:
    client = pystac_client.Client.open(f"{served.url}/stac", headers=HEADER)
    return next(client.search(collections=["sentinel-2-l1c"], sortby="grid:code", max_items=1).items())


@pytest.fixture(scope="module")
def pixels(old_archive: Archive, item: pystac.Item) -> NDArray[Any]:
    """A corner of B09, as the store has it."""
    source = f"{old_archive.store.url}/products/{item.properties['abut:store']}/measurements/reflectance/r60m/b09"
    with rasterio.open(f'ZARR:"{source}"') as band:
        return np.asarray(band.read(1, window=Window(0, 0, 64, 64)))


def test_pystac_client_needs_a_header(served: Served) -> None:
    with pytest.raises(pystac_client.exceptions.APIError, match="needs a bearer token of scope abut:read"):
        pystac_client.Client.open(f"{served.url}/stac")


def test_gdal_reads_with_a_header_and_with_its_own_bearer(item: pystac.Item, pixels: NDArray[Any]) -> None:
    """In a process of its own: GDAL keeps what it was once refused."""
    href = item.assets["B09"].href
    said = "import rasterio, sys; from rasterio.windows import Window; "
    said += f"sys.stdout.buffer.write(rasterio.open({href!r}).read(1, window=Window(0, 0, 64, 64)).tobytes())"
    settings = [
        {"GDAL_HTTP_HEADERS": f"Authorization: Bearer {TOKEN}"},
        {"GDAL_HTTP_AUTH": "BEARER", "GDAL_HTTP_BEARER": TOKEN},
    ]
    for how in settings:
        made = subprocess.run(
            [sys.executable, "-c", said], env=environment() | how, capture_output=True, check=False, cwd=ROOT
        )
        assert made.returncode == 0, made.stderr.decode()
        assert made.stdout == pixels.tobytes()
    refused = subprocess.run([sys.executable, "-c", said], env=environment(), capture_output=True, check=False)
    assert refused.returncode != 0


def test_odc_stac_reads_with_the_setting_of_gdal(item: pystac.Item, pixels: NDArray[Any]) -> None:
    with rasterio.Env(GDAL_HTTP_HEADERS=f"Authorization: Bearer {TOKEN}"):
        data = odc.stac.load([item], bands=["B09"])
    np.testing.assert_array_equal(data.B09.values[0, :64, :64], pixels)


def test_our_reader_of_odc_stac_takes_a_token(item: pystac.Item, pixels: NDArray[Any]) -> None:
    data = abut.odc.load([item], bands=["B09"], token=TOKEN)
    np.testing.assert_array_equal(data.B09.values[0, :64, :64], pixels)


def test_xarray_reads_through_obstore_and_through_fsspec(item: pystac.Item, pixels: NDArray[Any]) -> None:
    href = item.assets["product"].href
    options: Any = {"allow_http": True, "default_headers": HEADER}
    store = ObjectStore(HTTPStore.from_url(href, client_options=options), read_only=True)
    data = xr.open_zarr(store, group="measurements/reflectance/r60m", chunks=None, mask_and_scale=False)
    np.testing.assert_array_equal(data.b09.values[:64, :64], pixels)
    storage = {"headers": HEADER}
    other = xr.open_zarr(
        href,
        group="measurements/reflectance/r60m",
        chunks=None,
        mask_and_scale=False,
        storage_options=storage,
    )
    np.testing.assert_array_equal(other.b09.values[:64, :64], pixels)


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_our_own_readers_take_a_token(
    served: Served, old_archive: Archive, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by == "environment":
        monkeypatch.setenv("ABUT_TOKEN", TOKEN)
    given: Any = {"token": TOKEN} if by == "argument" else {}
    wish: Any = {"bands": ["B09"], "group": "solar_day"}
    for url in (served.url, f"{served.url}/stac"):
        far = abut.connect(url, **given).tile(TILES[0], **wish)
        xr.testing.assert_equal(far, abut.connect(old_archive.store.url).tile(TILES[0], **wish))
    zone = abut.zone_store(served.url, 32632, bands="B09", resolution=60, **given)
    assert TOKEN not in repr(zone)
    assert xr.open_zarr(zone, chunks=None).sizes["time"] >= 1


def test_without_a_token_our_readers_say_what_is_missing(served: Served, item: pystac.Item) -> None:
    for ask in (lambda: abut.connect(served.url), lambda: abut.zone_store(served.url, 32632)):
        with pytest.raises(CatalogueError, match=r"status 401: needs a bearer token of scope abut:read"):
            ask()
    with pytest.raises(AbutError):
        with_token(open_store(f"{served.url}/zarr"), None).get("collection.json")
    assert TOKEN not in repr(abut.connect(served.url, token=TOKEN))
    with pytest.raises(AbutError, match="characters that no token can have") as refused:
        abut.connect(served.url, token="a token\r\nwith: a header")  # noqa: S106 - none
    assert "header" not in str(refused.value)
    assert item.id


def test_the_command_line_takes_the_token_of_the_environment(
    served: Served, item: pystac.Item, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = ["search", "--url", f"{served.url}/stac", "--bbox", "5,44,12,49", "--json"]
    explain = ["explain", "--archive", served.url, "--tile", TILES[0], "--bands", "B09"]
    for command in (search, explain):
        assert run(command) != 0
        assert "needs a bearer token of scope abut:read" in capsys.readouterr().err
    monkeypatch.setenv("ABUT_TOKEN", TOKEN)
    for command in (search, explain):
        assert run(command) == 0, capsys.readouterr().err
    assert item.id in capsys.readouterr().out


def test_links_to_holders_are_read_with_the_token(item: pystac.Item, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = item.to_dict(transform_hrefs=False)
    home = next(link["href"] for link in alone["links"] if link["rel"] == "self")
    assert len(abut.complete([alone], token=TOKEN)) >= 1
    monkeypatch.setenv("ABUT_TOKEN", TOKEN)
    assert token_for_found(home) is None
    monkeypatch.setenv("ABUT_TOKEN_URL", home.partition("/stac")[0])
    assert token_for_found(home) == TOKEN


@pytest.mark.parametrize(
    ("url", "place", "told"),
    [
        ("https://data.example/l1c/stac", "", True),
        ("https://data.example/l1c/stac", "https://data.example/l1c", True),
        ("https://DATA.example:443/l1c", "https://data.example/l1c/", True),
        ("https://data.example/l1cx", "https://data.example/l1c", False),
        ("https://data.example.evil/l1c", "https://data.example/l1c", False),
        ("https://data.example@evil/l1c", "https://data.example/l1c", False),
        ("http://data.example/l1c", "https://data.example/l1c", False),
        ("https://data.example:8443/l1c", "https://data.example/l1c", False),
        ("https://data.example:84430/l1c", "https://data.example/l1c", False),
        ("https://data.example/l1c/..%2Fother", "https://data.example/l1c", False),
        ("https://data.example/l1c/../other", "https://data.example/l1c", False),
        ("https://data.example/l1c/.%2E/other", "https://data.example/l1c", False),
        ("https://evil\\@data.example/l1c", "https://data.example/l1c", False),
        ("s3://bucket/l1c", "", False),
        ("/srv/l1c", "", False),
    ],
)
def test_the_token_of_the_environment_goes_to_its_service_alone(
    monkeypatch: pytest.MonkeyPatch, url: str, place: str, told: bool
) -> None:
    monkeypatch.setenv("ABUT_TOKEN", TOKEN)
    monkeypatch.setenv("ABUT_TOKEN_URL", place)
    assert (token_for(url) == TOKEN) == told
    assert (token_for_found(url) == TOKEN) == (told and bool(place))


class _Elsewhere(BaseHTTPRequestHandler):
    """A host that redirects, and links to another one, which both note what they are told."""

    heard: list[str | None]
    other: str

    def do_GET(self) -> None:
        self.heard.append(self.headers.get("Authorization"))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("location", self.other)
            self.end_headers()
            return
        page = {"links": [{"rel": "data", "href": f"{self.other}/stac"}]}
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_no_other_host_gets_the_token() -> None:
    """Neither one that is redirected to, nor one that an answer names as the API."""
    servers = []
    for _ in range(2):
        kind = type("Handler", (_Elsewhere,), {"heard": [], "other": ""})
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), kind))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
    try:
        one, other = (f"http://127.0.0.1:{server.server_port}" for server in servers)
        first: Any = servers[0].RequestHandlerClass
        second: Any = servers[1].RequestHandlerClass
        first.other = second.other = other
        fetch(f"{one}/away", token=TOKEN)
        assert (first.heard, second.heard) == ([f"Bearer {TOKEN}"], [None])
        with pytest.raises(AbutError):
            abut.connect(one, token=TOKEN)
        assert first.heard == [f"Bearer {TOKEN}"] * 2
        assert set(second.heard) == {None}
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def test_a_search_takes_the_token_to_no_other_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the API of a service says that one searches elsewhere, that is asked without."""
    heard: dict[str, str | None] = {}

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard[self.headers["Host"].partition(":")[0]] = self.headers.get("Authorization")
            body = json.dumps(landing if self.path == "/" else {"type": "FeatureCollection", "features": []}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - as http.server names it

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        one, other = (f"http://{host}:{server.server_port}" for host in ("127.0.0.1", "localhost"))
        search = {"rel": "search", "href": f"{other}/search", "type": "application/geo+json", "method": "POST"}
        landing = {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "api",
            "description": "An API.",
            "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
            "links": [{"rel": "self", "href": f"{one}/"}, {"rel": "root", "href": f"{one}/"}, search],
        }
        monkeypatch.setenv("ABUT_TOKEN", TOKEN)
        with found_by_api(f"{one}/", {}, None) as items:
            assert list(items) == []
        server.shutdown()
    assert heard == {"127.0.0.1": f"Bearer {TOKEN}", "localhost": None}


def test_a_ticket_is_all_that_a_url_needs(served: Served, item: pystac.Item) -> None:
    made = httpx.post(f"{served.url}/access/tickets", json={"path": "/tiles", "seconds": 60}, headers=HEADER)
    ticket = made.json()["ticket"]
    capabilities = f"{served.url}/tiles/items/{item.id}/WMTSCapabilities.xml?ticket={ticket}"
    said = "import rasterio, sys; found = rasterio.open(sys.argv[1]); print(found.count, found.overviews(1)[-1], "
    said += "found.read(1, out_shape=(found.height // 2**12, found.width // 2**12)).size)"
    layer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", said, f"WMTS:{capabilities},layer=item_WebMercatorQuad_default"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert layer.returncode == 0, layer.stderr
    assert layer.stdout.split()[0] in ("3", "4")
    assert ticket not in "".join(map(str, served.log()))
