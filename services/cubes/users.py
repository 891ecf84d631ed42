"""Whose request it is: an opaque name, by token where those are known, else by address."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from services.cubes.answers import RefusedError
from services.stac.auth import CALLER, InvalidTokenError, UnavailableError, bearer, caller_of, challenge, opaque

if TYPE_CHECKING:
    from starlette.requests import Request

    from services.stac.auth import Access, Caller


@dataclass(frozen=True, slots=True)
class Users:
    """Tells users apart."""

    access: Access | None
    """Who knows tokens; None: nobody does, and they are not looked at."""
    archive: str
    """Id of the archive: names are of no use elsewhere."""

    async def name(self, request: Request) -> str:
        """Return the name of the user of a request.

        Raises
        ------
        RefusedError
            If its token is not accepted (401), or that can't be told now (503).
        """
        known: Caller | None = request.scope.get(CALLER)
        if known is not None:
            return known.name
        token = bearer(request) if self.access else None
        if token is None or self.access is None:
            return opaque(self.archive, "address", address_of(request.client.host if request.client else ""))
        try:
            return (await caller_of(self.access, token, self.archive)).name
        except InvalidTokenError as error:
            header = {"www-authenticate": challenge("invalid_token", str(error))}
            raise RefusedError(401, f"token not accepted: {error}", headers=header) from error
        except UnavailableError as error:
            raise RefusedError(503, str(error)) from error


def address_of(host: str) -> str:
    """Return what tells clients apart: an address, of IPv6 the network of 64 bits, which is one client's own."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
