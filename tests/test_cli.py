"""The commands on archives of toy products: what they print, for people and for programs, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from abut.archive import Archive, create_archive
from abut.errors import DigestMismatchError
from cli.main import COMMANDS, _Program, program, run
from ingest.ingest import ingest
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
HEAVY = {"numpy", "zarr", "rasterio", "dask", "distributed", "obstore", "shapely", "pystac", "xarray", "tqdm"}
DOCUMENTATION = ROOT / "docs" / "commands.md"

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def abut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process: exit status, output, errors."""
    monkeypatch.delenv("ABUT_ARCHIVE", raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        output, errors = capsys.readouterr()
        return status, output, errors

    return call


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive of four neighbours that agree, not settled."""
    made = create_archive(tmp_path / "archive")
    for name in TILES:
        ingest(made, ToySource(name))
    return made


def one_line(errors: str) -> str:
    """The only line of the errors, without the program's name."""
    assert errors.startswith("abut: error: ")
    assert errors.count("\n") == 1
    assert errors.endswith("\n")
    return errors.removeprefix("abut: error: ").rstrip()


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_the_program_and_its_help_load_nothing_heavy() -> None:
    loaded = python("import cli.main, sys; cli.main.run(['--help']); print(*sys.modules, sep='\\n')").split()

    assert "cli.main" in loaded
    assert not HEAVY & set(loaded)


def test_storing_one_product_does_not_load_dask() -> None:
    assert "False" in python("import cli.ingest, sys; print('dask' in sys.modules or 'distributed' in sys.modules)")


def test_the_help_lists_every_command(abut: Run) -> None:
    status, output, _ = abut("--help")

    assert status == 0
    for name, (_, summary) in COMMANDS.items():
        assert name in output
        assert summary in output


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_says_what_it_does_and_shows_an_example(abut: Run, name: str) -> None:
    status, output, errors = abut(name, "--help")

    assert (status, errors) == (0, "")
    assert f"\n  abut {name}" in output
    assert f"## abut {name}\n" in DOCUMENTATION.read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    assert isinstance(program, _Program)
    command = program.get_command(click.Context(program), name)
    assert command is not None
    section = DOCUMENTATION.read_text().partition(f"## abut {name}\n")[2].partition("\n## ")[0]
    common = DOCUMENTATION.read_text().partition("## abut ")[0]

    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert any(f"`{parameter.opts[0]}" in text for text in (section, common)), parameter.opts


def test_the_version_is_that_of_the_package(abut: Run) -> None:
    from abut import __version__  # noqa: PLC0415 - the fixture has the package's name

    assert abut("--version")[1] == f"abut {__version__}\n"
    assert json.loads(abut("version", "--json")[1])["abut"] == __version__
    assert abut("version")[1].startswith(f"abut {__version__}, archive format 1")


def test_the_program_runs_as_a_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "list", "--archive", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert one_line(done.stderr) == f"{tmp_path}: not an archive (it has no archive.json)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("frobnicate",), "frobnicate"),
        (("list",), "--archive"),
        (("list", "--archive", "a", "--frob"), "--frob"),
        (("ingest", "--archive", "a"), "SAFE"),
        (("ingest", "/no/such.SAFE", "--archive", "a"), "/no/such.SAFE"),
        (("ingest", ".", "--archive", "a", "--profile", "tiny"), "tiny"),
        (("ingest", ".", "--archive", "a", "--workers", "-1"), "-1"),
        (("ingest", ".", "--archive", "a", "--workers", "2", "--scheduler", "tcp://h:1"), "--scheduler"),
        (("purge", "--archive", "a", "--grace", "7 days"), "'7 days' is no duration"),
        (("purge", "--archive", "a", "--grace", "-1d"), "'-1d' is no duration"),
        (("list", "--archive", "/no/such/archive"), "/no/such/archive: no such folder"),
        (("check", "--archive", "ftp://host/a"), "ftp://host/a"),
        (("withdraw", "--archive", "a"), "ID"),
    ],
)
def test_bad_usage_is_one_line_that_names_it(
    abut: Run, arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    status, output, errors = abut(*arguments)

    assert (status, output) == (2, "")
    assert said in one_line(errors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--tile", "99XXX"),
        ("--bbox", "1,2,3"),
        ("--bbox", "west"),
        ("--bbox", "0,95,1,96"),
        ("--datetime", "yesterday"),
        ("--datetime", "2023-08-24/2023-08-23"),
        ("--datetime", "2023-13"),
    ],
)
def test_a_filter_without_meaning_is_refused_by_its_value(abut: Run, archive: Archive, option: str, value: str) -> None:
    status, output, errors = abut("list", "--archive", archive.store.url, option, value)

    assert (status, output) == (2, "")
    assert value.partition(",")[0].partition("/")[0] in one_line(errors)


def listed(abut: Run, archive: Archive, *arguments: str) -> list[dict[str, Any]]:
    status, output, errors = abut("list", "--archive", archive.store.url, "--json", *arguments)
    assert (status, errors) == (0, "")
    return [json.loads(line) for line in output.splitlines()]


def test_the_list_has_every_product_and_what_it_holds(abut: Run, archive: Archive) -> None:
    lines = listed(abut, archive)

    assert [line["product"] for line in lines] == sorted(ToySource(name).id for name in TILES)
    assert all(line["held"] > 0 and line["released"] == 0 and line["withdrawn"] is False for line in lines)
    for key in lines[0]:
        assert f"`{key}`" in DOCUMENTATION.read_text()


def test_the_table_for_people_says_the_same(abut: Run, archive: Archive) -> None:
    _, output, _ = abut("list", "--archive", archive.store.url)

    header, *rows = output.splitlines()
    assert header.split()[:3] == ["product", "tile", "datatake"]
    assert [row.split()[1] for row in rows] == sorted(TILES)
    assert len({row.index(row.split()[2]) for row in rows}) == 1


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--tile", "32TNP"), 1),
        (("--tile", "T32TNP"), 1),
        (("--tile", "32TNM"), 0),
        (("--bbox", "10,44.2,10.5,44.4"), 4),
        (("--bbox", "20,44.2,21,44.4"), 0),
        (("--datetime", "2023-08-23"), 4),
        (("--datetime", "2023-08-23/2023-08-23"), 4),
        (("--datetime", "2023-08-24"), 0),
        (("--datetime", "2023-08"), 4),
        (("--datetime", "../2023-08-22"), 0),
        (("--datetime", "2023-08-23T09:55:59Z/.."), 4),
    ],
)
def test_the_list_can_be_filtered(abut: Run, archive: Archive, arguments: tuple[str, ...], count: int) -> None:
    assert len(listed(abut, archive, *arguments)) == count


def test_the_list_of_an_archive_without_catalogue_is_made_from_its_items(abut: Run, archive: Archive) -> None:
    before = listed(abut, archive, "--bbox", "10,44.2,10.5,44.4")
    assert archive.catalogue_path is not None
    for path in archive.catalogue_path.parent.glob("catalog.sqlite*"):
        path.unlink()

    assert listed(abut, archive, "--bbox", "10,44.2,10.5,44.4") == before
    assert not archive.catalogue_path.exists()


def test_settling_purging_and_withdrawing_from_the_command_line(abut: Run, archive: Archive) -> None:
    where = ("--archive", archive.store.url, "--json")
    first = ToySource(TILES[0]).id

    settled = json.loads(abut("settle", *where)[1])
    assert settled["settled"][0]["released"] == 20
    assert json.loads(abut("settle", *where)[1])["settled"][0]["released"] == 0
    assert sum(line["released"] for line in listed(abut, archive)) == 20

    kept = json.loads(abut("purge", *where)[1])
    assert (kept["grace_seconds"], kept["purged"][0]["objects"]) == (7 * 86_400, 0)
    purged = json.loads(abut("purge", *where, "--grace", "0s")[1])
    assert purged["purged"][0]["objects"] == 20 * 2
    assert purged["purged"][0]["bytes"] > 0

    assert json.loads(abut("withdraw", first, *where)[1]) == {"withdrawn": [{"product": first, "changed": True}]}
    assert json.loads(abut("withdraw", first, *where)[1]) == {"withdrawn": [{"product": first, "changed": False}]}
    assert [line["product"] for line in listed(abut, archive) if line["withdrawn"]] == [first]

    assert abut("check", *where, "--deep")[0] == 0


def test_settling_and_purging_say_in_words_what_they_did(abut: Run, archive: Archive) -> None:
    where = ("--archive", archive.store.url)

    assert "20 blocks released" in abut("settle", *where)[1]
    assert "0 objects, 0 B deleted" in abut("purge", *where)[1]
    assert "40 objects, " in abut("purge", *where, "--grace", "0s")[1]
    assert "withdrawn  S2B" in abut("withdraw", ToySource(TILES[1]).id, *where)[1]
    assert "(it was already)" in abut("withdraw", ToySource(TILES[1]).id, *where)[1]
    assert abut("check", *where)[1] == "0 damage, 0 leftovers, 0 repaired\n"


def test_no_product_is_withdrawn_if_one_of_them_is_unknown(abut: Run, archive: Archive) -> None:
    known = ToySource(TILES[0]).id

    status, _, errors = abut("withdraw", known, "S2B_UNKNOWN", "--archive", archive.store.url)

    assert status == 2
    assert "S2B_UNKNOWN" in one_line(errors)
    assert not any(line["withdrawn"] for line in listed(abut, archive))


def test_damage_found_by_check_is_exit_status_1(abut: Run, archive: Archive) -> None:
    key = next(entry.key for entry in archive.store.entries("products") if "/b01/c/" in entry.key)
    archive.store.delete([key])

    status, output, _ = abut("check", "--archive", archive.store.url, "--json")
    found = json.loads(output)

    assert status == 1
    assert found["damage"] == 1
    assert found["findings"][0] == {"kind": "damage", "where": key, "what": "missing", "repaired": False}
    assert abut("check", "--archive", archive.store.url)[1].startswith(f"damage    {key}: missing\n")


def test_leftovers_are_no_damage_and_are_repaired(abut: Run, archive: Archive) -> None:
    assert archive.catalogue_path is not None
    for path in archive.catalogue_path.parent.glob("catalog.sqlite*"):
        path.unlink()
    where = ("--archive", archive.store.url, "--json")

    found = abut("check", *where)
    repaired = json.loads(abut("check", *where, "--repair")[1])

    assert found[0] == 0
    assert json.loads(found[1])["leftovers"] == repaired["repaired"] == 4
    assert json.loads(abut("check", *where)[1])["findings"] == []


def test_every_key_of_the_json_is_documented(abut: Run, archive: Archive) -> None:
    where = ("--archive", archive.store.url, "--json")
    archive.store.put_new("products/x.1.zarr/a", b"left")
    text = DOCUMENTATION.read_text()

    for arguments in (("settle",), ("purge", "--grace", "0s"), ("withdraw", ToySource(TILES[0]).id), ("check",)):
        for key in keys_of(json.loads(abut(*arguments, *where)[1])):
            assert f"`{key}`" in text, key


def keys_of(document: Any) -> set[str]:
    if isinstance(document, dict):
        return set(document) | {key for value in document.values() for key in keys_of(value)}
    if isinstance(document, list):
        return {key for value in document for key in keys_of(value)}
    return set()


def test_the_environment_names_the_archive(abut: Run, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABUT_ARCHIVE", archive.store.url)

    assert abut("check")[0] == 0


def failing_with(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


def test_an_unexpected_error_is_one_line_and_debug_shows_the_traceback(
    abut: Run, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.check.check", failing_with(KeyError("held\nby no one")))

    status, output, errors = abut("check", "--archive", archive.store.url)
    assert (status, output) == (2, "")
    assert one_line(errors).startswith(f"{archive.store.url}: KeyError: 'held")

    status, _, errors = abut("check", "--archive", archive.store.url, "--debug")
    assert status == 2
    assert "Traceback" in errors


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(28, "No space left on device", "/a/b"), 2, "/a/b: No space left on device"),
        (PermissionError(13, "Permission denied", "/a"), 2, "/a: Permission denied"),
        (DigestMismatchError("p: other pixels"), 1, "p: other pixels"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_of_machine_data_and_user_have_their_exit_status(
    abut: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    monkeypatch.setattr("cli.check.open_with_catalogue", failing_with(error))

    found = abut("check", "--archive", "a")

    assert found[0] == status
    assert one_line(found[2]) == said


def test_a_reader_that_goes_away_is_no_error(archive: Archive) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as closed:
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "list", "--json", "--archive", archive.store.url],
            cwd=ROOT,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stderr) == (141, "")
