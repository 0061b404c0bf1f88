"""The shapes of sign-in on the wire, as NextAuth's clients know them (SPEC 4)."""

from datetime import datetime
from typing import Literal

import msgspec
from pydantic import BaseModel, Field

from omnisonic.http.core.forms import AUTH_JS_HEADER
from omnisonic.http.core.inputs import Input
from omnisonic.models import Person


class ProviderAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """One way to sign in: where its form is posted to, and where the provider sends the browser back to."""

    id: str
    name: str
    type: Literal["oauth", "credentials"]
    signin_url: str
    callback_url: str


class ProvidersAnswer(msgspec.Struct, frozen=True):
    """The ways to sign in here, by their ids."""

    github: ProviderAnswer | msgspec.UnsetType = msgspec.UNSET
    google: ProviderAnswer | msgspec.UnsetType = msgspec.UNSET
    discord: ProviderAnswer | msgspec.UnsetType = msgspec.UNSET
    credentials: ProviderAnswer | msgspec.UnsetType = msgspec.UNSET


class CsrfAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """What a form must carry, besides the cookie that comes with this answer."""

    csrf_token: str


class SignedInAnswer(msgspec.Struct, frozen=True):
    """Who is signed in, and until when if it is not used again; an empty object when nobody is."""

    user: Person | msgspec.UnsetType = msgspec.UNSET
    expires: datetime | msgspec.UnsetType = msgspec.UNSET


class UrlAnswer(msgspec.Struct, frozen=True):
    """Where to go now."""

    url: str


class SignInProblem(msgspec.Struct, frozen=True):
    """What went wrong, and where NextAuth's clients read it: in the `error` of the sign-in page's address."""

    error: str
    code: str
    url: str | msgspec.UnsetType = msgspec.UNSET


class AnswerHeader(BaseModel):
    """How a form is to be answered."""

    return_redirect: str | None = Field(
        default=None, alias=AUTH_JS_HEADER, description="With any value a form is answered with JSON: no redirect."
    )


class Going(Input):
    """Where to go afterwards: a page of this studio."""

    callback_url: str | None = None


class GoingForm(Going):
    """The same, from a page's form. `json` is `true` for who wants no redirect. Without its token it gets nowhere."""

    csrf_token: str | None = None
    json_: str | None = Field(default=None, alias="json")


class ClientLogForm(Input):
    """What next-auth 4 sends when it has logged something. Its fields are not looked at."""


class CredentialsForm(GoingForm):
    """An e-mail address and a password, from a page's form: when they cannot be, the way leads back to the page."""

    email: str | None = None
    password: str | None = None
