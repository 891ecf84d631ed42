"""The end of the demonstration: the archive in a browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from pathlib import Path

HOST: Final = "127.0.0.1"
"""Only this machine sees it."""
PORT: Final = 8000
"""Port of `abut serve`, unless somebody has it."""


def show(archive: Path, *, opening: bool) -> None:
    """Serve an archive until Ctrl-C and open the viewer, or say how that is done where nobody would end it.

    Parameters
    ----------
    archive : Path
        The archive.
    opening : bool
        Whether that is wanted. It happens only in a terminal on a machine with a screen.
    """
    if opening and _is_watched() and _has_screen():
        _serve(archive)
        return
    click.echo(f"\nSee it in a browser:\n  abut serve --archive {archive}      then http://{HOST}:{PORT}/")


def _is_watched() -> bool:
    """Tell whether somebody sits at a terminal, who can end what goes on for ever."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _serve(archive: Path) -> None:
    try:
        from services.serving import AddressError, listen, serve  # noqa: PLC0415 - an extra
        from services.settings import load_settings  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise click.UsageError(f"the viewer needs {error.name}: pip install 'abut[services]'") from error
    settings = load_settings(archive=str(archive), host=HOST, log_level="WARNING")
    try:
        listening = listen(HOST, PORT)
    except AddressError:
        listening = listen(HOST, 0)

    def begin() -> None:
        click.echo(f"\nIn a browser:  {listening.url}/      (Ctrl-C ends it)")
        webbrowser.open(f"{listening.url}/")

    serve(settings, listening, begin)
