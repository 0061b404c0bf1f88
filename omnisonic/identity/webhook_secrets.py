"""Secrets and signatures of webhooks, as Standard Webhooks 1.0 has them (standardwebhooks.com). Pure.

The secret of a webhook is derived from the signing secret and a random salt, so that neither the database nor a backup
of it holds one. A digest of it tells whether the signing secret is still the same.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final, NamedTuple

from omnisonic.identity.signing import Secret, believed_secrets

PREFIX: Final = "whsec_"
SALT_BYTES: Final = 32
PURPOSE: Final = b"omnisonic webhook\0"


class WebhookSecret(NamedTuple):
    """The secret of one webhook, and what is stored of it."""

    secret: str
    salt: bytes
    digest: bytes


def make_webhook_secret(signing_secret: Secret) -> WebhookSecret:
    """A new secret, derived from the signing secret that signs now."""
    salt = secrets.token_bytes(SALT_BYTES)
    secret = _derive(believed_secrets(signing_secret)[-1], salt)
    return WebhookSecret(secret, salt, _digest(secret))


def find_webhook_secret(signing_secret: Secret, salt: bytes, digest: bytes) -> str | None:
    """The secret that has this salt and digest. None when the signing secret has been changed since, and forgotten."""
    for believed in believed_secrets(signing_secret):
        secret = _derive(believed, salt)
        if hmac.compare_digest(_digest(secret), digest):
            return secret
    return None


def sign_webhook(secret: str, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The headers that sign a message.

    Args:
        secret: The webhook's secret.
        message_id: The same for each attempt to deliver the message.
        timestamp_s: When this attempt is made, in seconds since 1970.
        body: The body of the request.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{signature}",
    }


def _derive(signing_secret: str, salt: bytes) -> str:
    key = hmac.digest(signing_secret.encode(), PURPOSE + salt, "sha256")
    return PREFIX + base64.b64encode(key).decode()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
