"""How the demonstration ends: with the viewer where somebody looks, else with how it is reached."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from abut.archive import create_archive
from cli.demonstration import viewer

if TYPE_CHECKING:
    from pathlib import Path

WATCHED = """
import sys, webbrowser
from pathlib import Path
from cli.demonstration import viewer
viewer._is_watched = viewer._has_screen = lambda: True
webbrowser.open = lambda url: print("opened", url, flush=True)
viewer.show(Path(sys.argv[1]), opening=True)
"""


@pytest.mark.parametrize("opening", [False, True])
def test_without_a_terminal_it_says_how(
    opening: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    viewer.show(tmp_path, opening=opening)
    said = capsys.readouterr().out
    assert f"abut serve --archive {tmp_path}" in said
    assert said.rstrip().endswith("http://127.0.0.1:8000/")


def test_where_somebody_looks_it_serves_until_it_is_ended(tmp_path: Path) -> None:
    create_archive(tmp_path / "archive")
    command = [sys.executable, "-c", WATCHED, str(tmp_path / "archive")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        while "opened" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        found = re.search(r"opened (http://127\.0\.0\.1:\d+/)", said)
        assert found is not None
        page = httpx.get(found[1], headers={"accept": "text/html"}, timeout=60)
        assert "<title>Abut</title>" in page.text
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
