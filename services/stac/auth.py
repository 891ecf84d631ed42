"""Who may do what: bearer tokens that the operator made, or those of an OpenID Connect provider, and their scopes."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from fastapi.params import Depends

READ: Final = "abut:read"
"""Scope of those who may read, where that is not everybody."""

WRITE: Final = "stac:write"
"""Scope of those who may write collections and items, but not those of an archive. It contains `READ`."""

REGISTER: Final = "abut:register"
"""Scope of those who speak for an archive: its items are what they say. It contains `WRITE`."""

SCOPES: Final = (READ, WRITE, REGISTER)
"""All scopes, each contained in the next."""

CALLER: Final = "abut.caller"
"""Key of the `Caller` in the scope of a request whose token was looked at."""

REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"description": "What was sent can't be stored; the description names the field."},
    401: {"description": "There is no token, or it is not accepted."},
    403: {"description": "The token does not permit it."},
    404: {"description": "There is no such collection or item."},
    409: {"description": "It does not fit what is there."},
    412: {"description": "The item is no longer what If-Match says."},
    503: {"description": "The database, or whoever knows the tokens, does not answer."},
}
"""How routes that need a token may answer, for the OpenAPI document."""

_LONGEST: Final = 16_384
"""Characters of a token that are looked at."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is, by a token or ticket that was accepted."""

    name: str
    """Opaque; the same for all requests of one user."""
    scopes: frozenset[str]
    """What the caller may, contained scopes too."""
    by_ticket: bool = False
    """Whether a ticket said so, see `services.tickets`."""


class InvalidTokenError(ValueError):
    """A token is not one that is accepted; the message says why, for its owner."""


class UnavailableError(RuntimeError):
    """Whoever knows the tokens can't be asked now."""


class Access(Protocol):
    """Knows tokens."""

    async def scopes(self, token: str) -> frozenset[str]:
        """Return the scopes of a token.

        Raises
        ------
        InvalidTokenError
            If it is not accepted.
        UnavailableError
            If that can't be told now.
        """


@dataclass(frozen=True, slots=True)
class TokenAccess:
    """Tokens that the operator made; get it with `token_access`."""

    digests: tuple[tuple[bytes, frozenset[str]], ...]
    """SHA-256 of each token, and its scopes."""

    async def scopes(self, token: str) -> frozenset[str]:
        """Return the scopes of a token, after the same time whichever it is."""
        given = hashlib.sha256(token.encode()).digest()
        found: frozenset[str] = frozenset()
        for digest, scopes in self.digests:
            if hmac.compare_digest(digest, given):
                found |= scopes
        if not found:
            raise InvalidTokenError("the token is not known")
        return found


def token_access(tokens: Mapping[str, Iterable[str]]) -> TokenAccess:
    """Return the access of fixed tokens.

    Parameters
    ----------
    tokens : mapping
        Tokens by scope.

    Raises
    ------
    ValueError
        If there is no such scope, or a token is shorter than 16 characters or not plain printable text.
    """
    digests = []
    for scope, known in tokens.items():
        if scope not in SCOPES:
            raise ValueError(f"scope {scope!r} is not one of {', '.join(SCOPES)}")
        for token in known:
            if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
                raise ValueError(f"a token of {scope} is shorter than 16 characters, or has others than plain text's")
            digests.append((hashlib.sha256(token.encode()).digest(), frozenset({scope})))
    if not digests:
        raise ValueError("no token is given")
    return TokenAccess(tuple(digests))


@dataclass(frozen=True, slots=True)
class EitherAccess:
    """Several ways to be known, asked one after another."""

    ways: tuple[Access, ...]
    """The ways."""

    async def scopes(self, token: str) -> frozenset[str]:
        """Return the scopes that the first way gives a token."""
        refused = InvalidTokenError("the token is not known")
        for way in self.ways:
            try:
                return await way.scopes(token)
            except InvalidTokenError as error:
                refused = error
        raise refused


def requires(access: Access, scope: str = WRITE) -> Depends:
    """Return the dependency of a route that needs a scope; it notes the token's scopes in ``request.state.scopes``."""
    from fastapi.params import Depends  # noqa: PLC0415 - parts that only read start without it

    return Depends(_check(access, scope))


def _check(access: Access, scope: str) -> Callable[[Request], Awaitable[None]]:
    async def check(request: Request) -> None:
        """Let a request pass, or answer 401, 403 or 503."""
        known: Caller | None = request.scope.get(CALLER)
        request.state.scopes = known.scopes if known else await _scopes(access, request, scope)
        require(request, scope)

    return check


async def _scopes(access: Access, request: Request, scope: str) -> frozenset[str]:
    token = bearer(request)
    if token is None:
        raise HTTPException(401, f"needs a bearer token of scope {scope}", {"WWW-Authenticate": challenge()})
    try:
        return contained(await access.scopes(token))
    except InvalidTokenError as error:
        header = challenge("invalid_token", str(error))
        raise HTTPException(401, f"token not accepted: {error}", {"WWW-Authenticate": header}) from error
    except UnavailableError as error:
        raise HTTPException(503, str(error), {"Retry-After": "10"}) from error


def contained(scopes: frozenset[str]) -> frozenset[str]:
    """Return scopes and those that they contain."""
    highest = max((SCOPES.index(scope) for scope in scopes), default=-1)
    return frozenset(SCOPES[: highest + 1])


async def caller_of(access: Access, token: str, archive: str) -> Caller:
    """Return whose a token is; errors as `Access.scopes`.

    Parameters
    ----------
    access : Access
        Who knows tokens.
    token : str
        The token.
    archive : str
        Id of the archive: names are of no use elsewhere.
    """
    scopes = await access.scopes(token)
    subject = _subject(token)
    name = opaque(archive, "subject", subject) if subject else opaque(archive, "token", token)
    return Caller(name, contained(scopes))


def opaque(archive: str, kind: str, text: str) -> str:
    """Return a name that tells users of an archive apart and says nothing else: 32 hex digits."""
    return hashlib.sha256(f"{archive} {kind} {text}".encode()).hexdigest()[:32]


def _subject(token: str) -> str:
    """Return the subject of a token that was accepted, or nothing if it is not a JSON Web Token."""
    import jwt  # noqa: PLC0415 - services without tokens start without it

    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError):
        return ""
    return f"{claims.get('iss', '')} {claims['sub']}" if claims.get("sub") else ""


def require(request: Request, scope: str, why: str = "") -> None:
    """Answer 403 if the token of a request, which was checked, lacks a scope."""
    if scope not in request.state.scopes:
        header = challenge("insufficient_scope", scope=scope)
        reason = f"{why}: " if why else ""
        raise HTTPException(403, f"{reason}needs a token of scope {scope}", {"WWW-Authenticate": header})


def bearer(request: Request) -> str | None:
    """Return the bearer token of a request; None without one."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    return token[:_LONGEST] if kind.lower() == "bearer" and token else None


def challenge(error: str = "", description: str = "", scope: str = "") -> str:
    """Return the value of WWW-Authenticate (RFC 6750)."""
    parts = [("realm", "abut"), ("error", error), ("error_description", description), ("scope", scope)]
    return "Bearer " + ", ".join(f'{name}="{_quoted(value)}"' for name, value in parts if value)


def _quoted(text: str) -> str:
    return "".join(
        letter if letter.isascii() and letter.isprintable() and letter not in '"\\' else "'" for letter in text
    )
