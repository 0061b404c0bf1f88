"""People with accounts, as a studio sees them: a browser's cookie over HTTP, and tickets at the gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from tests.cli.running import START_S
from tests.clients import Client
from tests.no_tls import NO_TLS
from tests.rooms import becomes
from tests.system.visitors import Visitors

PASSWORD: Final = "correct horse battery staple"
UNAVAILABLE: Final = 503


class Musician:
    """Somebody who has signed in. `id` and `email` are their account's."""

    def __init__(self, visitors: Visitors, email: str, http: httpx.AsyncClient) -> None:
        self.email = email
        self.id = ""
        self._visitors = visitors
        self._http = http

    async def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        """What the web answers, whatever it is."""
        return await self._http.request(method, path, json=body)

    async def reported(self, method: str, path: str, body: object = None, *, status: int = 200) -> dict[str, Any]:
        """What the web answers with this status."""
        answer = await self.ask(method, path, body)
        assert answer.status_code == status, (answer.status_code, answer.text)
        return dict(answer.json())

    async def _arranged(self, method: str, path: str, body: object = None, *, status: int = 200) -> dict[str, Any]:
        """The same for what a test begins with. A busy machine's database may take longer to connect to than anybody
        waits for it: after a 503 it is asked again, as everybody would.
        """
        answers: list[httpx.Response] = []

        async def is_told() -> bool:
            answers.append(await self.ask(method, path, body))
            return answers[-1].status_code != UNAVAILABLE

        await becomes(is_told, wanted=True, deadline_s=START_S)
        assert answers[-1].status_code == status, (answers[-1].status_code, answers[-1].text)
        return dict(answers[-1].json())

    async def sign_in(self) -> None:
        """Sign in, or sign up when there is no such account."""
        await self._arranged("POST", "/api/auth/callback/credentials", {"email": self.email, "password": PASSWORD})
        session = await self._arranged("GET", "/api/auth/session")
        assert session["user"]["email"] == self.email
        self.id = session["user"]["id"]

    async def sign_out(self) -> None:
        """End the sign-in. The cookie is kept, as a thief would."""
        cookies = httpx.Cookies(self._http.cookies)
        await self.reported("POST", "/api/auth/signout", {})
        self._http.cookies = cookies

    @property
    def cookie(self) -> str:
        """The `Cookie` header that their browser sends."""
        return "; ".join(f"{name}={value}" for name, value in self._http.cookies.items())

    async def create(self, name: str) -> str:
        """A new session's id."""
        answer = await self._arranged("POST", "/api/sessions", {"name": name}, status=201)
        return str(answer["session"]["id"])

    async def session(self, session: str) -> dict[str, Any]:
        """The session, as they see it."""
        answer = await self.reported("GET", f"/api/sessions?id={session}")
        return dict(answer["session"])

    async def share(self, session: str, guest: "Musician") -> None:
        """Invite somebody, who accepts."""
        link = await self.reported("POST", f"/api/sessions/{session}/invites", {}, status=201)
        accepted = await guest.reported("POST", f"/api{urlsplit(link['url']).path}")
        assert accepted["session"]["id"] == session

    async def ticket(self, session: str, **fields: str) -> dict[str, Any]:
        """A ticket for the session's room: `ticket` and `url`."""
        return await self.reported("POST", f"/api/rooms/{session}/ticket", fields, status=201)

    @asynccontextmanager
    async def in_room(self, session: str, **fields: str) -> AsyncIterator[Client]:
        """In the session's room, by a ticket; leaves in order with the block."""
        async with self.with_ticket(await self.ticket(session, **fields)) as client:
            yield client

    @asynccontextmanager
    async def with_ticket(self, ticket: dict[str, Any]) -> AsyncIterator[Client]:
        """Where this ticket leads. Errors: `ConnectionRejected` when it leads nowhere."""
        url = urlsplit(ticket["url"])
        subprotocols = ["omnisonic", f"ticket.{ticket['ticket']}"]
        async with self._visitors.entered(f"/?{url.query}", subprotocols=subprotocols) as client:
            yield client

    @asynccontextmanager
    async def with_cookie(self, target: str) -> AsyncIterator[Client]:
        """In a room by the web's cookie alone, as one of its pages is. Errors: `ConnectionRejected`."""
        origin = f"http://127.0.0.1:{self._visitors.web_port}"
        headers = [(b"Cookie", self.cookie.encode()), (b"Origin", origin.encode())]
        async with self._visitors.entered(target, headers=headers) as client:
            yield client

    @asynccontextmanager
    async def events(self, session: str, member: str) -> AsyncIterator[httpx.Response]:
        """In the session's room under this id, by an event stream and the cookie."""
        path, query = f"/api/rooms/{session}/events", {"memberId": member}
        async with self._http.stream("GET", path, params=query) as answer:
            assert answer.status_code == 200, (await answer.aread(), answer.status_code)
            yield answer

    async def roster(self, session: str) -> list[str]:
        """Who is in the session's room, by their ids."""
        answer = await self.reported("GET", f"/api/presence?roomId={session}")
        return [line["memberId"] for line in answer["members"]]


@asynccontextmanager
async def musician(visitors: Visitors, name: str) -> AsyncIterator[Musician]:
    """Somebody new, who has signed up by `name` and is signed in."""
    # A connection each, because tests end the web under them; a web that is being started again is waited for.
    limits = httpx.Limits(max_keepalive_connections=0)
    base_url = f"http://127.0.0.1:{visitors.web_port}"
    async with httpx.AsyncClient(base_url=base_url, timeout=START_S, limits=limits, verify=NO_TLS) as http:
        person = Musician(visitors, f"{name}@example.com", http)
        await person.sign_in()
        yield person
