"""Whose request it is: an opaque name, by token where those are known, else by address."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jwt

from services.cubes.answers import RefusedError
from services.stac.auth import InvalidTokenError, UnavailableError, bearer, challenge

if TYPE_CHECKING:
    from starlette.requests import Request

    from services.stac.auth import Access


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
        token = bearer(request) if self.access else None
        if token is None or self.access is None:
            client = request.client.host if request.client else ""
            return self._hashed("address", client)
        try:
            await self.access.scopes(token)
        except InvalidTokenError as error:
            header = {"www-authenticate": challenge("invalid_token", str(error))}
            raise RefusedError(401, f"token not accepted: {error}", headers=header) from error
        except UnavailableError as error:
            raise RefusedError(503, str(error)) from error
        return self._hashed("subject", subject) if (subject := _subject(token)) else self._hashed("token", token)

    def _hashed(self, kind: str, text: str) -> str:
        return hashlib.sha256(f"{self.archive} {kind} {text}".encode()).hexdigest()[:32]


def _subject(token: str) -> str:
    """Return the subject of a token that was accepted, or nothing if it is not a JSON Web Token."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError):
        return ""
    return f"{claims.get('iss', '')} {claims['sub']}" if claims.get("sub") else ""
