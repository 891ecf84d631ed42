"""`abut run --compare`: a workflow, or any program, on SAFEs and on an archive of them."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from abut.errors import BadRequestError, ExportError
from abut.layout import BANDS
from cli.asking import connected
from cli.demonstration import extras
from cli.output import aside, bar, plural, stages
from cli.status import FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from abut.connection import Connection
    from abut.lattice import Bounds
    from ingest.parallel import Progress
    from workflows.runs.certificate import Certificate
    from workflows.runs.program_certificate import ProgramCertificate
    from workflows.runs.subjects import Given
    from workflows.runs.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user wants to be compared."""

    params: Mapping[str, object] = field(default_factory=dict)
    """Parameters of the workflow."""
    program: str | None = None
    """A command with ``{safe}`` and ``{out}``, instead of a workflow."""
    archive: str | None = None
    """Archive that has the products. Default: a temporary one without overlap is made of them."""
    product: str | None = None
    """Product that is compared. Default: the one with the most neighbours among the SAFEs."""
    bbox: str | None = None
    """Part of the tile: W,S,E,N."""
    crs: str | None = None
    """What `bbox` is written in. Default: degrees."""
    core: str | None = None
    """Part of the tile: W,S,E,N in metres of the zone."""
    across: bool = False
    """Compare with other zones' ground, too."""
    threads: int = 1
    """Threads that may be used."""
    certificate: Path | None = None
    """Where the certificate is written as JSON."""
    maps: Path | None = None
    """Folder for pictures."""
    keep: Path | None = None
    """New folder for the archive that is made, and for what a program writes."""
    timeout: float | None = None
    """Seconds after which a run of a program is ended."""
    twice: bool = False
    """Run a program on the original twice in any case."""
    overwrite: bool = False
    """Replace a certificate that is there."""
    as_json: bool = False
    """Print the certificate as JSON, and no progress."""


def compare_command(workflow: Workflow | None, safes: Sequence[Path], **wish: Any) -> int:
    """Compare, say what was found, and write certificate and maps.

    Parameters
    ----------
    workflow : Workflow, optional
        What is run; None: a program.
    safes : sequence of Path
        SAFE products, and folders that hold such.
    **wish
        See `Wish`.

    Returns
    -------
    int
        0 identical, 1 not.
    """
    asked = Wish(**wish)
    _require_sense(workflow, safes, asked)
    from workflows.runs.program import parse_command  # noqa: PLC0415 - rasterio takes its time
    from workflows.runs.subjects import around, chosen, given_products  # noqa: PLC0415 - as above

    if asked.program is not None:
        parse_command(asked.program, timeout=asked.timeout)  # before anything is read
    products = given_products(safes)
    one = chosen(products, asked.product)
    neighbours = around(products, one)
    if not asked.as_json:
        more = f", with {plural(len(neighbours) - 1, 'other')} around it" if len(neighbours) > 1 else ""
        click.echo(f"{one.metadata.id}{more}", err=True)
    ground = _ground(one, asked)
    with _archive(neighbours, asked) as connection:
        found: Certificate | ProgramCertificate = (
            _on_program(connection, one, asked)
            if workflow is None
            else _on_workflow(workflow, connection, one.metadata.id, neighbours, ground, asked=asked)
        )
    text = json.dumps(found.as_json(), indent=1, ensure_ascii=False)
    click.echo(text if asked.as_json else "\n".join(found.lines()))
    if asked.certificate is not None:
        _write(asked.certificate, text + "\n")
    return 0 if found.passed else FAILED


def _require_sense(workflow: Workflow | None, safes: Sequence[Path], asked: Wish) -> None:
    """See that options fit together, and that what is to be written can be, before anything is read."""
    if not safes:
        raise click.UsageError("--compare needs SAFE products")
    missing = [str(path) for path in safes if not path.exists()]
    if missing:
        raise click.UsageError(f"{missing[0]} does not exist")
    if (workflow is None) == (asked.program is None):
        raise click.UsageError("--compare needs either a workflow or a program (--command)")
    workflows = ("bbox", "crs", "core", "across", "maps")
    for option in ("timeout", "twice") if asked.program is None else workflows:
        if getattr(asked, option):
            whose = "--command" if asked.program is None else "workflows: a program is given whole SAFEs"
            raise click.UsageError(f"--{option} is for {whose}")
    if asked.bbox and asked.core:
        raise click.UsageError("--bbox and --core are two ways to say the same")
    if asked.crs and not asked.bbox:
        raise click.UsageError("--crs is for --bbox")
    path = asked.certificate
    if path is not None and os.path.lexists(path) and not (asked.overwrite and path.is_file()):
        raise ExportError(f"{path}: is there already (--overwrite replaces a file)")
    if asked.maps is not None:
        if os.path.lexists(asked.maps) and not asked.maps.is_dir():
            raise ExportError(f"{asked.maps}: is there already, and is no folder")
        with extras():
            import PIL  # noqa: F401, PLC0415 - what draws them; said now rather than when all is computed
    if asked.keep is not None and os.path.lexists(asked.keep):
        raise ExportError(f"{asked.keep}: is there already")


def _ground(one: Given, asked: Wish) -> Bounds | None:
    """Return the part of the tile that is compared."""
    from abut.window import bbox_window  # noqa: PLC0415 - pyproj takes its time
    from workflows.runs.running import core_in  # noqa: PLC0415 - xarray takes its time

    tile = one.metadata.tile
    if asked.core is not None:
        return core_in(tile, _numbers(asked.core, "core"))
    if asked.bbox is None:
        return None
    box = bbox_window(_numbers(asked.bbox, "bbox"), asked.crs or "EPSG:4326", tile.zone)
    part = box.intersection(tile.footprint)
    if part is None:
        raise BadRequestError(f"--bbox {asked.bbox} is not on the tile {tile.id}")
    return part


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadRequestError(f"--{option} {text!r} is not W,S,E,N") from None


@contextmanager
def _archive(products: Sequence[Given], asked: Wish) -> Iterator[Connection]:
    """Open the archive, or make one for as long as it is needed."""
    if asked.archive is not None:
        yield connected(asked.archive)
        return
    from workflows.runs.subjects import store  # noqa: PLC0415 - rasterio takes its time

    with tempfile.TemporaryDirectory(prefix="abut-compare-") as scratch:
        folder = (asked.keep or Path(scratch)) / "archive"
        if not asked.as_json:
            what = "kept" if asked.keep else "temporary; --keep FOLDER keeps it"
            click.echo(f"no --archive: storing the products in {folder} ({what})", err=True)
        with bar(None, " bands", hidden=asked.as_json) as progress:

            def show(step: Progress) -> None:
                progress.total = step.total * len(BANDS)
                progress.update(step.kind == "band")

            safes = list(dict.fromkeys(one.safe for one in products))
            made = store(folder, safes, on_progress=show)
        yield connected(made.store.url)


def _on_workflow(
    workflow: Workflow,
    connection: Connection,
    product: str,
    neighbours: Sequence[Given],
    ground: Bounds | None,
    *,
    asked: Wish,
) -> Certificate:
    from workflows.runs.compare import Subject, compare  # noqa: PLC0415 - scipy takes its time

    safes = tuple(dict.fromkeys(given.safe for given in neighbours))
    subject = Subject(connection=connection, safes=safes, product=product, core=ground, across=asked.across)
    with stages(hidden=asked.as_json) as show, aside():
        found = compare(workflow, subject, asked.params, threads=asked.threads, done=show)
    if asked.maps is not None:
        from workflows.runs.maps import draw_maps  # noqa: PLC0415 - needed for this alone

        with extras():
            paths = draw_maps(found, asked.maps)
        if not asked.as_json:
            click.echo(f"{asked.maps}: {', '.join(path.name for path in paths)}", err=True)
    return found.certificate


def _on_program(connection: Connection, one: Given, asked: Wish) -> ProgramCertificate:
    from workflows.runs.program import compare_program, parse_command  # noqa: PLC0415 - rasterio takes its time

    archive = connection.archive
    with bar(None, " steps", hidden=asked.as_json) as progress:

        def show(step: str) -> None:
            progress.set_description(step)
            progress.update()

        return compare_program(
            parse_command(asked.program or "", timeout=asked.timeout),
            archive,
            archive.product(one.metadata.id),
            one.safe,
            repeat=asked.twice,
            keep=None if asked.keep is None else asked.keep / "written",
            done=show,
        )


def _write(path: Path, text: str) -> None:
    from abut.export.folder import writing  # noqa: PLC0415 - needed for this alone

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".abut-", dir=path.parent) as scratch:
            made = Path(scratch, "certificate")
            made.write_text(text, encoding="utf-8")
            made.replace(path)
