"""Every route of the web, and what is decided there about those whom it does not belong to."""

import re
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Route: TypeAlias = tuple[str, str]
OTHERWISE: Final = {"provider": "github", "number": "0"}
UNKNOWN: Final = "00000000-0000-4000-8000-00000000dead"
"""A well-formed id of nothing."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a stranger gets, and what somebody gets who is signed in, where what is asked for is another user's.

    `ask` is the query or the body of a request that is right but for who sends it, with the path's variables in braces;
    with `file` it is a form that carries a file, and with `headers` there is no body.
    """

    stranger: int
    other: int
    ask: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    file: bytes | None = None

    def asked(self, values: dict[str, str]) -> dict[str, Any]:
        """`ask` with its values filled in."""
        return {key: value.format(**values) if isinstance(value, str) else value for key, value in self.ask.items()}


ANYONE: Final = Decision(200, 200)
REDIRECTED: Final = Decision(302, 302)
THEIR_PAGE: Final = Decision(302, 404)
OWNERS: Final = Decision(401, 404)

UPLOAD: Final = "/api/upload/<id(length=36):upload_id>"
EXPORT: Final = "/api/export/<id(length=36):export_id>"
COMMENT: Final = "/api/comments/<id:comment_id>"
MARKER: Final = "/api/sessions/<id:session_id>/markers/<id:marker_id>"
LISTEN: Final = "/api/listen/<token>"
TUS_UPLOAD: Final = "/api/upload/tus/<id(length=36):upload_id>"
TUS: Final = {
    "Tus-Resumable": "1.0.0",
    "Content-Type": "application/offset+octet-stream",
    "Upload-Offset": "0",
    "Upload-Metadata": "filename YmFzcy53YXY=",
}
SOUND: Final = b"RIFF\x24\x00\x00\x00WAVEfmt "

ROUTES: Final[dict[Route, Decision]] = {
    # Health, and what describes the rest
    ("GET", "/healthz"): ANYONE,
    ("GET", "/readyz"): ANYONE,
    # For programs on this machine; where nothing is measured there is nothing to read
    ("GET", "/metrics"): Decision(404, 404),
    ("GET", "/api/openapi.json"): ANYONE,
    ("GET", "/api/asyncapi.json"): ANYONE,
    # Rosters, where rooms are entered with tickets
    ("GET", "/api/presence"): Decision(401, 404, {"roomId": "{room_id}"}),
    ("POST", "/api/presence"): Decision(401, 404, {"roomId": "{room_id}", "memberId": "ada", "displayName": "Ada"}),
    ("DELETE", "/api/presence"): Decision(401, 404, {"roomId": "{room_id}", "memberId": "ada"}),
    ("GET", "/api/rooms/<path:room_id>/messages"): OWNERS,
    # Sessions; everybody may have some of their own
    ("GET", "/api/sessions"): Decision(401, 404, {"id": "{session_id}"}),
    ("POST", "/api/sessions"): Decision(401, 201),
    ("PATCH", "/api/sessions/<id:session_id>"): Decision(401, 404, {"name": "mine"}),
    ("DELETE", "/api/sessions/<id:session_id>"): OWNERS,
    ("POST", "/api/sessions/<id:session_id>/invites"): OWNERS,
    ("GET", "/api/sessions/<id:session_id>/invites"): OWNERS,
    ("DELETE", "/api/sessions/<id:session_id>/invites"): OWNERS,
    ("DELETE", "/api/sessions/<id:session_id>/invites/<id:invite_id>"): OWNERS,
    # Whoever has a link may look at what it offers.
    ("GET", "/api/invites/<token>"): Decision(404, 404),
    ("POST", "/api/invites/<token>"): OWNERS,
    ("GET", "/api/sessions/<id:session_id>/collaborators"): OWNERS,
    ("PATCH", "/api/sessions/<id:session_id>/collaborators/<id:user_id>"): Decision(401, 404, {"role": "listener"}),
    ("DELETE", "/api/sessions/<id:session_id>/collaborators/<id:user_id>"): OWNERS,
    ("POST", "/api/sessions/<id:session_id>/ownership"): Decision(401, 404, {"userId": "{user_id}"}),
    ("POST", "/api/sessions/<id:session_id>/seen"): OWNERS,
    ("GET", "/api/sessions/<id:session_id>/stems.zip"): OWNERS,
    ("GET", "/api/sessions/<id:session_id>/activity"): OWNERS,
    ("POST", "/api/sessions/<id:session_id>/activity/<id:event_id>/undo"): OWNERS,
    ("GET", "/api/sessions/<id:session_id>/comments"): OWNERS,
    ("POST", "/api/sessions/<id:session_id>/comments"): Decision(401, 404, {"text": "Louder."}),
    ("PATCH", COMMENT): Decision(401, 404, {"resolved": True}),
    ("DELETE", COMMENT): OWNERS,
    ("GET", "/api/sessions/<id:session_id>/markers"): OWNERS,
    ("POST", "/api/sessions/<id:session_id>/markers"): Decision(401, 404, {"name": "Chorus", "atBeat": 64}),
    ("PATCH", MARKER): Decision(401, 404, {"atBeat": 32}),
    ("DELETE", MARKER): OWNERS,
    # Uploads; everybody may have some of their own
    ("POST", "/api/upload"): Decision(401, 404, {"sessionId": "{session_id}"}, file=SOUND),
    ("GET", "/api/upload/list"): Decision(401, 404, {"sessionId": "{session_id}"}),
    ("GET", UPLOAD): OWNERS,
    ("PATCH", UPLOAD): Decision(401, 404, {"gainDb": -6}),
    ("DELETE", UPLOAD): OWNERS,
    ("POST", f"{UPLOAD}/delete"): OWNERS,
    ("POST", f"{UPLOAD}/restore"): OWNERS,
    ("GET", f"{UPLOAD}/peaks"): OWNERS,
    ("GET", f"{UPLOAD}/cover"): OWNERS,
    ("GET", f"{UPLOAD}/content"): OWNERS,
    ("GET", f"{UPLOAD}/segments"): OWNERS,
    ("GET", f"{UPLOAD}/segments/<number>"): OWNERS,
    ("GET", "/files/<signed>/<name>"): Decision(403, 403),
    ("OPTIONS", "/api/upload/tus"): Decision(204, 204),
    ("POST", "/api/upload/tus"): Decision(401, 201, headers=TUS | {"Upload-Length": "9"}),
    ("HEAD", TUS_UPLOAD): Decision(401, 404, headers=TUS),
    ("PATCH", TUS_UPLOAD): Decision(401, 404, headers=TUS),
    ("DELETE", TUS_UPLOAD): Decision(401, 404, headers=TUS),
    # Mixdowns
    ("POST", "/api/export"): Decision(401, 404, {"sessionId": "{session_id}"}),
    ("GET", "/api/export"): Decision(401, 404, {"sessionId": "{session_id}"}),
    ("DELETE", EXPORT): OWNERS,
    ("GET", f"{EXPORT}/download"): OWNERS,
    ("POST", f"{EXPORT}/shares"): OWNERS,
    ("GET", f"{EXPORT}/shares"): OWNERS,
    ("PATCH", f"{EXPORT}/shares/<id:share_id>"): OWNERS,
    ("DELETE", f"{EXPORT}/shares/<id:share_id>"): OWNERS,
    # For whoever has a link
    ("GET", LISTEN): Decision(404, 404),
    ("GET", f"{LISTEN}/audio"): Decision(404, 404),
    ("GET", f"{LISTEN}/download"): Decision(404, 404),
    ("GET", f"{LISTEN}/comments"): Decision(404, 404),
    ("POST", f"{LISTEN}/comments"): Decision(404, 404, {"name": "Gus", "text": "More bass."}),
    # Rooms
    ("POST", "/api/rooms/<path:room_id>/ticket"): OWNERS,
    ("POST", "/api/rooms/<path:room_id>/messages"): Decision(401, 404, {"type": "note"}),
    ("GET", "/api/rooms/<path:room_id>/events"): OWNERS,
    # For whoever knows the id of a stream
    ("DELETE", "/api/rooms/<path:room_id>/events"): Decision(404, 404),
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
    ("POST", "/api/auth/_log"): ANYONE,
    # Pages
    ("GET", "/"): ANYONE,
    ("GET", "/about"): ANYONE,
    ("GET", "/static/<digest>/<path:name>"): Decision(404, 404),
    ("GET", "/client/<name>"): Decision(404, 404),
    ("GET", "/signin"): Decision(200, 302),
    ("GET", "/signout"): Decision(302, 200),
    ("GET", "/sessions"): Decision(302, 200),
    # For forms only: programs have /api/sessions.
    ("POST", "/sessions"): Decision(302, 415),
    ("GET", "/sessions/<id:session_id>"): THEIR_PAGE,
    ("GET", "/invites/<token>"): THEIR_PAGE,
    ("GET", "/listen/<token>"): Decision(404, 404),
    # For the page's form only: programs have /api/invites.
    ("POST", "/invites/<token>"): Decision(302, 415),
}
CHANGING: Final = [route for route in ROUTES if route[0] not in ("GET", "HEAD", "OPTIONS")]
FORMS: Final = [
    route for route in CHANGING if route[1] in ("/sessions", "/invites/<token>") or route[1].startswith("/api/auth/")
]
"""What pages' own forms are sent to, with a CSRF token."""


PIECEWISE: Final = [route for route in CHANGING if route[1].startswith("/api/upload/tus")]
"""What takes bodies of any kind, and a header that no foreign page can send."""


VARIABLE: Final = re.compile(r"<(?:[^<>:]+:)?(\w+)>")


def path_of(rule: str, values: dict[str, str]) -> str:
    """The rule's path with its variables filled in."""
    return re.sub(VARIABLE, lambda variable: values.get(variable[1], OTHERWISE.get(variable[1], UNKNOWN)), rule)


def variables_of(rule: str) -> set[str]:
    """The names of the rule's variables."""
    return set(re.findall(VARIABLE, rule))


def documented(rule: str) -> str:
    """The rule as the OpenAPI document writes it."""
    return re.sub(VARIABLE, lambda variable: "{" + _camel(variable[1]) + "}", rule)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))
