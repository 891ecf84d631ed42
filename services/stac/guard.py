"""What is the archive's own, and how items are stored that clients send."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from abut.errors import BadRequestError
from catalog.item import COLLECTION_ID
from catalog.places import GENERATED, further_links, undeclare
from catalog.rows import row
from catalog.storage import without_storage
from catalog.versions import RELATIONS, family
from services.stac.auth import REGISTER, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from catalog.places import Places

ARCHIVED: Final = COLLECTION_ID
"""Collection whose items are copies of those of an archive.

Only a registrar writes into it, and what it writes is what the store says: a description that the store does not have
would be lost when the product is registered again. Descriptions of others go into items and collections of their own.
"""


COMING: Final = f"items of {ARCHIVED!r} come from the archive"
"""Why others add none."""

STAYING: Final = f"items of {ARCHIVED!r} are the archive's own: describe them by items in a collection of yours"
"""Why others change none."""

WITHDRAWN_ONLY: Final = "items of the archive are withdrawn (`abut withdraw`), not deleted"
"""Why others delete none."""


def require_registrar(request: Request, collection: str, why: str) -> None:
    """Answer 403 to whoever wants to write into the archive's collection and does not speak for the archive."""
    if collection == ARCHIVED:
        require(request, REGISTER, why)


def storable(item: Mapping[str, Any], places: Places) -> dict[str, Any]:
    """Return an item `as_stored`, after seeing that a catalogue can list it.

    Raises
    ------
    BadRequestError
        If it can't; the message names the item and the value.
    """
    made = as_stored(item, places)
    try:
        row(made)
    except ValueError as error:
        raise BadRequestError(str(error)) from error
    return made


def as_stored(item: Mapping[str, Any], places: Places) -> dict[str, Any]:
    """Return an item as it is to be stored: the inverse of `catalog.places.served`.

    Links that this API makes for each answer are left out, and its own URLs become relative again; whatever else was
    sent stays as it is.
    """
    made = copy.deepcopy(dict(item))
    told = RELATIONS if family(made) else frozenset()
    links = further_links(made, places)
    further = {(link["rel"], link["href"]) for link in links}
    home = f"{places.collection(made['collection'])}/items/"
    for asset in made.get("assets", {}).values():
        asset["href"] = _relative(asset["href"], home, places)
    made["links"] = [
        {**link, "href": _relative(link["href"], home, places)}
        for link in made.get("links", [])
        if not (_made_here(link, places) or link["rel"] in told or (link["rel"], link["href"]) in further)
    ]
    undeclare(made, links)
    without_storage(made, places.storage)
    return made


def _made_here(link: Mapping[str, Any], places: Places) -> bool:
    """Whether a link is one of those that every answer has: the archive's own ones are relative."""
    return link["rel"] in GENERATED and str(link["href"]).startswith(("http://", "https://", places.api))


def _relative(href: str, home: str, places: Places) -> str:
    if href.startswith(f"{places.products}/"):
        return f"./{href.removeprefix(places.products).lstrip('/')}"
    if href.startswith(home) and "/" not in href.removeprefix(home):
        return f"./{href.removeprefix(home)}.json"
    return href
