"""The sign-in providers GitHub, Google and Discord, and what each says about a person (SPEC 4).

An e-mail address counts as verified only when the provider says so. Names and pictures are for display: those that
cannot be shown are left out, and nothing fails because of them.
"""

from contextlib import suppress
from typing import Any, Final

from pydantic import SecretStr

from omnisonic.errors import InvalidInput
from omnisonic.http.auth.openid import Issuer
from omnisonic.http.auth.provider import Provider, ProviderRefused, Transaction
from omnisonic.http.auth.provider_client import CodeFlow, ProviderClient
from omnisonic.identity.emails import given_email
from omnisonic.models import DISPLAY_NAME_LENGTH
from omnisonic.models.checks import checked_display_name
from omnisonic.settings.settings import Settings
from omnisonic.studio.accounts import Identity

IMAGE_LENGTH: Final = 2048
SUBJECT_LENGTH: Final = 255
"""OpenID Connect Core, 2: most characters in `sub`."""
DISCORD_PICTURES: Final = "https://cdn.discordapp.com/avatars"


class GitHub:
    """GitHub, or a GitHub Enterprise, whose API has the addresses of a person in a list of their own."""

    id = "github"
    name = "GitHub"

    def __init__(self, client: ProviderClient, client_id: str, client_secret: str, *, base: str, api: str) -> None:
        self._client = client
        self._flow = CodeFlow(client, client_id, client_secret, scope="read:user user:email")
        self._base = base
        self._api = api

    async def authorization_url(self, transaction: Transaction) -> str:
        return self._flow.authorization_url(f"{self._base}/login/oauth/authorize", transaction)

    async def identity(self, transaction: Transaction, code: str) -> Identity:
        token = await self._flow.token(f"{self._base}/login/oauth/access_token", transaction, code)
        user = _object(await self._client.get(f"{self._api}/user", token=token["access_token"]))
        emails = await self._client.get(f"{self._api}/user/emails", token=token["access_token"])
        if not isinstance(emails, list):
            raise ProviderRefused("The provider's answer makes no sense.")
        primary = next((_object(email) for email in emails if _object(email).get("primary") is True), {})
        return Identity(
            provider=self.id,
            subject=_subject(user.get("id")),
            email=_email(primary.get("email")),
            email_verified=primary.get("verified") is True,
            name=_shown_name(user.get("name"), user.get("login")),
            image=_image(user.get("avatar_url")),
        )


class Google:
    """Google, or any other OpenID issuer: who somebody is stands in its signed ID token."""

    id = "google"
    name = "Google"

    def __init__(self, client: ProviderClient, client_id: str, client_secret: str, *, issuer: str) -> None:
        self._flow = CodeFlow(client, client_id, client_secret, scope="openid email profile")
        self._issuer = Issuer(client, issuer, client_id)

    async def authorization_url(self, transaction: Transaction) -> str:
        endpoint = await self._issuer.endpoint("authorization_endpoint")
        return self._flow.authorization_url(endpoint, transaction, with_nonce=True)

    async def identity(self, transaction: Transaction, code: str) -> Identity:
        token = await self._flow.token(await self._issuer.endpoint("token_endpoint"), transaction, code)
        claims = await self._issuer.claims(token.get("id_token"), nonce=transaction.nonce)
        return Identity(
            provider=self.id,
            subject=_subject(claims.get("sub")),
            email=_email(claims.get("email")),
            email_verified=claims.get("email_verified") is True,
            name=_shown_name(claims.get("name")),
            image=_image(claims.get("picture")),
        )


class Discord:
    """Discord."""

    id = "discord"
    name = "Discord"

    def __init__(self, client: ProviderClient, client_id: str, client_secret: str, *, base: str, api: str) -> None:
        self._client = client
        self._flow = CodeFlow(client, client_id, client_secret, scope="identify email")
        self._base = base
        self._api = api

    async def authorization_url(self, transaction: Transaction) -> str:
        return self._flow.authorization_url(f"{self._base}/oauth2/authorize", transaction)

    async def identity(self, transaction: Transaction, code: str) -> Identity:
        token = await self._flow.token(f"{self._api}/oauth2/token", transaction, code)
        user = _object(await self._client.get(f"{self._api}/users/@me", token=token["access_token"]))
        subject, avatar = _subject(user.get("id")), user.get("avatar")
        return Identity(
            provider=self.id,
            subject=subject,
            email=_email(user.get("email")),
            email_verified=user.get("verified") is True,
            name=_shown_name(user.get("global_name"), user.get("username")),
            image=_image(f"{DISCORD_PICTURES}/{subject}/{avatar}.png") if isinstance(avatar, str) else None,
        )


def configure_providers(settings: Settings, client: ProviderClient) -> dict[str, Provider]:
    """The configured providers, by id."""
    on: dict[str, Provider] = {}
    for provider in settings.providers_on:
        match provider:
            case "github":
                registration, base, api = _read_client(settings, provider)
                on[provider] = GitHub(client, *registration, base=base, api=api)
            case "google":
                registration, base, _ = _read_client(settings, provider)
                on[provider] = Google(client, *registration, issuer=base)
            case "discord":
                registration, base, api = _read_client(settings, provider)
                on[provider] = Discord(client, *registration, base=base, api=api)
    return on


def _read_client(settings: Settings, provider: str) -> tuple[tuple[str, str], str, str]:
    """Our id and secret at `provider`, and the URLs of its pages and its API, without a slash at the end."""
    secret: SecretStr = getattr(settings, f"{provider}_client_secret")
    client_id, base, api = (
        str(getattr(settings, f"{provider}_{what}")).rstrip("/") for what in ("client_id", "base_url", "api_url")
    )
    return (client_id, secret.get_secret_value()), base, api


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise ProviderRefused("The provider's answer makes no sense.")
    return answer


def _subject(value: object) -> str:
    """The provider's own name for somebody, which must be there: a text or a number."""
    subject = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not subject or len(subject) > SUBJECT_LENGTH:
        raise ProviderRefused("The provider does not say who it is.")
    return subject


def _email(value: object) -> str | None:
    try:
        return given_email(value.strip()) if isinstance(value, str) else None
    except InvalidInput:
        return None


def _shown_name(*values: object) -> str | None:
    """The first of `values` that can be shown as a name."""
    for value in values:
        if isinstance(value, str):
            with suppress(InvalidInput):
                return checked_display_name(value.strip()[:DISPLAY_NAME_LENGTH])
    return None


def _image(value: object) -> str | None:
    is_link = isinstance(value, str) and value.startswith("https://") and len(value) <= IMAGE_LENGTH
    return str(value) if is_link else None
