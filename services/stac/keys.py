"""The keys that an OpenID Connect provider publishes (JSON Web Keys, RFC 7517), and what each may sign by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST: Final = 100
"""Keys of a provider that are kept at most, the first."""

_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_BY_KIND: Final[Mapping[tuple[Any, Any], frozenset[str]]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    ("OKP", "Ed448"): frozenset({"EdDSA"}),
}
"""Algorithms by type and curve of a key: what it may sign by if it does not say that itself (RFC 7518, RFC 8037)."""

ALGORITHMS: Final = frozenset().union(*_BY_KIND.values())
"""Algorithms that are accepted: those in which only the provider has the key that signs."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of a provider."""

    name: str | None
    """Its ``kid``, if it has one; two keys may have the same, or none."""
    algorithms: frozenset[str]
    """What it signs by."""
    public: Any
    """The key, as PyJWT takes it."""


def keys_of(published: Any) -> tuple[Key, ...]:
    """Return the keys that sign; those of unknown kinds, for encryption, or broken are passed over, as RFC 7517 says.

    Raises
    ------
    TypeError
        If it is no list.
    """
    if not isinstance(published, list):
        raise TypeError("its keys are no list")
    made = (_key(one) for one in published[:MOST] if isinstance(one, dict))
    return tuple(key for key in made if key is not None)


def _key(one: Mapping[str, Any]) -> Key | None:
    curve = one.get("crv") if one.get("kty") != "RSA" else None
    kind, name = (one.get("kty"), curve), one.get("kid")
    if not all(isinstance(part, str | None) for part in (*kind, name)):
        return None
    algorithms = _BY_KIND.get(kind, frozenset())
    if (alone := one.get("alg")) is not None:
        algorithms = frozenset(known for known in algorithms if known == alone)
    if not algorithms or one.get("use", "sig") != "sig":
        return None
    try:
        if "verify" not in one.get("key_ops", ["verify"]):
            return None
        public = jwt.PyJWK.from_dict(dict(one), algorithm=min(algorithms)).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return Key(name, algorithms, public)
