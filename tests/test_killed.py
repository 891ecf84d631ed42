"""Runs that end at any moment: killed, interrupted, starved of a worker. Nothing incomplete is ever seen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from abut.archive import open_archive
from abut.layout import BAND
from catalog.sqlite import open_catalogue
from cli.main import run
from ingest.check import check
from ingest.safe_source import SafeSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from abut.archive import Archive
    from abut.layout import Band


ROOT = Path(__file__).parents[1]
DAYS_AGO = 2 * 86_400
PATIENCE = 240


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start the program as a shell does: a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something, or for the end of the process."""
    deadline = time.monotonic() + PATIENCE
    while not happened() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill(process: subprocess.Popen[str]) -> None:
    """End a process and its children as a power cut would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def progress(archive: Path) -> dict[str, Any]:
    """Bands that the claims of an archive record as complete."""
    claims = [json.loads(path.read_text()) for path in archive.glob("claims/*.json")]
    assert len(claims) < 2, "every run takes up the attempt of the one before"
    return dict(claims[0]["bands"]) if claims else {}


def objects(archive: Path) -> int:
    return sum(1 for _ in archive.glob("products/*.zarr/**/c/*/*"))


def assert_only_complete_products(archive: Path) -> None:
    """What readers see: each product that is listed is whole, object by object."""
    if not (archive / "archive.json").exists():
        return
    opened = open_archive(archive)
    assert [finding for finding in check(opened) if finding.kind == "damage"] == []
    if (archive / "catalog.sqlite").exists():
        with open_catalogue(archive / "catalog.sqlite", create=False) as catalogue:
            assert catalogue.ids() <= set(opened.product_ids())


def complete(archive: Path, product: str) -> Archive:
    opened = open_archive(archive)
    assert opened.product_ids() == [product]
    assert check(opened, deep=True) == []
    return opened


def test_a_product_killed_again_and_again_is_completed_by_the_last_run(
    neighbours: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Kills at the first object, after some bands, after all of them, and after the commit's record."""
    archive, safe = tmp_path / "a", neighbours[0]
    moments: list[Callable[[], bool]] = [
        lambda: objects(archive) > 3,
        lambda: len(progress(archive)) >= 2,
        lambda: len(progress(archive)) >= 7,
        lambda: len(progress(archive)) == 13,
        lambda: any(archive.glob("products/*.zarr/record.json")),
    ]
    seen: list[set[str]] = []
    for moment in moments:
        process = start("ingest", safe, "--archive", archive)
        wait_until(moment, process)
        kill(process)
        assert_only_complete_products(archive)
        seen.append(set(progress(archive)))

    assert seen[:4] == sorted(seen[:4], key=len), "no band is lost"
    assert len(seen[3]) == 13
    assert run(["ingest", str(safe), "--archive", str(archive)]) == 0
    complete(archive, safe.stem)
    assert "ingested" in capfd.readouterr().out
    assert not list(archive.glob("claims/*"))


@pytest.mark.parametrize("delay", [0.4, 1.1, 2.3, 4.1])
def test_a_product_killed_at_any_moment_is_never_half_there(
    neighbours: tuple[Path, Path], tmp_path: Path, delay: float
) -> None:
    archive = tmp_path / "a"
    process = start("ingest", neighbours[0], "--archive", archive)
    time.sleep(delay)
    kill(process)

    assert_only_complete_products(archive)


def test_bands_that_were_complete_are_not_decoded_again(
    neighbours: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, safe = tmp_path / "a", neighbours[0]
    process = start("ingest", safe, "--archive", archive)
    wait_until(lambda: len(progress(archive)) >= 3, process)
    kill(process)
    done = set(progress(archive))
    prefix = [path.name for path in archive.glob("products/*.zarr")]
    times = {path: path.stat().st_mtime_ns for path in archive.glob("products/*.zarr/**/c/*/*")}
    decoded: list[str] = []
    monkeypatch.setattr(SafeSource, "strips", noting(decoded))

    assert run(["ingest", str(safe), "--archive", str(archive)]) == 0

    assert len(done) >= 3
    assert sorted(decoded) == sorted(BAND.keys() - done)
    assert [path.name for path in archive.glob("products/*.zarr")] == prefix, "the same attempt went on"
    assert all(path.stat().st_mtime_ns == when for path, when in times.items()), "no object was written again"
    complete(archive, safe.stem)


def noting(decoded: list[str]) -> Callable[[SafeSource, Band], Iterator[Any]]:
    """`SafeSource.strips`, noting the bands that are decoded."""
    strips = SafeSource.strips

    def note(source: SafeSource, band: Band) -> Iterator[Any]:
        decoded.append(band.name)
        return strips(source, band)

    return note


def test_what_a_dead_run_left_is_removed_after_a_day(
    neighbours: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "a"
    process = start("ingest", neighbours[0], "--archive", archive)
    wait_until(lambda: len(progress(archive)) >= 1, process)
    kill(process)
    where = ["--archive", str(archive)]

    assert run(["check", *where, "--repair"]) == 0
    assert objects(archive) > 0, "its worker might come back"
    assert len(list(archive.glob("claims/*.json"))) == 1

    long_ago = time.time() - DAYS_AGO
    for path in archive.rglob("*"):
        if path.is_file():
            os.utime(path, (long_ago, long_ago))
    capfd.readouterr()
    assert run(["check", *where]) == 0
    assert "an attempt was given up" in capfd.readouterr().out
    assert objects(archive) > 0, "check alone changes nothing"
    assert run(["check", *where, "--repair"]) == 0
    assert "(repaired)" in capfd.readouterr().out
    assert objects(archive) == 0
    assert list(archive.glob("claims/*.json")) == []
    assert list(archive.rglob("*#*")) == []
    assert run(["check", *where]) == 0
    assert capfd.readouterr().out == "0 damage, 0 leftovers, 0 repaired\n"


def test_ctrl_c_is_one_line_and_keeps_what_was_done(neighbours: tuple[Path, Path], tmp_path: Path) -> None:
    archive = tmp_path / "a"
    process = start("ingest", neighbours[0], "--archive", archive)
    wait_until(lambda: len(progress(archive)) >= 1, process)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, output, errors) == (130, "", "abut: error: interrupted\n")
    assert_only_complete_products(archive)
    assert len(progress(archive)) >= 1


@pytest.mark.parametrize(
    ("number", "ended"),
    [
        (signal.SIGINT, (130, "", "abut: error: interrupted\n")),
        (signal.SIGTERM, (143, "", "abut: error: ended by SIGTERM\n")),
    ],
)
def test_signals_end_the_workers_too(
    neighbours: tuple[Path, Path], tmp_path: Path, number: signal.Signals, ended: tuple[int, str, str]
) -> None:
    """Ctrl-C goes to all processes of the group, SIGTERM of Docker and Kubernetes to the first alone."""
    archive = tmp_path / "a"
    process = start("ingest", *neighbours, "--archive", archive, "--workers", "2")
    wait_until(lambda: objects(archive) > 0, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, output, errors) == ended
    deadline = time.monotonic() + PATIENCE
    while living(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert_only_complete_products(archive)


def test_sigterm_during_an_ingest_leaves_nothing_visible_and_the_next_run_goes_on(
    neighbours: tuple[Path, Path], tmp_path: Path
) -> None:
    archive, safe = tmp_path / "a", neighbours[0]
    process = start("ingest", safe, "--archive", archive)
    wait_until(lambda: len(progress(archive)) >= 1, process)
    process.terminate()
    output, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, output, errors) == (143, "", "abut: error: ended by SIGTERM\n")
    assert open_archive(archive).product_ids() == []
    assert_only_complete_products(archive)
    assert len(progress(archive)) >= 1
    assert run(["ingest", str(safe), "--archive", str(archive)]) == 0
    complete(archive, safe.stem)


def living(group: int) -> list[int]:
    """Processes of a group that have not ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found
