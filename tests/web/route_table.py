"""Every route of the web, and what is decided there about those whom it does not belong to."""

import re
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Route: TypeAlias = tuple[str, str]
UNKNOWN: Final = "00000000-0000-4000-8000-00000000dead"
"""A well-formed id of nothing."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a stranger gets, and what somebody gets who is signed in, where what is asked for is another user's.

    `ask` is the query or the body of a request that is right but for who sends it, with the path's variables in braces.
    """

    stranger: int
    other: int
    ask: dict[str, Any] = field(default_factory=dict)

    def asked(self, values: dict[str, str]) -> dict[str, Any]:
        """`ask` with its values filled in."""
        return {key: value.format(**values) if isinstance(value, str) else value for key, value in self.ask.items()}


ANYONE: Final = Decision(200, 200)
REDIRECTED: Final = Decision(302, 302)
THEIR_PAGE: Final = Decision(302, 404)
OWNERS: Final = Decision(401, 404)

ROUTES: Final[dict[Route, Decision]] = {
    # Health, and what describes the rest
    ("GET", "/healthz"): ANYONE,
    ("GET", "/readyz"): ANYONE,
    ("GET", "/api/openapi.json"): ANYONE,
    # Rosters, where rooms are entered with tickets
    ("GET", "/api/presence"): Decision(401, 404, {"roomId": "{room_id}"}),
    ("POST", "/api/presence"): Decision(401, 404, {"roomId": "{room_id}", "memberId": "ada", "displayName": "Ada"}),
    ("DELETE", "/api/presence"): Decision(401, 404, {"roomId": "{room_id}", "memberId": "ada"}),
    # Sessions; everybody may have some of their own
    ("GET", "/api/sessions"): Decision(401, 404, {"id": "{session_id}"}),
    ("POST", "/api/sessions"): Decision(401, 201),
    ("PATCH", "/api/sessions/<session_id>"): Decision(401, 404, {"name": "mine"}),
    ("DELETE", "/api/sessions/<session_id>"): OWNERS,
    ("POST", "/api/sessions/<session_id>/invites"): OWNERS,
    ("GET", "/api/sessions/<session_id>/collaborators"): OWNERS,
    ("DELETE", "/api/sessions/<session_id>/collaborators/<user_id>"): OWNERS,
    # Rooms
    ("POST", "/api/rooms/<path:room_id>/ticket"): OWNERS,
    ("POST", "/api/rooms/<path:room_id>/messages"): Decision(401, 404, {"type": "note"}),
    # Sign-in is for strangers, and concerns nobody but who asks
    ("GET", "/api/auth/providers"): ANYONE,
    ("GET", "/api/auth/csrf"): ANYONE,
    ("GET", "/api/auth/session"): ANYONE,
    ("GET", "/api/auth/signin"): REDIRECTED,
    ("GET", "/api/auth/signin/<provider>"): REDIRECTED,
    ("POST", "/api/auth/signin/<provider>"): Decision(404, 404),
    ("GET", "/api/auth/callback/<any(github,google,discord):provider>"): Decision(404, 404),
    ("POST", "/api/auth/callback/credentials"): Decision(
        200, 200, {"email": "new@example.com", "password": "a good password"}
    ),
    ("GET", "/api/auth/signout"): REDIRECTED,
    ("POST", "/api/auth/signout"): ANYONE,
    ("GET", "/api/auth/error"): REDIRECTED,
    # Pages
    ("GET", "/"): ANYONE,
    ("GET", "/about"): ANYONE,
    ("GET", "/static/<digest>/<name>"): Decision(404, 404),
    ("GET", "/signin"): Decision(200, 302),
    ("GET", "/signout"): Decision(302, 200),
    ("GET", "/sessions"): Decision(302, 200),
    # For forms only: programs have /api/sessions.
    ("POST", "/sessions"): Decision(302, 415),
    ("GET", "/sessions/<session_id>"): THEIR_PAGE,
    ("GET", "/invites/<token>"): THEIR_PAGE,
}
CHANGING: Final = [route for route in ROUTES if route[0] != "GET"]
FORMS: Final = [route for route in CHANGING if route[1] == "/sessions" or route[1].startswith("/api/auth/")]
"""What pages' own forms are sent to, with a CSRF token."""


def path_of(rule: str, values: dict[str, str]) -> str:
    """The rule's path with its variables filled in."""
    return re.sub(r"<(?:[^<>:]+:)?(\w+)>", lambda variable: values.get(variable[1], "github"), rule)


def variables_of(rule: str) -> set[str]:
    """The names of the rule's variables."""
    return set(re.findall(r"<(?:[^<>:]+:)?(\w+)>", rule))


def documented(rule: str) -> str:
    """The rule as the OpenAPI document writes it."""
    return re.sub(r"<(?:[^<>:]+:)?(\w+)>", lambda variable: "{" + _camel(variable[1]) + "}", rule)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))
