"""Sign-ins: a secret token in a signed cookie, and its digest in the database (SPEC 4). Pure.

The web sets the cookie with quart-auth. The gateway reads it here at the handshake, with the same serializer.
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

from omnisonic.identity.signing import Secret, believed_secrets
from omnisonic.models import LoginId
from omnisonic.wire.cookies import read_cookie

IDLE_S: Final = 12 * 60 * 60
"""A sign-in ends when it is not used for this long."""
LONGEST_S: Final = 30 * 24 * 60 * 60
"""A sign-in ends after this long in any case."""
TOUCH_S: Final = 300
"""The use of a sign-in is stored this often, so that most requests write nothing."""
TOKEN_BYTES: Final = 32
SALT: Final = "omnisonic login"


def new_token() -> str:
    """A new random token."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def login_id(token: str) -> LoginId:
    """The id of the sign-in with this token: SHA-256 in base64url, 43 characters."""
    return urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def cookie_name(*, secure: bool) -> str:
    """The name of the cookie; under https with the prefix `__Host-`, which browsers enforce (RFC 6265bis, 4.1.3)."""
    return "__Host-omnisonic" if secure else "omnisonic"


class LoginCookies:
    """Reads and writes the value of the sign-in's cookie, signed with `secret`."""

    def __init__(self, secret: Secret, *, secure: bool) -> None:
        self.name = cookie_name(secure=secure)
        # The same as quart-auth's own serializer makes.
        self._serializer = URLSafeTimedSerializer(
            believed_secrets(secret), SALT, signer_kwargs={"digest_method": hashlib.sha512}
        )

    def dump(self, token: str) -> str:
        """The cookie value for `token`."""
        return str(self._serializer.dumps(token))

    def load(self, value: str) -> str | None:
        """The token in a cookie value. None when its signature is wrong or too old."""
        try:
            token = self._serializer.loads(value, max_age=LONGEST_S)
        except BadData:
            return None
        return token if isinstance(token, str) else None

    def login_in(self, cookie_header: str) -> LoginId | None:
        """The sign-in in a `Cookie` header, or None."""
        value = read_cookie(cookie_header, self.name)
        token = None if value is None else self.load(value)
        return None if token is None else login_id(token)
