"""Legacy tiles from a service of its own process: the zip is the SAFE that came in, and nothing is left behind."""

from __future__ import annotations

import contextlib
import shutil
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from abut.archive import open_archive
from abut.export.source import safe_layout
from ingest.verify import verify
from ingest.withdraw import withdraw
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from abut.archive import Archive
    from tests.serving import Served


@pytest.fixture(name="archive", scope="module")
def _archive(old_archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A copy, of which a product is withdrawn in the end."""
    assert old_archive.store.root is not None
    return open_archive(shutil.copytree(old_archive.store.root, tmp_path_factory.mktemp("legacy") / "archive"))


@pytest.fixture(name="scratch", scope="module")
def _scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(name="served", scope="module")
def _served(archive: Archive, scratch: Path) -> Iterator[Served]:
    with serving(archive.store.url, scratch=str(scratch), legacy_threads="2") as running:
        yield running
    assert list(scratch.iterdir()) == [], "a service that ends takes its folder along"


def left(scratch: Path) -> list[Path]:
    """Temporary files that there are after a while."""
    end, found = time.monotonic() + 60, [scratch]
    while found and time.monotonic() < end:
        time.sleep(0.05)
        found = list(scratch.glob("*/abut-*"))
    return found


def test_the_safe_comes_as_it_was_while_another_client_goes_away_in_the_middle(
    served: Served, archive: Archive, neighbours: tuple[Path, Path], scratch: Path, tmp_path: Path
) -> None:
    safe, other = neighbours
    url = f"{served.url}/legacy"

    def leave() -> int:
        with httpx.stream("GET", f"{url}/{other.stem}", params={"format": "geotiff"}, timeout=300) as answer:
            return len(next(answer.iter_bytes(1 << 16)))

    with ThreadPoolExecutor(1) as pool, (tmp_path / "safe.zip").open("wb") as file:
        left_early = pool.submit(leave)
        with httpx.stream("GET", f"{url}/{safe.stem}", timeout=300) as answer:
            for piece in answer.iter_bytes():
                file.write(piece)
        assert left_early.result() == 1 << 16
    assert answer.headers["content-disposition"] == f'attachment; filename="{safe.name}.zip"'
    assert int(answer.headers["content-length"]) == (tmp_path / "safe.zip").stat().st_size
    assert left(scratch) == []

    with zipfile.ZipFile(tmp_path / "safe.zip") as packed:
        assert packed.testzip() is None
        packed.extractall(tmp_path)
    layout = safe_layout(archive.product(safe.stem))
    came = {
        path.relative_to(tmp_path / safe.name).as_posix()
        for path in (tmp_path / safe.name).rglob("*")
        if path.is_file()
    }
    assert came == {*layout.files, *layout.images.values(), layout.tci}
    certificate = verify(archive, tmp_path / safe.name, only={"B01", "B02", "classification"})
    assert [result.name for result in certificate.arrays if not result.equal] == []
    assert len(certificate.arrays) == 3
    assert [one.path for one in certificate.files if not one.equal] == ["manifest.safe"]


def test_what_a_tile_would_be_is_said_without_making_it(
    served: Served, neighbours: tuple[Path, Path], scratch: Path
) -> None:
    name = neighbours[0].stem
    for form, file in (("safe", f"{name}.SAFE.zip"), ("geotiff", f"{name}.zip")):
        answer = httpx.head(f"{served.url}/legacy/{name}", params={"format": form})
        assert answer.status_code == 200
        assert answer.headers["content-disposition"] == f'attachment; filename="{file}"'
        assert "content-length" not in answer.headers
        tag = {"if-none-match": answer.headers["etag"]}
        assert httpx.get(f"{served.url}/legacy/{name}", params={"format": form}, headers=tag).status_code == 304
    assert list(scratch.glob("*/abut-*")) == []


def test_a_client_that_does_not_wait_leaves_nothing(
    served: Served, neighbours: tuple[Path, Path], scratch: Path
) -> None:
    with contextlib.suppress(httpx.ReadTimeout):
        httpx.get(f"{served.url}/legacy/{neighbours[0].stem}", timeout=1)
        pytest.fail("a SAFE in one second")
    assert left(scratch) == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_not_there_is_not_found(served: Served, method: str) -> None:
    unknown = "S2B_MSIL1C_20230823T095559_N0509_R122_T32TNP_20230823T000000"
    answer = httpx.request(method, f"{served.url}/legacy/{unknown}")
    assert answer.status_code == 404
    assert method == "HEAD" or answer.json()["detail"] == f"no product '{unknown}'"


def test_a_withdrawn_product_is_given_to_nobody(
    served: Served, archive: Archive, neighbours: tuple[Path, Path]
) -> None:
    name = neighbours[1].stem
    assert withdraw(archive, name)
    for method in ("HEAD", "GET"):
        answer = httpx.request(method, f"{served.url}/legacy/{name}", timeout=60)
        assert answer.status_code == 404
    assert answer.json()["detail"] == f"product '{name}' was withdrawn"
