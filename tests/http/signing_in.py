"""What a browser does to sign in and out, and what its cookies say."""

from http.cookies import Morsel, SimpleCookie
from typing import Any, Final

import httpx

EMAIL: Final = "ada@example.com"
PASSWORD: Final = "correct horse battery staple"


def csrf_token(client: httpx.Client) -> str:
    """The token for the forms of this browser."""
    token: str = client.get("/api/auth/csrf").json()["csrfToken"]
    return token


def post_form(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Send a form of ours, as a page does."""
    return client.post(f"/api/auth/{path}", data={"csrfToken": csrf_token(client), **fields})


def sign_in(client: httpx.Client, email: str = EMAIL, password: str = PASSWORD, **fields: str) -> httpx.Response:
    """Send the sign-in form, as NextAuth's client does."""
    return post_form(client, "callback/credentials", email=email, password=password, json="true", **fields)


def session(client: httpx.Client) -> dict[str, Any]:
    """Who is signed in."""
    answer = client.get("/api/auth/session")
    assert answer.status_code == 200
    shown: dict[str, Any] = answer.json()
    return shown


def cookies_set(answer: httpx.Response) -> dict[str, Morsel[str]]:
    """The cookies that an answer sets, with their flags."""
    cookies: SimpleCookie = SimpleCookie()
    for header in answer.headers.get_list("Set-Cookie"):
        cookies.load(header)
    return dict(cookies)
