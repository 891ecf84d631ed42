"""An OpenID Connect provider for tests: a real web server on loopback with discovery and keys that were made here."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, override

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

if TYPE_CHECKING:
    from collections.abc import Iterator

type Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

AUDIENCE = "https://abut.test/stac"


def new_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def new_ec() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class TestProvider:
    """What the server answers, and what it was asked."""

    __test__ = False

    url: str
    keys: dict[str, Private] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    issuer: str | None = None
    """What discovery says, if not the truth."""
    extra_keys: list[dict[str, Any]] = field(default_factory=list)
    broken: bool = False
    """Whether every answer is 500."""

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if self.broken:
            return 500, b"out of order"
        if path == "/.well-known/openid-configuration":
            return 200, json.dumps({"issuer": self.issuer or self.url, "jwks_uri": f"{self.url}/keys"}).encode()
        if path == "/keys":
            return 200, json.dumps({"keys": [*map(self._public, self.keys), *self.extra_keys]}).encode()
        return 404, b""

    def token(self, scope: str | list[str] = "", *, key: str = "first", algorithm: str = "", **changes: Any) -> str:
        """Return a signed token; changes of its claims, None: without that claim."""
        now = int(time.time())
        claims: dict[str, Any] = {"iss": self.url, "aud": AUDIENCE, "sub": "someone", "iat": now, "exp": now + 600}
        claims = {name: value for name, value in (claims | {"scope": scope} | changes).items() if value is not None}
        private = self.keys[key]
        used = algorithm or ("RS256" if isinstance(private, rsa.RSAPrivateKey) else "ES256")
        return jwt.encode(claims, private, used, headers={"kid": key})

    def _public(self, name: str) -> dict[str, Any]:
        private = self.keys[name]
        if isinstance(private, rsa.RSAPrivateKey):
            public = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
            return {**public, "kid": name, "alg": "RS256", "use": "sig"}
        return {**ECAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": name, "alg": "ES256", "use": "sig"}


@contextlib.contextmanager
def provider() -> Iterator[TestProvider]:
    """Run a provider with two keys, ``first`` (RSA) and ``curve`` (P-256)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = made.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = TestProvider(f"http://127.0.0.1:{server.server_port}", {"first": new_rsa(), "curve": new_ec()})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
