"""Any program, unmodified, on the original SAFE and on the re-created one, and whether it writes the same of both."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from abut.errors import ExportError
from abut.export import export_safe
from abut.export.folder import writing
from abut.export.source import safe_layout
from ingest.container import open_container
from workflows.errors import WorkflowError
from workflows.runs.certificate import versions
from workflows.runs.program_certificate import ProgramCertificate
from workflows.runs.written import Written, compare_file, compare_written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from abut.archive import Archive
    from abut.product import Product

STDOUT: Final = "(standard output)"
"""What a program's standard output is called among the files that it wrote."""
_SAFE: Final = "{safe}"
_OUT: Final = "{out}"
_TOLD: Final = 3
"""Lines of a program's errors that are told."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its arguments, in which ``{safe}`` and ``{out}`` stand for folders."""

    arguments: tuple[str, ...]
    """The program first."""
    timeout: float | None = None
    """Seconds after which a run is ended; None: never."""

    def filled(self, safe: Path, out: Path) -> list[str]:
        """Return the arguments of a run."""
        return [one.replace(_SAFE, str(safe)).replace(_OUT, str(out)) for one in self.arguments]


def parse_command(text: str, *, timeout: float | None = None) -> Command:
    """Return the command that a text stands for.

    Parameters
    ----------
    text : str
        Split as a shell does, but no shell runs it: variables, wildcards and ``|`` have no meaning, unless the program
        is a shell: ``sh -c '...'``. It names ``{safe}``, a folder that holds the SAFE, and ``{out}``, an empty folder
        to write to; the latter is needed unless it prints what is to be compared.
    timeout : float, optional
        Seconds after which a run is ended.

    Raises
    ------
    WorkflowError
        If it can't be split, is empty, or does not name ``{safe}``; or if the timeout is not positive.
    """
    try:
        arguments = tuple(shlex.split(text))
    except ValueError as error:
        raise WorkflowError(f"{text!r} can't be split into arguments: {error}") from None
    if not any(_SAFE in one for one in arguments[1:]):
        raise WorkflowError(f"{text!r} does not say where the SAFE goes: write {_SAFE}, as in 'prog {_SAFE} {_OUT}'")
    if timeout is not None and not timeout > 0:
        raise WorkflowError(f"the timeout {timeout} s is not positive")
    return Command(arguments, timeout)


def compare_program(
    command: Command,
    archive: Archive,
    product: Product,
    safe: Path | str,
    *,
    repeat: bool = False,
    keep: Path | None = None,
    done: Callable[[str], None] = lambda _: None,
) -> ProgramCertificate:
    """Run a program on the original SAFE and on the one that an archive gives back, and compare what it writes.

    The program is given a copy of the original, so that it can't change it; copy and re-created SAFE lie at the same
    path, one after the other, and so do the folders that it writes to, so that paths are no difference. It runs in the
    current directory, with nothing on its standard input. What it prints is compared as well.

    Parameters
    ----------
    command : Command
        The program.
    archive : Archive
        The archive.
    product : Product
        The product that came from `safe`.
    safe : path
        The original: a folder or a zip.
    repeat : bool
        Run it twice on the original, to see whether it writes the same twice. If something differs that is done anyway.
    keep : Path, optional
        Folder for what was written: ``original/``, ``recreated/``, and ``again/`` of the second run on the original.
    done : callable
        Called with what is being done.

    Returns
    -------
    ProgramCertificate
        What was found, equal or not.

    Raises
    ------
    WorkflowError
        If it can't be run, fails, takes too long, or writes nothing at all.
    ExportError
        If the SAFE can't be copied or re-created, or there is something in `keep`.
    """
    with _results(keep) as results, tempfile.TemporaryDirectory(prefix="abut-run-") as scratch:
        place = Path(scratch)
        run = _Runs(command, place / "safe" / safe_layout(product).name, place / "out", results)
        done("copying the original")
        _copy(safe, run.safe)
        done("running on the original")
        seconds = [run.on("original")]
        done("re-creating the SAFE")
        export_safe(archive, product, run.safe.parent)
        done("running on the re-created SAFE")
        seconds.append(run.on("recreated"))
        files = run.compared("recreated")
        if not files:
            raise WorkflowError(f"{command.arguments[0]} wrote nothing: nothing in {_OUT}, nothing on standard output")
        if repeat or not all(file.equal for file in files):
            done("running on the original again")
            _copy(safe, run.safe)
            run.on("again")
            files = _with_varying(files, run.compared("again"))
    return ProgramCertificate(
        command=command.arguments,
        product=product.id,
        tile=product.tile.id,
        safe=str(safe),
        archive=archive.store.url,
        time=datetime.now(UTC),
        versions=versions("rasterio", "numpy"),
        seconds=(round(seconds[0], 3), round(seconds[1], 3)),
        repeated=repeat or not all(file.equal for file in files),
        files=tuple(files),
    )


@contextmanager
def _results(keep: Path | None) -> Iterator[Path]:
    """Make the folder for what the runs write."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="abut-run-") as folder:
            yield Path(folder)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise ExportError(f"{keep}: is there already, and is no empty folder")
    with writing(keep):
        keep.mkdir(parents=True, exist_ok=True)
    yield keep


@dataclass(frozen=True, slots=True)
class _Runs:
    """Runs of a command in the same places."""

    command: Command
    safe: Path
    """Where the SAFE lies that the program is given."""
    out: Path
    """Where it writes."""
    results: Path
    """Where what it wrote is kept."""

    def on(self, name: str) -> float:
        """Run it on the SAFE that lies there now, keep what it wrote under a name, and return the seconds."""
        kept = self.results / name
        with writing(kept):
            kept.mkdir()
            self.out.mkdir()
        began = monotonic()
        _run(self.command, self.safe, self.out, kept)
        seconds = monotonic() - began
        with writing(kept):
            shutil.rmtree(self.safe)
            shutil.move(self.out, kept / "out")
        return seconds

    def compared(self, name: str) -> list[Written]:
        """Compare what was written of the original the first time with something else."""
        first, second = self.results / "original", self.results / name
        files = compare_written(first / "out", second / "out")
        printed = [folder / "stdout" for folder in (first, second)]
        return [*files, compare_file(STDOUT, *printed)] if any(path.stat().st_size for path in printed) else files


def _with_varying(files: list[Written], again: list[Written]) -> list[Written]:
    """Say which files differ between two runs on the original, too; they may be others."""
    varying = {file.path for file in again if not file.equal}
    there = {file.path for file in files}
    unequal = ("written by a second run on the original only",)
    only = [
        Written(path=file.path, original=None, recreated=None, unequal=unequal, varies=True)
        for file in again
        if file.path in varying - there
    ]
    return [*(replace(file, varies=file.path in varying) for file in files), *only]


def _copy(safe: Path | str, target: Path) -> None:
    """Copy a SAFE, a folder or in a zip, file by file."""
    container = open_container(safe)
    for path in sorted(container.sizes()):
        with writing(target / path), container.open(path) as source:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            with (target / path).open("xb") as file:
                shutil.copyfileobj(source, file, 1 << 20)


def _run(command: Command, safe: Path, out: Path, kept: Path) -> None:
    """Run a program; its standard output and errors go to files."""
    arguments = command.filled(safe, out)
    with (kept / "stdout").open("wb") as stdout, (kept / "stderr").open("wb") as stderr:
        try:
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
            )
        except OSError as error:
            raise WorkflowError(f"{arguments[0]} can't be run: {error.strerror or error}") from None
        try:
            status = process.wait(command.timeout)
        except subprocess.TimeoutExpired:
            raise WorkflowError(
                f"{arguments[0]} did not end within {command.timeout:g} s{_told(kept / 'stderr')}"
            ) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # and what it started: the group is its own
                process.wait()
    if status:
        ended = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise WorkflowError(f"{arguments[0]} {ended} on the {kept.name} SAFE{_told(kept / 'stderr')}")


def _told(stderr: Path) -> str:
    """Return the last lines of a program's errors."""
    with stderr.open("rb") as file:
        file.seek(max(0, stderr.stat().st_size - 10_000))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return f": {' | '.join(lines[-_TOLD:])[-1000:]}" if lines else ""
