"""One version per strip: the newest, or the one that is asked for; never several mixed.

Layers of one strip (same datatake, same start of sensing) are versions of each other, made with another baseline or at
another time. Layers of the same version complement each other, but for tiles that both have: products that were
delivered twice, of which the later id is taken (its discriminator is the later time).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from abut.errors import BadRequestError
from abut.metadata import version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from abut.finding import Found
    from abut.strips import Strip

    type Version = tuple[tuple[int, ...], datetime]
    """Baseline as numbers, and time of creation: `abut.strips.Layer.version`."""


def one_version(
    found: Iterable[Found],
    *,
    product: str | None = None,
    baseline: str | None = None,
    versions: Mapping[Strip, Version] | None = None,
) -> tuple[list[Found], tuple[str, ...]]:
    """Choose the version of each strip.

    Parameters
    ----------
    found : iterable of Found
        Layers, each with the products that were chosen in a window.
    product : str, optional
        A product that was asked for: of its strip, its own version is taken.
    baseline : str, optional
        Baseline such as ``05.11``; strips that have no such version are left out.
    versions : mapping of Strip, optional
        Versions that were chosen already, in another zone; strips that have other ones alone are left out.

    Returns
    -------
    list of Found
        The layers that are read, in the order given.
    tuple of str
        What an older version (or one of another baseline) has in the window and the chosen one has not: one line a
        strip, in the order of the strips.

    Raises
    ------
    BadRequestError
        If the baseline is not made of numbers and dots.
    """
    wanted = None if baseline is None else _numbers(baseline)
    strips: dict[Strip, list[Found]] = {}
    layers = list(found)
    for one in layers:
        strips.setdefault(one.layer.strip, []).append(one)
    kept: dict[str, Found] = {}
    notes = []
    for strip in sorted(strips, key=lambda strip: (strip.datatake, strip.start)):
        fixed = (versions or {}).get(strip)
        if fixed is None:
            chosen, note = _chosen(strip, strips[strip], product, wanted, baseline)
        else:
            chosen, note = _as_elsewhere(strip, strips[strip], product, fixed)
        kept |= {one.layer.name: one for one in chosen}
        notes += note
    return [kept[one.layer.name] for one in layers if one.layer.name in kept], tuple(notes)


def _chosen(
    strip: Strip, some: list[Found], product: str | None, wanted: tuple[int, ...] | None, baseline: str | None
) -> tuple[list[Found], list[str]]:
    allowed = [one for one in some if wanted is None or version(one.layer.baseline) == wanted]
    if not allowed:
        has = ", ".join(sorted({one.layer.baseline for one in some}))
        return [], [f"{_name(strip)}: there is no baseline {baseline} here, but {has}"]
    own = [one for one in allowed if product is not None and any(held.product == product for held in one.chosen)]
    best = max(own or allowed, key=lambda one: one.layer.version).layer.version
    return _of_version(strip, some, product, best)


def _as_elsewhere(
    strip: Strip, some: list[Found], product: str | None, fixed: Version
) -> tuple[list[Found], list[str]]:
    if any(one.layer.version == fixed for one in some):
        return _of_version(strip, some, product, fixed)
    tiles = ", ".join(sorted({held.tile.id for one in some for held in one.chosen}))
    has = ", ".join(sorted({f"{one.layer.baseline}, made {_when(one.layer.created)}" for one in some}))
    number = ".".join(f"{part:02d}" for part in fixed[0])
    note = (
        f"{_name(strip)}: {tiles} is there with baseline {has}, not with {number}, made {_when(fixed[1])}, as in "
        "another zone; versions are not mixed"
    )
    return [], [note]


def _of_version(strip: Strip, some: list[Found], product: str | None, best: Version) -> tuple[list[Found], list[str]]:
    newest = [one for one in some if one.layer.version == best]
    chosen, notes = _without_doubles(strip, newest, product)
    tiles = {held.tile.id for one in chosen for held in one.chosen}
    for other in sorted(some, key=lambda one: (one.layer.version, one.layer.name)):
        lacking = sorted({held.tile.id for held in other.chosen} - tiles)
        if lacking and other.layer.version != best:
            is_version = f"baseline {other.layer.baseline}, made {_when(other.layer.created)},"
            notes.append(
                f"{_name(strip)}: {is_version} has {', '.join(lacking)}, which baseline {newest[0].layer.baseline}, "
                f"made {_when(best[1])}, has not; versions are not mixed"
            )
    return chosen, notes


def _without_doubles(strip: Strip, some: list[Found], product: str | None) -> tuple[list[Found], list[str]]:
    """Take one product of each tile."""
    of_tile: dict[str, list[str]] = {}
    for one in some:
        for held in one.chosen:
            of_tile.setdefault(held.tile.id, []).append(held.product)
    best = {tile: product if product in names else max(names) for tile, names in of_tile.items()}
    notes = [
        f"{_name(strip)}: {', '.join(sorted(set(names) - {best[tile]}))} is another version of {best[tile]}, not mixed"
        for tile, names in sorted(of_tile.items())
        if len(names) > 1
    ]
    if not notes:
        return some, []
    kept = [
        replace(one, chosen=tuple(held for held in one.chosen if held.product == best[held.tile.id])) for one in some
    ]
    return [one for one in kept if one.chosen], notes


def _name(strip: Strip) -> str:
    return f"datatake {strip.datatake}, strip of {_when(strip.start)}"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _numbers(baseline: str) -> tuple[int, ...]:
    try:
        return version(baseline)
    except ValueError as error:
        raise BadRequestError(f"baseline {baseline!r} is not made of numbers and dots, such as 05.11") from error
