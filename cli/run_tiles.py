"""`abut run --tiles`: many tiles on Dask, as one Zarr of the zone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cli.output import aside, bar, plural, print_json
from cli.status import FAILED, print_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workflows.runs.workflow import Workflow
    from workflows.runs.zone_task import Outcome


def tiles_command(workflow: Workflow, settings: Mapping[str, str], given: Mapping[str, Any]) -> int:
    """Run a workflow on many tiles, or go on where an earlier run ended; say what came of it.

    Parameters
    ----------
    workflow : Workflow
        What is computed.
    settings : mapping
        Its parameters as they were written.
    given : mapping
        The options of `abut run`.

    Returns
    -------
    int
        0, or 1 if tasks failed.
    """
    for option in ("buffer", "partial", "across", "variables", "overwrite"):
        if given[option]:
            raise click.UsageError(f"--{option} is not for --tiles")
    if not given["out"].endswith(".zarr"):
        raise click.UsageError(f"--out {given['out']}: with --tiles the result is a Zarr, x.zarr")
    from workflows.runs.tiles import run_tiles  # noqa: PLC0415 - dask takes its time

    with bar(None, " tasks", hidden=given["as_json"]) as progress, aside():

        def done(outcome: Outcome, count: int, total: int) -> None:
            progress.total = total
            progress.set_postfix_str(outcome.tile)
            progress.update(count - progress.n)

        ran = run_tiles(
            given["archive"],
            workflow,
            [name.strip().upper() for name in given["tiles"].split(",") if name.strip()],
            given["period"],
            given["out"],
            scheduler=given["scheduler"],
            workers=given["workers"],
            params=settings,
            options={"baseline": given["baseline"]} if given["baseline"] else None,
            threads=1 if given["threads"] is None else given["threads"],
            done=done,
        )
    if given["as_json"]:
        print_json({"path": given["out"], "workflow": workflow.name, **asdict(ran)})
        return FAILED if ran.failed else 0
    for one in ran.failed:
        print_error(f"{one.tile}, step {one.number}: {one.problem}")
    counts = f"{plural(ran.computed, 'task')} computed, {ran.earlier} done earlier, {len(ran.failed)} failed"
    click.echo(f"{given['out']}: {plural(ran.steps, 'step')}, {plural(ran.blocks, 'block')} written; {counts}")
    return FAILED if ran.failed else 0
