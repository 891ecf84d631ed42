"""Work that requests wait for: its limits, and what becomes of what nobody waits for any longer; legacy tiles."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import threading
import zipfile
from typing import TYPE_CHECKING, Any, cast

import pytest
import rasterio
from starlette.requests import Request
from starlette.testclient import TestClient

from services.app import create_app
from services.cubes.answers import RefusedError, TemporaryFile
from services.cubes.execution import StoppedError, Workshop
from services.cubes.users import Users
from services.settings import load_settings
from services.stac.auth import WRITE, token_access

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive
    from services.cubes.execution import Stop


def request(client: str = "192.0.2.1", token: str = "", *, gone: bool = False) -> Request:
    """A request whose client is there, or gone."""

    async def receive() -> dict[str, str]:
        if gone:
            return {"type": "http.disconnect"}
        await asyncio.sleep(60)
        raise AssertionError

    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "client": (client, 1)}
    return Request(scope, cast("Any", receive))


def workshop(**limits: Any) -> Workshop:
    return Workshop(**{"threads": 1, "waiting": 1, "per_user": 1, "seconds": 30, "name": "cubes", **limits})


def test_users_and_all_of_them_have_limits() -> None:
    async def play() -> tuple[int, ...]:
        shop, door = workshop(per_user=1), threading.Event()

        def work(_: Stop) -> int:
            door.wait(30)
            return 7

        first = asyncio.create_task(shop.run(request(), "ann", work))
        second = asyncio.create_task(shop.run(request(), "ben", work))
        await asyncio.sleep(0)
        refused = []
        for user in ("ann", "eve"):
            with pytest.raises(RefusedError) as error:
                await shop.run(request(), user, work)
            refused.append(error.value.status_code)
        door.set()
        assert set(await asyncio.gather(first, second)) == {7}
        assert await shop.run(request(), "ann", work) == 7, "there is room again"
        shop.close()
        return tuple(refused)

    assert asyncio.run(play()) == (429, 503)


@pytest.mark.parametrize("gone", [False, True], ids=["slow", "gone"])
def test_work_that_nobody_waits_for_stops_and_what_it_made_is_discarded(*, gone: bool) -> None:
    discarded, stopped = threading.Event(), threading.Event()

    async def play() -> RefusedError:
        shop, door = workshop(seconds=30 if gone else 0.05), threading.Event()

        def work(stop: Stop) -> str:
            door.wait(30)
            with pytest.raises(StoppedError):
                stop.check()
            stopped.set()
            return "made"

        with pytest.raises(RefusedError) as error:
            await shop.run(request(gone=gone), "ann", work, lambda made: discarded.set() if made == "made" else None)
        with pytest.raises(RefusedError):  # its thread is not free yet
            await shop.run(request(), "ann", work)
        door.set()
        assert await asyncio.to_thread(discarded.wait, 30)
        shop.close()
        return error.value

    error = asyncio.run(asyncio.wait_for(play(), 30))
    assert stopped.is_set()
    assert error.status_code == 503
    assert ("the client is gone" if gone else "it takes longer than 0.05 s") in error.detail


def test_a_file_is_removed_even_if_the_client_goes_away(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "a.zip").write_bytes(b"x" * 1_000_000)
    answer = TemporaryFile(folder / "a.zip", folder, "application/zip", {})
    sent = 0

    async def send(message: Any) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))
        if sent:
            raise OSError("the client is gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(answer({"type": "http"}, cast("Any", None), send))
    assert 0 < sent < 1_000_000, "it was sent piece by piece"
    assert not folder.exists()


def test_users_are_told_apart_by_token_or_address() -> None:
    known = Users(token_access({WRITE: ["a" * 16, "b" * 16]}), "archive")
    names = [
        asyncio.run(known.name(one))
        for one in (request(), request("192.0.2.2"), request(token="a" * 16), request("192.0.2.2", "a" * 16))
    ]
    assert len(set(names)) == 3
    assert names[2] == names[3], "a token is the same user everywhere"
    assert not any("192.0.2" in name for name in names)
    with pytest.raises(RefusedError, match="not known") as error:
        asyncio.run(known.name(request(token="c" * 16)))
    assert (error.value.status_code, "www-authenticate" in dict(error.value.headers or {})) == (401, True)
    open_to_all = Users(None, "archive")
    assert asyncio.run(open_to_all.name(request(token="c" * 16))) == asyncio.run(open_to_all.name(request()))


def test_a_legacy_tile_comes_as_it_was_ingested(old_archive: Archive, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ABUT_")]:
            patch.delenv(name)
        app = create_app(load_settings(archive=old_archive.store.url, scratch=str(tmp_path)))
    name = old_archive.product_ids()[0]
    product = old_archive.product(name)
    with TestClient(app, client=("127.0.0.1", 50_000)) as client:
        answer = client.get(f"/legacy/{name}", params={"format": "geotiff"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}.zip"'
        again = client.get(
            f"/legacy/{name}", params={"format": "geotiff"}, headers={"if-none-match": answer.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        for path, status, reason in (
            ("/legacy/S2A_NONE", 404, "no product 'S2A_NONE'"),
            (f"/legacy/{name}?format=jpeg", 400, "format 'jpeg' is not one of safe, geotiff"),
            (f"/legacy/{name}?form=safe", 400, "parameter 'form' is unknown here"),
        ):
            refused = client.get(path)
            assert (refused.status_code, reason in refused.json()["detail"]) == (status, True), refused.text
    assert list(tmp_path.iterdir()) == [], "nothing is left"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        (image,) = [one for one in packed.namelist() if one.endswith("_B01.tif") and "MSK" not in one]
        assert image.startswith(f"{name}/")
        with rasterio.MemoryFile(packed.read(image)) as file, file.open() as opened:
            assert hashlib.sha256(opened.read(1)).hexdigest() == product.record.bands["B01"].digest
