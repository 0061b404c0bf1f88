"""A provider of sign-in, shaped like GitHub, Google and Discord at once, on a real socket; it can be told to misbehave.

It holds us to the protocol: every authorization must bring a state and an S256 challenge, every code is good once, for
the client, the redirect URI and the verifier that it was made for. ID tokens are signed with a real RSA key.
"""

import asyncio
import hashlib
import hmac
import json
import secrets
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from quart import Quart, Response, jsonify, redirect, request
from quart.typing import ResponseReturnValue

from tests.http.running import serving

CLIENT_ID: Final = "omnisonic-studio"
CLIENT_SECRET: Final = "the client's secret & more=that"
ID_TOKEN_S: Final = 300


@dataclass
class Grant:
    """What somebody said yes to."""

    redirect_uri: str
    challenge: str
    nonce: str | None


@dataclass
class OpenIdProvider:
    """Whom it knows and how it behaves: change it while it runs."""

    port: int
    key: RSAKey
    person: dict[str, Any] = field(default_factory=dict)
    """What it says of whoever comes, over what it says of Ada."""
    claims: dict[str, Any] = field(default_factory=dict)
    """What stands in the ID token besides; a None takes a claim out."""
    configuration: dict[str, Any] = field(default_factory=dict)
    """What stands in its discovery document, over what does."""
    forged_header: dict[str, str] = field(default_factory=dict)
    """The header of an ID token that is not signed with its key."""
    refusal: str = ""
    """The error that it sends people back with."""
    status: int = 0
    """What it answers every call of ours with instead."""
    hangs: bool = False
    """It never answers a call of ours."""
    body: bytes | None = None
    """What it answers every call of ours with instead."""
    asked: list[Mapping[str, str]] = field(default_factory=list)
    """The queries that browsers came with."""
    calls: list[str] = field(default_factory=list)
    """The paths that we called."""
    grants: dict[str, Grant] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a studio that has it for all three providers."""
        settings: dict[str, str] = {}
        for name, api in (("GITHUB", "/github"), ("GOOGLE", ""), ("DISCORD", "/discord/")):
            settings |= {
                f"{name}_CLIENT_ID": CLIENT_ID,
                f"{name}_CLIENT_SECRET": CLIENT_SECRET,
                f"{name}_BASE_URL": self.url,
                f"{name}_API_URL": self.url + api,
            }
        return settings

    def behave(self) -> None:
        """Be well again, and know Ada."""
        self.person, self.claims, self.configuration, self.forged_header = {}, {}, {}, {}
        self.refusal, self.status, self.hangs, self.body = "", 0, False, None
        self.asked.clear()
        self.calls.clear()

    def discord_user(self) -> dict[str, Any]:
        ada = {
            "id": "80351110224678912",
            "username": "ada",
            "global_name": "Ada L.",
            "avatar": "8342729096ea36",
        }
        return ada | {"email": "ada@example.com", "verified": True} | self.person

    def github_user(self) -> dict[str, Any]:
        return {"id": 583231, "login": "ada", "name": "Ada Lovelace", "avatar_url": "https://a.example/1"} | self.person

    def github_emails(self) -> list[dict[str, Any]]:
        verified = self.person.get("verified", True)
        return [
            {"email": "ada@users.noreply.github.com", "primary": False, "verified": True},
            {"email": self.person.get("email", "ada@example.com"), "primary": True, "verified": verified},
        ]

    def id_token(self, nonce: str | None) -> str:
        now_s = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now_s, "exp": now_s + ID_TOKEN_S, "nonce": nonce}
        claims |= {"sub": "10769150350006150715113082367", "name": "Ada", "picture": "https://a.example/2"}
        claims |= {"email": "ada@example.com", "email_verified": True} | self.person | self.claims
        said = {name: value for name, value in claims.items() if value is not None}
        if self.forged_header:
            header, payload = (_base64(json.dumps(part).encode()) for part in (self.forged_header, said))
            key = self.key.as_pem(private=False)
            signature = hmac.digest(key, f"{header}.{payload}".encode(), "sha256")
            return f"{header}.{payload}.{_base64(signature) if self.forged_header['alg'] != 'none' else ''}"
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, said, self.key)

    def change_key(self) -> None:
        """As issuers do every few weeks."""
        self.key = new_key()


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def new_key() -> RSAKey:
    """A key for signing, with an id."""
    return RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig", "alg": "RS256"})


@contextmanager
def running_provider() -> Iterator[OpenIdProvider]:
    """A provider until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    provider = OpenIdProvider(int(listener.getsockname()[1]), new_key())
    with serving(_app(provider), listener, _nothing()):
        yield provider


def _app(provider: OpenIdProvider) -> Quart:
    app = Quart(__name__, static_folder=None)

    @app.before_request
    async def misbehave() -> ResponseReturnValue | None:
        if request.path.endswith("authorize"):
            return None
        provider.calls.append(request.path)
        await request.get_data()  # an answer that overtakes the request may be lost with the connection
        if provider.hangs:
            await asyncio.Event().wait()
        if provider.body is not None:
            return Response(provider.body, content_type="application/json")
        return (jsonify(error="told to"), provider.status) if provider.status else None

    for path in ("/login/oauth/authorize", "/oauth2/authorize", "/google/authorize"):
        app.add_url_rule(path, path, partial(_authorize, provider))
    for path in ("/login/oauth/access_token", "/discord/oauth2/token", "/google/token"):
        app.add_url_rule(path, path, partial(_token, provider), methods=["POST"])

    @app.get("/.well-known/openid-configuration")
    async def configuration() -> Response:
        google = provider.url + "/google"
        endpoints = {"authorization_endpoint": f"{google}/authorize", "token_endpoint": f"{google}/token"}
        return jsonify({"issuer": provider.url, "jwks_uri": f"{google}/keys", **endpoints, **provider.configuration})

    @app.get("/google/keys")
    async def keys() -> Response:
        return jsonify(KeySet([provider.key]).as_dict(private=False))

    @app.get("/github/user")
    async def github_user() -> Response:
        return _for_bearer(provider.github_user())

    @app.get("/github/user/emails")
    async def github_emails() -> Response:
        return _for_bearer(provider.github_emails())

    @app.get("/discord/users/@me")
    async def discord_user() -> Response:
        return _for_bearer(provider.discord_user())

    return app


async def _authorize(provider: OpenIdProvider) -> ResponseReturnValue:
    """Everybody says yes at once, unless the provider is told to refuse."""
    asked = request.args.to_dict()
    provider.asked.append(asked)
    assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
    assert asked["code_challenge_method"] == "S256"
    assert asked["state"]
    assert asked["scope"]
    if provider.refusal:
        back = {"error": provider.refusal, "state": asked["state"]}
    else:
        code = secrets.token_urlsafe(16)
        provider.grants[code] = Grant(asked["redirect_uri"], asked["code_challenge"], asked.get("nonce"))
        back = {"code": code, "state": asked["state"]}
    return redirect(f"{asked['redirect_uri']}?{urlencode(back)}")


async def _token(provider: OpenIdProvider) -> ResponseReturnValue:
    form = await request.form
    grant = provider.grants.pop(form.get("code", ""), None)
    client = (form.get("client_id"), form.get("client_secret"))
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = _base64(digest)
    is_right = client == (CLIENT_ID, CLIENT_SECRET) and form.get("grant_type") == "authorization_code"
    if grant is None or not is_right or (grant.redirect_uri, grant.challenge) != (form["redirect_uri"], challenge):
        # GitHub does say so with 200.
        return jsonify(error="invalid_grant"), 200 if request.path.startswith("/login") else 400
    token = {"access_token": "a-token", "token_type": "bearer"}
    return jsonify(token | ({"id_token": provider.id_token(grant.nonce)} if "google" in request.path else {}))


def _for_bearer(shown: Any) -> Response:
    if request.headers.get("Authorization") != "Bearer a-token":
        return Response(status=401)
    return jsonify(shown)


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield
