"""Who may write: fixed tokens, and those of an OpenID Connect provider."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fastapi import FastAPI, Request
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.testclient import TestClient

from services.stac.auth import (
    READ,
    REGISTER,
    WRITE,
    Access,
    EitherAccess,
    InvalidTokenError,
    UnavailableError,
    requires,
    token_access,
)
from services.stac.errors import add_handlers
from services.stac.oidc import OidcAccess, Provider
from tests.provider import AUDIENCE, TestProvider, new_ec, new_rsa, provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WRITER, REGISTRAR = "a-token-for-writers", "a-token-for-registrars"


def scopes(access: Access, token: str) -> frozenset[str]:
    return asyncio.run(access.scopes(token))


def refused(access: Access, token: str) -> str:
    with pytest.raises(InvalidTokenError) as caught:
        scopes(access, token)
    return str(caught.value)


def client(access: Access) -> TestClient:
    """A client of an application with a route for each scope, which returns what the token may."""
    app = FastAPI()
    add_handlers(app)

    async def may(request: Request) -> list[str]:
        return sorted(request.state.scopes)

    app.get("/write", dependencies=[requires(access)])(may)
    app.get("/register", dependencies=[requires(access, REGISTER)])(may)
    return TestClient(app)


@pytest.fixture
def fixed() -> Access:
    return token_access({WRITE: [WRITER], REGISTER: [REGISTRAR, "another-token-for-registrars"]})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_has_the_scope_it_was_made_for(fixed: Access) -> None:
    assert scopes(fixed, WRITER) == {WRITE}
    assert scopes(fixed, REGISTRAR) == scopes(fixed, "another-token-for-registrars") == {REGISTER}
    for wrong in ("", WRITER[:-1], f"{WRITER}x", WRITER.upper(), "ü" * 20):
        assert refused(fixed, wrong) == "the token is not known"


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ({}, "no token is given"),
        ({WRITE: []}, "no token is given"),
        ({"stac:all": [WRITER]}, "scope 'stac:all' is not one of abut:read, stac:write, abut:register"),
        ({WRITE: ["brief"]}, "a token of stac:write is shorter than 16 characters"),
        ({WRITE: ["a token with spaces in it"]}, "a token of stac:write"),
    ],
)
def test_tokens_that_protect_nothing_are_refused_without_being_shown(
    tokens: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        token_access(tokens)
    assert not any(token in str(caught.value) for token in tokens.get(WRITE, []))


def test_without_a_token_the_answer_is_401_and_says_what_is_needed(fixed: Access) -> None:
    for headers in ({}, {"Authorization": "Basic dXNlcjpwYXNz"}, {"Authorization": "Bearer"}, bearer(" ")):
        answer = client(fixed).get("/write", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="abut"'
        assert answer.json() == {"code": "Unauthorized", "description": "needs a bearer token of scope stac:write"}


def test_a_wrong_token_is_401_and_a_token_that_may_not_is_403(fixed: Access) -> None:
    wrong = client(fixed).get("/write", headers=bearer("nobody-knows-this-token"))
    assert wrong.status_code == 401
    assert wrong.headers["WWW-Authenticate"].startswith('Bearer realm="abut", error="invalid_token"')
    assert "nobody" not in wrong.text

    lacking = client(fixed).get("/register", headers=bearer(WRITER))
    assert lacking.status_code == 403
    assert lacking.headers["WWW-Authenticate"] == (
        'Bearer realm="abut", error="insufficient_scope", scope="abut:register"'
    )
    assert lacking.json()["description"] == "needs a token of scope abut:register"


def test_whoever_registers_may_write_too(fixed: Access) -> None:
    assert client(fixed).get("/write", headers=bearer(WRITER)).json() == [READ, WRITE]
    assert client(fixed).get("/write", headers=bearer(REGISTRAR)).json() == [READ, REGISTER, WRITE]
    assert client(fixed).get("/register", headers={"authorization": f"bearer {REGISTRAR}"}).status_code == 200


@pytest.fixture(scope="module")
def running() -> Iterator[TestProvider]:
    with provider() as made:
        yield made


@pytest.fixture
def idp(running: TestProvider) -> Iterator[TestProvider]:
    """The provider as new: nothing was asked yet."""
    keys = dict(running.keys)
    running.asked.clear()
    yield running
    running.keys, running.issuer, running.broken = keys, None, False
    running.extra_keys.clear()


def oidc(idp: TestProvider, **options: float) -> OidcAccess:
    known: dict[str, float] = {"leeway": 30, "refresh_seconds": 0, "keys_seconds": 600, **options}
    return OidcAccess(provider=Provider(issuer=idp.url, audience=AUDIENCE, **known))


@pytest.mark.parametrize("key", ["first", "curve"])
def test_a_token_of_the_provider_has_its_scopes(idp: TestProvider, key: str) -> None:
    access = oidc(idp)
    assert scopes(access, idp.token("openid stac:write profile", key=key)) == {WRITE}
    assert scopes(access, idp.token(["stac:write", "abut:register"], key=key)) == {WRITE, REGISTER}
    assert scopes(access, idp.token(scp=["abut:register"], key=key)) == {REGISTER}
    assert scopes(access, idp.token(aud=["another", AUDIENCE], key=key)) == frozenset()


def test_keys_are_asked_for_once(idp: TestProvider) -> None:
    access = oidc(idp)

    async def many() -> None:
        await asyncio.gather(*(access.scopes(idp.token(WRITE)) for _ in range(20)))

    asyncio.run(many())
    assert idp.asked == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exp": time.time() - 60}, "expired"),
        ({"nbf": time.time() + 86_400}, "not yet valid"),
        ({"aud": "https://another.test"}, "Audience"),
        ({"iss": "https://another.test"}, "issuer"),
        ({"exp": None}, 'missing the "exp" claim'),
        ({"aud": None}, 'missing the "aud" claim'),
        ({"iss": None}, 'missing the "iss" claim'),
    ],
)
def test_tokens_for_others_or_for_another_time_are_refused(
    idp: TestProvider, changes: dict[str, Any], message: str
) -> None:
    assert message.lower() in refused(oidc(idp), idp.token(WRITE, **changes)).lower()


def test_clocks_may_differ_a_little(idp: TestProvider) -> None:
    late = idp.token(WRITE, exp=time.time() - 10)
    assert scopes(oidc(idp, leeway=30), late) == {WRITE}
    assert "expired" in refused(oidc(idp, leeway=5), late)


def test_a_token_signed_by_someone_else_is_refused(idp: TestProvider) -> None:
    access = oidc(idp)
    own = idp.keys["first"]
    idp.keys["first"] = new_rsa()
    forged = idp.token(WRITE)
    idp.keys["first"] = own
    assert "Signature" in refused(access, forged)


def test_only_the_provider_s_private_key_signs(idp: TestProvider) -> None:
    """Neither no signature at all, nor one with the public key as a shared secret, is one."""
    access = oidc(idp)
    claims = jwt.decode(idp.token(WRITE), options={"verify_signature": False})
    assert refused(access, jwt.encode(claims, "", "none")) == "algorithm 'none' is not accepted"

    public = (
        idp.keys["first"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    secret = jwt.utils.base64url_encode(public).decode() + "x" * 32
    assert "HS256" in refused(access, jwt.encode(claims, secret, "HS256", headers={"kid": "first"}))
    idp.extra_keys.append({"kty": "oct", "kid": "shared", "k": base64.urlsafe_b64encode(secret.encode()).decode()})
    assert "HS256" in refused(access, jwt.encode(claims, secret, "HS256", headers={"kid": "shared"}))


def test_a_token_s_algorithm_must_be_its_key_s(idp: TestProvider) -> None:
    header, body, signature = idp.token(WRITE, key="curve").split(".")
    changed = json.loads(base64.urlsafe_b64decode(header + "=="))
    changed["kid"] = "first"
    forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("=")
    assert refused(oidc(idp), f"{forged}.{body}.{signature}")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "é" * 100, "eyJhbGciOiJSUzI1NiJ9." + "A" * 10_000])
def test_what_is_no_token_is_refused(idp: TestProvider, token: str) -> None:
    assert refused(oidc(idp), token)


@pytest.mark.parametrize("algorithm", [[], {}, 1, "R" * 4_000], ids=["list", "object", "number", "long"])
def test_an_algorithm_that_is_none_is_refused_in_a_short_line(idp: TestProvider, algorithm: Any) -> None:
    header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).decode().rstrip("=")
    assert len(refused(oidc(idp), f"{header}.e30.AAAA")) < 300


def test_a_key_that_is_new_is_asked_for(idp: TestProvider) -> None:
    access = oidc(idp)
    assert scopes(access, idp.token(WRITE)) == {WRITE}
    idp.keys["second"] = new_rsa()
    assert scopes(access, idp.token(WRITE, key="second")) == {WRITE}
    assert idp.asked.count("/keys") == 2


def test_unknown_keys_do_not_make_it_ask_all_the_time(idp: TestProvider) -> None:
    access = oidc(idp, refresh_seconds=600)
    scopes(access, idp.token(WRITE))
    idp.keys["never-published"] = new_rsa()
    token = idp.token(WRITE, key="never-published")
    for _ in range(5):
        assert refused(access, token) == "key 'never-published' is not one of the provider's for RS256"
    assert idp.asked.count("/keys") == 1


def test_a_key_that_was_taken_back_no_longer_counts(idp: TestProvider) -> None:
    access = oidc(idp, keys_seconds=0)
    token = idp.token(WRITE)
    assert scopes(access, token) == {WRITE}
    del idp.keys["first"]
    assert "not one of the provider's" in refused(access, token)


def test_keys_stay_known_while_the_provider_is_away(idp: TestProvider) -> None:
    access = oidc(idp, keys_seconds=0)
    assert scopes(access, idp.token(WRITE)) == {WRITE}
    idp.broken = True
    assert scopes(access, idp.token(WRITE)) == {WRITE}


def test_a_provider_that_does_not_answer_is_503(idp: TestProvider) -> None:
    idp.broken = True
    with pytest.raises(UnavailableError, match="can't be read"):
        scopes(oidc(idp), idp.token(WRITE))
    answer = client(oidc(idp)).get("/write", headers=bearer(idp.token(WRITE)))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"


def test_discovery_of_another_issuer_is_not_believed(idp: TestProvider) -> None:
    idp.issuer = "https://another.test"
    with pytest.raises(UnavailableError, match=r"issuer 'https://another\.test'"):
        scopes(oidc(idp), idp.token(WRITE))


def test_keys_of_unknown_kinds_are_passed_over(idp: TestProvider) -> None:
    idp.extra_keys += [{"kty": "XYZ", "kid": "odd"}, {"kty": "RSA", "kid": "broken"}, {"kid": "nothing"}]
    assert scopes(oidc(idp), idp.token(WRITE)) == {WRITE}


def public(key: Any, **members: Any) -> dict[str, Any]:
    """A key as a provider publishes it, with these members and no others beside the key itself."""
    kinds = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    kind = next((made for base, made in kinds.items() if isinstance(key, base)), OKPAlgorithm)
    published = kind.to_jwk(key.public_key(), as_dict=True)  # type: ignore[attr-defined] # as all three have
    return {name: value for name, value in published.items() if name not in ("alg", "use", "key_ops")} | members


def signed(idp: TestProvider, key: Any, algorithm: str, **headers: str) -> str:
    claims = {"iss": idp.url, "aud": AUDIENCE, "exp": int(time.time()) + 600, "scope": WRITE}
    return jwt.encode(claims, key, algorithm, headers=headers)


@pytest.mark.parametrize(
    ("make", "algorithms"),
    [
        (new_rsa, ["RS256", "RS384", "RS512", "PS256", "PS512"]),
        (new_ec, ["ES256"]),
        (lambda: ec.generate_private_key(ec.SECP384R1()), ["ES384"]),
        (lambda: ec.generate_private_key(ec.SECP521R1()), ["ES512"]),
        (ed25519.Ed25519PrivateKey.generate, ["EdDSA"]),
    ],
    ids=["rsa", "p256", "p384", "p521", "ed25519"],
)
def test_a_key_that_names_no_algorithm_signs_by_all_of_its_kind(
    idp: TestProvider, make: Callable[[], Any], algorithms: list[str]
) -> None:
    key = make()
    idp.keys.clear()
    idp.extra_keys.append(public(key, kid="plain"))
    access = oidc(idp)
    for algorithm in algorithms:
        assert scopes(access, signed(idp, key, algorithm, kid="plain")) == {WRITE}
    assert idp.asked.count("/keys") == 1


def test_a_key_that_names_its_algorithm_signs_by_no_other(idp: TestProvider) -> None:
    assert "for RS512" in refused(oidc(idp), idp.token(WRITE, algorithm="RS512"))


def test_keys_without_a_name_are_all_tried(idp: TestProvider) -> None:
    keys = [new_rsa(), new_rsa()]
    idp.keys.clear()
    idp.extra_keys += [public(key) for key in keys] + [public(new_ec())]
    access = oidc(idp)
    for key in keys:
        assert scopes(access, signed(idp, key, "RS256")) == {WRITE}
    assert "Signature" in refused(access, signed(idp, new_rsa(), "RS256"))


def test_keys_of_one_name_are_all_tried(idp: TestProvider) -> None:
    keys = [new_rsa(), new_rsa()]
    idp.extra_keys += [public(key, kid="twin") for key in keys]
    access = oidc(idp)
    for key in keys:
        assert scopes(access, signed(idp, key, "RS256", kid="twin")) == {WRITE}


def test_a_key_for_encryption_signs_nothing(idp: TestProvider) -> None:
    key = new_rsa()
    idp.extra_keys += [public(key, kid="secret", use="enc"), public(key, kid="ops", key_ops=["encrypt"])]
    idp.extra_keys.append(public(key, kid="odd", key_ops=7))
    for name in ("secret", "ops", "odd"):
        assert f"key {name!r} is not one of the provider's" in refused(oidc(idp), signed(idp, key, "RS256", kid=name))


def test_keys_of_a_provider_that_stays_away_count_no_longer(idp: TestProvider) -> None:
    access = oidc(idp, keys_seconds=0, stale_seconds=0.2)
    token = idp.token(WRITE)
    assert scopes(access, token) == {WRITE}
    idp.broken = True
    time.sleep(0.25)
    with pytest.raises(UnavailableError, match="can't be read"):
        scopes(access, token)
    idp.broken = False
    assert scopes(access, token) == {WRITE}


def test_documents_without_end_are_not_read_to_their_end(idp: TestProvider) -> None:
    idp.extra_keys += [{"kty": "XYZ", "kid": "x" * 1000}] * 1100
    with pytest.raises(UnavailableError, match="larger than 1000000 bytes"):
        scopes(oidc(idp), idp.token(WRITE))


def test_only_so_many_keys_are_kept(idp: TestProvider) -> None:
    idp.extra_keys += [public(idp.keys["first"], kid=f"key-{number}") for number in range(200)]
    access = oidc(idp)
    scopes(access, idp.token(WRITE))
    assert len(access._keys) == 100


def test_a_token_s_scope_decides_over_http(idp: TestProvider) -> None:
    http = client(oidc(idp))
    assert http.get("/write", headers=bearer(idp.token("openid stac:write"))).json() == [READ, WRITE]
    assert http.get("/write", headers=bearer(idp.token("openid"))).status_code == 403
    assert http.get("/write", headers=bearer(idp.token(WRITE, exp=1))).status_code == 401


def test_a_service_may_take_tokens_of_both_kinds(idp: TestProvider, fixed: Access) -> None:
    both = EitherAccess((fixed, oidc(idp)))
    assert scopes(both, REGISTRAR) == {REGISTER}
    assert scopes(both, idp.token(WRITE)) == {WRITE}
    assert "expired" in refused(both, idp.token(WRITE, exp=1))
