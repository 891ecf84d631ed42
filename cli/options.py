"""Options that several commands have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(slots=True)
class Common:
    """What the program itself wants to know of a command's options."""

    archive: str = ""
    """The archive, named in messages that name nothing else."""
    debug: bool = False
    """Whether to show tracebacks."""


def archive_option(help_text: str = "The archive: a folder, or s3://bucket/prefix.") -> Decorator:
    """`--archive`, or the environment variable ABUT_ARCHIVE."""
    return click.option(
        "--archive",
        "-a",
        envvar="ABUT_ARCHIVE",
        show_envvar=True,
        required=True,
        metavar="DIR|URL",
        callback=_note_archive,
        help=help_text,
    )


def json_option(help_text: str = "Print one JSON document instead of text.") -> Decorator:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def debug_option() -> Decorator:
    """`--debug`: where an error came from."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_note_debug,
        help="Show the traceback of an error.",
    )


def debugging() -> bool:
    """Whether tracebacks are wanted."""
    common = click.get_current_context().find_object(Common)
    return common is not None and common.debug


def _note_archive(context: click.Context, _: click.Parameter, value: str) -> str:
    context.ensure_object(Common).archive = value
    return value


def _note_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.ensure_object(Common).debug = value
