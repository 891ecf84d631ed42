"""Broken, hostile and wrong products, full disks, closed doors: one line, exit status 2, nothing in the archive."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from abut.archive import open_archive
from cli.main import run
from ingest.check import check
from tests import safe_builder as builder

if TYPE_CHECKING:
    from collections.abc import Iterator


ROOT = Path(__file__).parents[1]
IMAGES = "GRANULE/L1C_T32TMT_A043885_20250801T101859/IMG_DATA/T32TMT_20250801T101559"


def refused(capfd: pytest.CaptureFixture[str], archive: Path, *safes: Path, status: int = 2) -> str:
    """Ingest what can't be ingested: one line of error, whatever is asked of the archive it has nothing."""
    capfd.readouterr()
    assert run(["ingest", *map(str, safes), "--archive", str(archive), "--workers", "0"]) == status
    output, errors = capfd.readouterr()
    assert output == ""
    return only_line(errors, archive)


def only_line(errors: str, archive: Path) -> str:
    assert errors.startswith("abut: error: ")
    assert errors.count("\n") == 1
    assert_nothing_in(archive)
    return errors.removeprefix("abut: error: ").rstrip()


def assert_nothing_in(archive: Path) -> None:
    """No reader sees anything: no product, no ledger, no row of the catalogue."""
    if (archive / "archive.json").exists():
        opened = open_archive(archive)
        assert opened.product_ids() == []
        assert opened.layers() == []
        assert not (archive / "catalog.sqlite").exists()


def assert_clean(archive: Path) -> None:
    """Nothing is left behind either."""
    assert check(open_archive(archive)) == []
    assert not list((archive / "products").glob("*.zarr/**/c/*"))
    assert not list(archive.glob("claims/*"))


@pytest.fixture
def broken(neighbours: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of a good product, to be broken by `put`."""
    copy = tmp_path / neighbours[0].name
    shutil.copytree(neighbours[0], copy, copy_function=os.link)
    return copy


def put(safe: Path, path: str, data: bytes, *, listed: bool = True) -> None:
    """Replace a file of a copy; with a manifest that knows, so that only the file itself can tell."""
    (safe / path).unlink()
    (safe / path).write_bytes(data)
    if listed:
        manifest = (safe / "manifest.safe").read_text()
        entry = re.compile(rf'size="\d+">(\s*<fileLocation href="\./{re.escape(path)}"[^>]*>\s*<checksum[^>]*>)\w+')
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        manifest, count = entry.subn(rf'size="{len(data)}">\g<1>{digest}', manifest)
        assert count == 1
        (safe / "manifest.safe").unlink()
        (safe / "manifest.safe").write_text(manifest)


def replaced(safe: Path, path: str, old: str, new: str) -> None:
    text = (safe / path).read_text()
    assert old in text
    put(safe, path, text.replace(old, new).encode())


def test_a_missing_band(capfd: pytest.CaptureFixture[str], broken: Path, tmp_path: Path) -> None:
    (broken / f"{IMAGES}_B8A.jp2").unlink()

    assert refused(capfd, tmp_path / "a", broken) == f"{broken}/{IMAGES}_B8A.jp2: missing"


def test_a_truncated_image(capfd: pytest.CaptureFixture[str], broken: Path, tmp_path: Path) -> None:
    whole = (broken / f"{IMAGES}_B02.jp2").read_bytes()
    put(broken, f"{IMAGES}_B02.jp2", whole[: len(whole) // 2], listed=False)

    line = refused(capfd, tmp_path / "a", broken)

    assert line == f"{broken}/{IMAGES}_B02.jp2: {len(whole) // 2} bytes, but the manifest says {len(whole)}"
    assert_clean(tmp_path / "a")


def test_a_truncated_image_of_which_the_manifest_knows_no_better(
    capfd: pytest.CaptureFixture[str], broken: Path, tmp_path: Path
) -> None:
    put(broken, f"{IMAGES}_B02.jp2", (broken / f"{IMAGES}_B02.jp2").read_bytes()[:-1000])

    line = refused(capfd, tmp_path / "a", broken)

    assert line == f"{broken}/{IMAGES}_B02.jp2: codestream without end marker: its end is missing"
    assert_clean(tmp_path / "a")


def test_an_image_damaged_inside(capfd: pytest.CaptureFixture[str], broken: Path, tmp_path: Path) -> None:
    data = bytearray((broken / f"{IMAGES}_B02.jp2").read_bytes())
    middle = data.find(b"\xff\x90", len(data) // 2)  # a tile of the codestream, which now claims to be another one
    data[middle + 4 : middle + 6] = b"\xff\xff"
    put(broken, f"{IMAGES}_B02.jp2", bytes(data))

    assert f"{IMAGES}_B02.jp2: can't be decoded in rows" in refused(capfd, tmp_path / "a", broken)
    assert_clean(tmp_path / "a")


def test_an_image_of_another_size(capfd: pytest.CaptureFixture[str], broken: Path, tmp_path: Path) -> None:
    put(broken, f"{IMAGES}_B02.jp2", (broken / f"{IMAGES}_B05.jp2").read_bytes())

    line = refused(capfd, tmp_path / "a", broken)

    assert line.startswith(f"{broken}/{IMAGES}_B02.jp2: 5490 x 5490 px")
    assert_clean(tmp_path / "a")


def test_no_valid_pixel(capfd: pytest.CaptureFixture[str], dark: Path, tmp_path: Path) -> None:
    line = refused(capfd, tmp_path / "a", dark)

    assert line.endswith("no pixel of any band has data")
    assert dark.stem in line
    assert_clean(tmp_path / "a")


@pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", "GRANULE/L1C_T32TMT_A043885_20250801T101859/MTD_TL.xml"])
def test_missing_metadata(capfd: pytest.CaptureFixture[str], broken: Path, tmp_path: Path, name: str) -> None:
    (broken / name).unlink()

    assert refused(capfd, tmp_path / "a", broken) == f"{broken}/{name}: missing"


@pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", "manifest.safe"])
@pytest.mark.parametrize("size", [0, 1000])
def test_malformed_metadata(
    capfd: pytest.CaptureFixture[str], broken: Path, tmp_path: Path, name: str, size: int
) -> None:
    put(broken, name, (broken / name).read_bytes()[:size], listed=False)

    assert f"{broken}/{name}: malformed XML" in refused(capfd, tmp_path / "a", broken)


def test_entities_in_metadata(capfd: pytest.CaptureFixture[str], broken: Path, tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]><x>&b;&c;</x>'
    put(broken, "MTD_MSIL1C.xml", bomb.encode())

    line = refused(capfd, tmp_path / "a", broken)

    assert line.startswith(f"{broken}/MTD_MSIL1C.xml: XML with a DTD or entities is refused")


@pytest.mark.parametrize("path", ["../outside.jp2", "/etc/passwd", "a/../../outside.xml"])
def test_a_zip_that_leads_out_of_its_folder(capfd: pytest.CaptureFixture[str], tmp_path: Path, path: str) -> None:
    evil = builder.write_zip(builder.compact(), tmp_path / "evil.zip")
    with zipfile.ZipFile(evil, "a") as archive:
        archive.writestr(path, b"x")

    line = refused(capfd, tmp_path / "a", evil)

    assert line == f"{evil}: path {path!r} is not one inside the SAFE folder"
    assert not (tmp_path / "outside.jp2").exists()


def test_a_product_of_level_2(capfd: pytest.CaptureFixture[str], broken: Path, tmp_path: Path) -> None:
    replaced(broken, "MTD_MSIL1C.xml", "Level-1C</PROCESSING_LEVEL>", "Level-2A</PROCESSING_LEVEL>")

    line = refused(capfd, tmp_path / "a", broken)

    assert "MTD_MSIL1C.xml" in line
    assert "Level-2A" in line


def test_files_that_are_no_product(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no product")
    empty = tmp_path / "x.SAFE"
    empty.mkdir()

    assert str(text) in refused(capfd, tmp_path / "a", text)
    assert refused(capfd, tmp_path / "a", empty) == f"{empty}: not a SAFE folder, it has no manifest.safe"


def test_an_empty_folder_makes_not_even_an_archive(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    line = refused(capfd, tmp_path / "a", tmp_path / "empty")

    assert line.startswith(f"{tmp_path / 'empty'}: neither a SAFE")
    assert not (tmp_path / "a").exists()


def test_a_tile_that_is_not_in_the_grid(capfd: pytest.CaptureFixture[str], broken: Path, tmp_path: Path) -> None:
    for path in ("MTD_MSIL1C.xml", "GRANULE/L1C_T32TMT_A043885_20250801T101859/MTD_TL.xml"):
        replaced(broken, path, "_A043885_T32TMT_N02.04", "_A043885_T32TAA_N02.04")

    assert "'32TAA' is not a tile of the Sentinel-2 grid" in refused(capfd, tmp_path / "a", broken)


def test_a_product_that_is_stored_with_other_pixels(
    capfd: pytest.CaptureFixture[str], neighbours: tuple[Path, Path], dark: Path, tmp_path: Path
) -> None:
    where = ["--archive", str(tmp_path / "a")]
    assert run(["ingest", str(neighbours[0]), *where]) == 0
    before = (tmp_path / "a" / "products" / f"{neighbours[0].stem}.json").read_bytes()
    capfd.readouterr()

    assert run(["ingest", str(dark), *where]) == 2

    output, errors = capfd.readouterr()
    assert (output, errors.count("\n")) == ("", 1)
    assert f"{dark.stem} B01: the archive has this product with other pixels" in errors
    assert (tmp_path / "a" / "products" / f"{neighbours[0].stem}.json").read_bytes() == before
    assert check(open_archive(tmp_path / "a")) == []


def test_two_bad_products_stop_no_good_one(
    capfd: pytest.CaptureFixture[str], neighbours: tuple[Path, Path], broken: Path, tmp_path: Path
) -> None:
    (broken / f"{IMAGES}_B8A.jp2").unlink()
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / neighbours[1].name).symlink_to(neighbours[1])
    (folder / broken.name).symlink_to(broken)
    (folder / "a.zip").write_bytes(b"no zip")
    capfd.readouterr()

    status = run(["ingest", str(folder), "--archive", str(tmp_path / "a"), "--workers", "0"])

    output, errors = capfd.readouterr()
    assert status == 1
    assert output.splitlines()[-1] == "1 ingested, 2 failed"
    assert sorted(line.split(": ")[2].rpartition("/")[2] for line in errors.splitlines()) == [
        "T32TMT_20250801T101559_B8A.jp2",
        "a.zip",
    ]
    opened = open_archive(tmp_path / "a")
    assert opened.product_ids() == [neighbours[1].stem]
    assert check(opened) == []


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of a size in memory."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs to be root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("size", ["300k", "2m"])
def test_a_full_disk(
    capfd: pytest.CaptureFixture[str], neighbours: tuple[Path, Path], tmp_path: Path, size: str
) -> None:
    with small_disk(tmp_path / "disk", size) as disk:
        line = refused(capfd, disk / "a", neighbours[0])

        assert "No space left on device" in line
        assert str(disk / "a") in line

        subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
        assert run(["ingest", str(neighbours[0]), "--archive", str(disk / "a")]) == 0
        assert check(open_archive(disk / "a"), deep=True) == []


def ingest_process(safe: Path, archive: Path, limit: str = "") -> subprocess.CompletedProcess[str]:
    """Ingest in a process of its own, after a statement that limits it."""
    # All is imported before: nobody may not be allowed to read Python's own folders.
    load = "import _strptime, os, resource, signal, sys, cli.ingest; from cli.main import run"
    code = f"{load}\n{limit}\nsys.exit(run(sys.argv[1:]))"
    arguments = [sys.executable, "-c", code, "ingest", str(safe), "--archive", str(archive)]
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_quota(neighbours: tuple[Path, Path], tmp_path: Path) -> None:
    """As `test_a_full_disk`, for those who may not mount: no file may be larger than 20,000 bytes."""
    limit = "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))"

    done = ingest_process(neighbours[0], tmp_path / "a", limit)

    assert (done.returncode, done.stdout) == (2, "")
    assert "File too large" in only_line(done.stderr, tmp_path / "a")


def as_nobody() -> str:
    if os.getuid() != 0:
        return ""
    return "os.setgid(65534); os.setuid(65534)"


def test_an_archive_that_may_not_be_written(neighbours: tuple[Path, Path], tmp_path: Path) -> None:
    archive = tmp_path / "a"
    assert run(["ingest", str(tmp_path), "--archive", str(archive)]) == 2  # no SAFE there: nothing is made
    archive.mkdir()
    archive.chmod(0o555)
    open_doors(tmp_path)
    open_doors(neighbours[0])

    done = ingest_process(neighbours[0], archive, as_nobody())

    archive.chmod(0o755)
    assert (done.returncode, done.stdout) == (2, "")
    assert only_line(done.stderr, archive) == f"{archive}: writing is not permitted (Permission denied)"
    assert list(archive.iterdir()) == []


def test_a_product_that_may_not_be_read(neighbours: tuple[Path, Path], broken: Path, tmp_path: Path) -> None:
    shutil.copy2(neighbours[0] / f"{IMAGES}_B02.jp2", tmp_path / "copy")
    (broken / f"{IMAGES}_B02.jp2").unlink()
    (tmp_path / "copy").rename(broken / f"{IMAGES}_B02.jp2")
    (broken / f"{IMAGES}_B02.jp2").chmod(0)
    archive = tmp_path / "a"
    archive.mkdir()
    archive.chmod(0o777)
    open_doors(tmp_path)

    done = ingest_process(broken, archive, as_nobody())

    assert (done.returncode, done.stdout) == (2, "")
    assert only_line(done.stderr, archive) == f"{broken}/{IMAGES}_B02.jp2: Permission denied"
    assert_clean(archive)


def open_doors(path: Path) -> None:
    """Let everybody reach a folder of the test, which pytest keeps to its user."""
    for folder in (path, *path.parents):
        if folder.stat().st_uid != os.getuid() or folder == Path("/"):
            break
        folder.chmod(folder.stat().st_mode | 0o055)
