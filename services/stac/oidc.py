"""Tokens of an OpenID Connect provider: signed by a key that it publishes, for this audience, now."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import jwt

from services.stac.auth import SCOPES, InvalidTokenError, UnavailableError

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Algorithms that are accepted: those in which only the provider has the key that signs."""

_DISCOVERY: Final = "/.well-known/openid-configuration"
_LARGEST: Final = 1_000_000
"""Bytes of a provider's document that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An OpenID Connect provider, and what is asked of its tokens."""

    issuer: str
    """Its URL; discovery is below it."""
    audience: str
    """Which tokens are meant for this API."""
    leeway: float = 30.0
    """Seconds by which clocks may differ."""
    keys_seconds: float = 600.0
    """For how long keys are used before they are asked for anew."""
    refresh_seconds: float = 10.0
    """Least time between two requests for keys, however many unknown keys tokens name."""
    timeout: float = 5.0
    """Seconds to wait for the provider."""


@dataclass(slots=True)
class OidcAccess:
    """Access by the tokens of a provider."""

    provider: Provider
    """The provider."""
    _keys: dict[str | None, jwt.PyJWK] = field(default_factory=dict)
    _read: float = float("-inf")
    _asked: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def scopes(self, token: str) -> frozenset[str]:
        """Return the scopes of a token, those that mean something here.

        Raises
        ------
        InvalidTokenError
            If it is no token, is not signed by the provider with an asymmetric algorithm, has expired or is not
            valid yet, or is for someone else.
        UnavailableError
            If the provider does not answer and its keys are not known.
        """
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError) as error:
            raise InvalidTokenError("not a JSON Web Token") from error
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise InvalidTokenError(f"algorithm {algorithm!r} is not accepted")
        key = await self._key(header.get("kid"))
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.provider.audience,
                issuer=self.provider.issuer,
                leeway=self.provider.leeway,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise InvalidTokenError(str(error)) from error
        return _scopes(claims)

    async def _key(self, name: Any) -> jwt.PyJWK:
        if name is not None and not isinstance(name, str):
            raise InvalidTokenError("kid is no text")
        async with self._lock:  # one request for keys, however many tokens wait for it
            now = time.monotonic()
            old = now - self._read > self.provider.keys_seconds
            if (old or self._known(name) is None) and now - self._asked > self.provider.refresh_seconds:
                self._asked = now
                try:
                    self._keys = await self._published()
                    self._read = now
                except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError, jwt.PyJWTError) as error:
                    if self._known(name) is None:
                        raise UnavailableError(f"the keys of {self.provider.issuer} can't be read: {error}") from error
            found = self._known(name)
        if found is None:
            if not self._keys:
                raise UnavailableError(f"the keys of {self.provider.issuer} can't be read")
            raise InvalidTokenError(f"key {name!r} is not one of the provider's")
        return found

    def _known(self, name: str | None) -> jwt.PyJWK | None:
        """Return the key of a name; a token may leave it out if there is only one."""
        if name is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(name)

    async def _published(self) -> dict[str | None, jwt.PyJWK]:
        issuer = self.provider.issuer
        async with httpx.AsyncClient(timeout=self.provider.timeout, follow_redirects=False) as client:
            discovery = await _document(client, issuer.rstrip("/") + _DISCOVERY)
            if discovery["issuer"] != issuer:
                raise ValueError(f"its discovery document is of issuer {discovery['issuer']!r}")
            published = await _document(client, discovery["jwks_uri"])
        keys: dict[str | None, jwt.PyJWK] = {}
        for one in published["keys"]:
            if one.get("kty") == "oct" or one.get("use", "sig") != "sig":
                continue
            try:
                keys[one.get("kid")] = jwt.PyJWK.from_dict(one)
            except jwt.PyJWTError:
                continue  # of a kind that this version does not know: not usable, as the others are
        return keys


async def _document(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    answer = await client.get(url)
    answer.raise_for_status()
    if len(answer.content) > _LARGEST:
        raise ValueError(f"{url} is too large")
    document = answer.json()
    if not isinstance(document, dict):
        raise TypeError(f"{url} is no JSON object")
    return document


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    """Scopes of a token: ``scope``, separated by spaces (RFC 8693), or ``scp``, which some write as a list."""
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name, "")
        parts = value.split() if isinstance(value, str) else value
        found |= {part for part in parts if isinstance(part, str)} if isinstance(parts, list) else set()
    return frozenset(found & set(SCOPES))
