"""Redaction: each place where a secret stands in what is written down, and what must stay readable."""

import pytest

from omnisonic.redaction import HIDDEN, redacted, redacted_text


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://omnisonic:canary@10.0.0.5:5432/omnisonic?sslmode=require",
        "redis://:canary@valkey:6379/0",
        "GET /?roomId=jam&ticket=canary&memberId=ada",
        "Sec-WebSocket-Protocol: omnisonic, ticket.canary",
        "said with osk_canary-canary",
        "GET /api/auth/callback/github?code=canary&state=canary",
        "callback?state=canary",
        "code_verifier: grant_type=authorization_code&code_verifier=canary&client_secret=canary",
        "/invites/canary",
        "https://studio.example/invites/can-ary_canary opened",
        "GET /api/listen/can-ary_canary/audio and /listen/canary",
        "Cookie: __Host-omnisonic=canary; other=canary",
        "Authorization: Bearer canary",
        '{"csrfToken": "canary", "password": "canary"}',
        "id_token=canary",
        "GET /files/canary.can-ary_canary 200",
        "https://studio.example/files/canary?download=1",
        "omnisonic=canary",
        "omnisonic=canary.canary.canary; theme=dark",
        "__Host-omnisonic=canary",
        "omnisonic.csrf=canary",
        "jar: omnisonic='canary'",
        "https://s3.example/stems/uploads/1?X-Amz-Credential=canary%2F20261127%2Feu&X-Amz-Signature=canary&X-Amz-Date=1",
        "{'X-Amz-Signature': 'canary', 'X-Amz-Credential': 'canary/eu'}",
        "https://s3.example/stems/1?AWSAccessKeyId=canary&Signature=canary%3D&Expires=1",
    ],
)
def test_a_secret_in_a_text_is_hidden(text: str) -> None:
    """Wherever it usually stands."""
    hidden = redacted_text(text)
    assert "canary" not in hidden
    assert HIDDEN in hidden


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:3000/sessions/1f0c?limit=10",
        "ws.close code=4003 status=ok",
        "/api/sessions/1f0c/invites",
        "The database at 10.0.0.5:5432 cannot be reached.",
        "error code 4003",
        "Omnisonic Studio 0.1.0 is running.",
        "omnisonic: Port 3000 is in use on 127.0.0.1; set WEB_PORT, or stop the other program.",
        "part=omnisonic gateway",
        "/api/upload/files",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """A log that hides everything tells nothing."""
    assert redacted_text(text) == text


@pytest.mark.parametrize(
    "name",
    ["password", "nextauth_secret", "ADMIN_TOKEN", "csrfToken", "client_secret", "ticket", "Cookie", "access_key"],
)
def test_what_is_called_like_a_secret_is_hidden_whole(name: str) -> None:
    """Whatever it looks like, however deep it lies."""
    assert redacted({"settings": [{name: "plain words"}]}) == {"settings": [{name: HIDDEN}]}
