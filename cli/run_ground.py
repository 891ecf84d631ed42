"""`abut run` on ground of an archive: one tile, product or box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from abut.errors import BadRequestError
from cli.output import aside, plural, print_json, stages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from abut.connection import Connection
    from workflows.runs.output import Step
    from workflows.runs.running import Task
    from workflows.runs.workflow import Workflow


def task_of(given: Mapping[str, Any], one: Workflow, settings: Mapping[str, str]) -> Task:
    """Return what the options ask for; what has no meaning is refused."""
    from abut.length import parse_length  # noqa: PLC0415 - usage is checked before anything is loaded
    from abut.period import parse_period  # noqa: PLC0415 - as above
    from abut.tiling import tile  # noqa: PLC0415 - as above
    from abut.window import bbox_window  # noqa: PLC0415 - as above
    from workflows.runs.running import Task, buffer_of  # noqa: PLC0415 - xarray takes its time

    asked = None if given["buffer"] is None else parse_length(given["buffer"])
    buffer_of(one, settings, asked, partial=given["partial"])
    parse_period(given["period"])
    return Task(
        workflow=one,
        params=settings,
        tile=tile(given["tile"]).id if given["tile"] else None,
        product=given["product"],
        window=bbox_window(_numbers(given["bbox"], "bbox"), given["crs"] or "EPSG:4326") if given["bbox"] else None,
        core=_numbers(given["core"], "core") if given["core"] else None,
        period=given["period"],
        buffer=asked,
        partial=given["partial"],
        across=given["across"],
        threads=given["threads"],
        options={"baseline": given["baseline"]} if given["baseline"] else {},
    )


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadRequestError(f"--{option} {text!r} is not W,S,E,N") from None


def written(task: Task, connection: Connection, given: Mapping[str, Any]) -> int:
    """Run a task, write what it gives, and say what was written."""
    from workflows.runs.output import write_steps  # noqa: PLC0415 - xarray is slow
    from workflows.runs.running import run  # noqa: PLC0415 - as above

    names = given["variables"].split(",") if given["variables"] else None
    told: list[dict[str, Any]] = []
    with stages(hidden=given["as_json"]) as show, aside():

        def shown(number: int, moments: int, stage: str, count: int, total: int) -> None:
            show(f"{number + 1}/{moments} {stage}", count, total)

        steps = _watched(run(task, connection, shown=shown), told, digests=given["as_json"])
        written = write_steps(steps, given["out"], overwrite=given["overwrite"], names=names)
    if given["as_json"]:
        print_json(
            {
                "path": str(given["out"]),
                "workflow": task.workflow.name,
                "parameters": task.workflow.params(task.params),
                "variables": written,
                "moments": told,
            }
        )
        return 0
    click.echo(f"{given['out']}: {', '.join(written)} of {plural(len(told), 'moment')}")
    for one in told:
        click.echo(f"    {one['datetime']}  {one['summary']}".rstrip())
    return 0


def _watched(steps: Iterator[Step], told: list[dict[str, Any]], *, digests: bool) -> Iterator[Step]:
    """Hand steps on, and note what they are."""
    from workflows.runs.summary import described, in_words  # noqa: PLC0415 - xarray is slow

    for step in steps:
        one = described(step, digests=digests)
        told.append(one if digests else {"datetime": one["datetime"], "summary": in_words(step)})
        yield step
        del step  # before the next one is computed
