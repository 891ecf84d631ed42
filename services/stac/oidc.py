"""Tokens of an OpenID Connect provider: signed by a key that it publishes, for this audience, now."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import jwt
import orjson

from abut.messages import quoted
from services.stac.auth import SCOPES, InvalidTokenError, UnavailableError
from services.stac.keys import ALGORITHMS, Key, keys_of
from services.traces import span

_DISCOVERY: Final = "/.well-known/openid-configuration"
_LARGEST: Final = 1_000_000
"""Bytes of a provider's document that are read."""

_UNREADABLE: Final = (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError)


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
    stale_seconds: float = 3_600.0
    """For how long keys are used while the provider does not answer: one that it took back must not count for ever."""
    refresh_seconds: float = 10.0
    """Least time between two requests for keys, however many unknown keys tokens name."""
    timeout: float = 5.0
    """Seconds to wait for the provider."""


@dataclass(slots=True)
class OidcAccess:
    """Access by the tokens of a provider."""

    provider: Provider
    """The provider."""
    _keys: tuple[Key, ...] = ()
    _read: float = float("-inf")
    _asked: float = float("-inf")
    _trouble: str = ""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def scopes(self, token: str) -> frozenset[str]:
        """Return the scopes of a token, those that mean something here.

        Raises
        ------
        InvalidTokenError
            If it is no token, is not signed by the provider with an asymmetric algorithm, has expired or is not
            valid yet, or is for someone else.
        UnavailableError
            If the provider does not answer, and its keys are not known or were read too long ago.
        """
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError) as error:
            raise InvalidTokenError("not a JSON Web Token") from error
        algorithm, name = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise InvalidTokenError(f"algorithm {quoted(algorithm)} is not accepted")
        if name is not None and not isinstance(name, str):
            raise InvalidTokenError("kid is no text")
        return _scopes(self._claims(token, algorithm, await self._possible(name, algorithm)))

    def _claims(self, token: str, algorithm: str, keys: tuple[Key, ...]) -> dict[str, Any]:
        """Return what a token says; one of these keys must have signed it."""
        refused = InvalidTokenError("no key of the provider is for its algorithm")
        for key in keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.public,
                    algorithms=[algorithm],
                    audience=self.provider.audience,
                    issuer=self.provider.issuer,
                    leeway=self.provider.leeway,
                    options={"require": ["exp", "iss", "aud"]},
                )
            except jwt.InvalidSignatureError as error:
                refused = InvalidTokenError(str(error))  # another of them may have signed it
            except (jwt.PyJWTError, ValueError, TypeError) as error:
                raise InvalidTokenError(str(error)) from error
            else:
                return claims
        raise refused

    async def _possible(self, name: str | None, algorithm: str) -> tuple[Key, ...]:
        """Return the keys that may have signed a token; asks the provider where they are old, or none is known."""
        age, known = time.monotonic() - self._read, self._matching(name, algorithm)
        # While one request asks for keys, others go on with those that may still be used.
        usable = self.provider.stale_seconds if self._lock.locked() else self.provider.keys_seconds
        if known and age <= usable:
            return known
        async with self._lock:  # one request for keys, however many tokens wait for it
            await self._refresh(name, algorithm)
            if time.monotonic() - self._read > self.provider.stale_seconds:
                self._keys = ()
                raise UnavailableError(f"the keys of {self.provider.issuer} can't be read: {self._trouble}")
            known = self._matching(name, algorithm)
            if not known and self._trouble:
                raise UnavailableError(f"the keys of {self.provider.issuer} can't be read: {self._trouble}")
        if not known:
            raise InvalidTokenError(f"key {quoted(name)} is not one of the provider's for {algorithm}")
        return known

    async def _refresh(self, name: str | None, algorithm: str) -> None:
        """Ask for keys, unless another request has just done so."""
        now = time.monotonic()
        if now - self._read <= self.provider.keys_seconds and self._matching(name, algorithm):
            return
        if now - self._asked <= self.provider.refresh_seconds:
            return
        self._asked = now
        try:
            self._keys = keys_of(await self._published())  # whole: what is no longer published no longer counts
        except _UNREADABLE as error:
            self._trouble = str(error) or type(error).__name__
        else:
            self._read, self._trouble = now, ""

    def _matching(self, name: str | None, algorithm: str) -> tuple[Key, ...]:
        """Return the keys of a name that sign by an algorithm; a token that names none may be of any."""
        return tuple(key for key in self._keys if algorithm in key.algorithms and name in (None, key.name))

    async def _published(self) -> Any:
        issuer = self.provider.issuer
        async with httpx.AsyncClient(timeout=self.provider.timeout, follow_redirects=False) as client:
            discovery = await _document(client, issuer.rstrip("/") + _DISCOVERY)
            if discovery["issuer"] != issuer:
                raise ValueError(f"its discovery document is of issuer {discovery['issuer']!r}")
            return (await _document(client, discovery["jwks_uri"]))["keys"]


async def _document(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    read = bytearray()
    with span("provider get", kind="client", url_full=url):
        async with client.stream("GET", url) as answer:
            answer.raise_for_status()
            async for part in answer.aiter_bytes():
                read += part
                if len(read) > _LARGEST:
                    raise ValueError(f"{url} is larger than {_LARGEST} bytes")
    document = orjson.loads(read)
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
