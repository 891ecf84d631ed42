"""`abut run --list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workflows.runs.workflow import Workflow


def list_command(some: Iterable[Workflow], *, as_json: bool) -> int:
    """Print workflows, what they need, and what can be set."""
    if as_json:
        print_json([_described(one) for one in some])
        return 0
    for one in some:
        what = _described(one)
        click.echo(f"{one.name}  {one.title}")
        click.echo(f"    looks {what['radius']:,} m around a pixel; bands {', '.join(what['bands'])}")
        for parameter in what["parameters"]:
            default = f"  [default: {parameter['default']}]"
            text = f"{parameter['help']}: " if parameter["help"] else ""
            click.echo(f"    --set {parameter['name']}=...  {text}{parameter['allowed']}{default}")
    return 0


def _described(one: Workflow) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.title,
        "radius": one.radius(),
        "bands": list(one.bands()),
        "pixel": one.pixel,
        "per_time": one.per_time,
        "parameters": [
            {
                "name": name,
                "type": "list" if parameter.kind is tuple else parameter.kind.__name__,
                "default": parameter.written,
                "allowed": parameter.allowed,
                "help": parameter.help,
            }
            for name, parameter in one.parameters.items()
        ],
    }
