"""The program `abut`: which commands there are, and what becomes of errors.

A command's module is imported when it runs. Adding a command: a module with a `command`, and a line in `COMMANDS`.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from abut import __version__
from abut.errors import CatalogueError, DigestMismatchError, MissingObjectError
from abut.hiding import hide
from abut.messages import describe, is_expected
from cli.group import LazyGroup
from cli.options import Common
from cli.status import FAILED, INTERRUPTED, PIPE_CLOSED, REFUSED, TERMINATED, print_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "create": ("cli.create", "Make an archive without products, for services to start on."),
    "ingest": ("cli.ingest", "Store SAFE products in an archive."),
    "settle": ("cli.settle", "Release blocks that a neighbour holds with equal pixels."),
    "purge": ("cli.purge", "Delete what was released or withdrawn long enough ago."),
    "withdraw": ("cli.withdraw", "Take products out of search and views."),
    "check": ("cli.check", "See whether everything in an archive agrees, and repair it."),
    "verify": ("cli.verify", "Compare SAFE products with an archive, pixel by pixel."),
    "recreate": ("cli.recreate", "Write legacy tiles, as GeoTIFF or as SAFE."),
    "list": ("cli.list", "List the products of an archive."),
    "search": ("cli.search", "Find products, in an archive or through a STAC API."),
    "cube": ("cli.cube", "Write any ground over any time as Zarr, netCDF or GeoTIFF."),
    "explain": ("cli.explain", "Say what `abut cube` will read, before it does."),
    "catalog": ("cli.catalog", "Look after an archive's catalogue: move, rebuild, export."),
    "zone": ("cli.zone", "Treat a UTM zone as one array: info, materialise."),
    "run": ("cli.run", "Run workflows, ours or yours, and compare with SAFE."),
    "serve": ("cli.serve", "Serve an archive over HTTP: STAC API and objects."),
    "demo": ("cli.demo", "See the main job done, with proof and picture."),
    "equality": ("cli.equality", "Prove it for your own products: certificates, histograms, a page."),
    "version": ("cli.version", "Say which version this is."),
}
"""Module and summary of each command, in the order of the help. The command is the module's `command`."""


class _EndedError(Exception):
    """Ctrl-C or a closed pipe, by a name that click does not know: it would do things of its own."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM: whatever tidies up after Ctrl-C does so then too."""


class _Program(LazyGroup):
    """The group of `COMMANDS`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _EndedError(TERMINATED if isinstance(error, _TerminatedError) else INTERRUPTED) from error
        except BrokenPipeError as error:
            raise _EndedError(PIPE_CLOSED) from error


@click.group(
    cls=_Program, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="abut", message="%(prog)s %(version)s")
def program() -> None:
    """Sentinel-2 L1C stored once: SAFE in, overlap out, any legacy tile back bit for bit.

    \b
    abut ingest *.SAFE --archive l1c --settle    store products, keep overlaps once
    abut list --archive l1c --tile 32TNM         see what is there
    abut check --archive l1c                     see whether all is well

    An archive is a folder or s3://bucket/prefix; ABUT_ARCHIVE names it once for all commands.
    """  # noqa: D301 - \b is click's mark, a backspace, before text that is not to be wrapped


def main() -> NoReturn:
    """Run the program with the process's arguments, and end the process.

    SIGTERM ends it in order, as the first process of a container too, which has no other way to hear of it.
    """
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


def _terminate(*_: object) -> NoReturn:
    raise _TerminatedError


def run(arguments: Sequence[str]) -> int:
    """Run the program.

    Parameters
    ----------
    arguments : sequence of str
        What follows the program's name.

    Returns
    -------
    int
        Exit status, see `cli.status`. Every error is one line on stderr.
    """
    common = Common()
    try:
        status = program.main(list(arguments), prog_name="abut", standalone_mode=False, obj=common)
        sys.stdout.flush()
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "abut"
        return _refuse(f"{error.format_message()} (see {command} --help)")
    except click.ClickException as error:
        return _refuse(error.format_message())
    except _EndedError as ended:
        return _end(ended.status)
    except (KeyboardInterrupt, click.Abort):
        return _end(INTERRUPTED)
    except BrokenPipeError:
        return _end(PIPE_CLOSED)
    except Exception as error:  # noqa: BLE001 - users get one line, never a traceback
        return _explain(error, common)
    return int(status or 0)


def _end(status: int) -> int:
    if status in (INTERRUPTED, TERMINATED):
        return _refuse("interrupted" if status == INTERRUPTED else "ended by SIGTERM", status)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
    return status


def _explain(error: Exception, common: Common) -> int:
    if common.debug:
        sys.stderr.write(hide("".join(traceback.format_exception(error))))
    text = describe(error, common.archive)
    if not is_expected(error):
        text = f"{text} (unexpected; --debug shows where)"
    failed = isinstance(error, DigestMismatchError | MissingObjectError | CatalogueError)
    return _refuse(text, FAILED if failed else REFUSED)


def _refuse(text: str, status: int = REFUSED) -> int:
    print_error(text)
    return status


if __name__ == "__main__":
    main()
