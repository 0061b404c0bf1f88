"""Tokens for a LiveKit server: who may join which of its rooms, as whom (SPEC 2: `LIVEKIT_*`).

A token is a JWT with HS256, as LiveKit's documentation on authentication describes. Pure: no clock, no requests.
"""

from functools import partial
from typing import Final

from omnisonic.http.core.responses import LiveKit
from omnisonic.settings.settings import Settings

LIFE_S: Final = 60
"""How long a token is valid. LiveKit checks it once, on joining."""
SKEW_S: Final = 5


class LiveKitTokens:
    """Makes tokens for the server at `url`, with its key and secret."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        # Imported only where LiveKit is configured: this is a fifteenth of a start of the web.
        from joserfc import jwt
        from joserfc.jwk import OctKey

        self._url = url
        self._key = key
        self._encode = partial(jwt.encode, {"alg": "HS256", "typ": "JWT"}, key=OctKey.import_key(secret))

    @classmethod
    def of(cls, settings: Settings) -> "LiveKitTokens | None":
        """From the settings; None when LiveKit is not configured."""
        url, key, secret = settings.livekit_url, settings.livekit_api_key, settings.livekit_api_secret
        return cls(url, key, secret.get_secret_value()) if url and key and secret else None

    def token(self, *, room: str, member_id: str, display_name: str, now_s: float) -> LiveKit:
        """Make a token that lets `member_id` into `room`, from `now_s` on for `LIFE_S`."""
        claims = {
            "iss": self._key,
            "sub": member_id,
            "name": display_name,
            "nbf": int(now_s) - SKEW_S,
            "exp": int(now_s) + LIFE_S,
            "video": {"roomJoin": True, "room": room},
        }
        return LiveKit(self._url, self._encode(claims))
