"""Secrets and signatures of webhooks, against the example of Standard Webhooks."""

import json

import pytest

from omnisonic.errors import InvalidInput
from omnisonic.identity.signing import ChangedSecret
from omnisonic.identity.webhook_secrets import find_webhook_secret, make_webhook_secret, sign_webhook
from omnisonic.studio.webhooks.sender import check_webhook_url


def test_a_message_is_signed_as_others_verify_it() -> None:
    """Secret, message and signature are those that libraries for Standard Webhooks are tested with."""
    headers = sign_webhook(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_secret_is_found_again_until_the_signing_secret_is_forgotten() -> None:
    """Each webhook has its own. After a change, the old signing secret is believed as long as it is set."""
    made, other = make_webhook_secret("old"), make_webhook_secret("old")
    assert made.secret != other.secret
    assert made.secret not in json.dumps([made.salt.hex(), made.digest.hex()])
    find = (made.salt, made.digest)
    assert find_webhook_secret("old", *find) == made.secret
    assert find_webhook_secret(ChangedSecret("new", previous="old"), *find) == made.secret
    assert find_webhook_secret("new", *find) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://10.0.0.8:8443/hooks?from=studio",
        "http://localhost:9000/",
        "http://[::1]:1/x",
        "https://example.com:65535/",
    ],
)
def test_events_may_go_to_https_and_to_this_machine(url: str) -> None:
    assert check_webhook_url(url) == url


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("http://example.com/hooks", "Use https://"),
        ("http://10.0.0.8/", "Use https://"),
        ("http://localhost.example.com/", "Use https://"),
        ("ftp://example.com/", "begins with https://"),
        ("example.com/hooks", "begins with https://"),
        ("https:///hooks", "begins with https://"),
        ("https://ada:secret@example.com/", "no user, password"),
        ("https://example.com/#here", "no user, password"),
        ("https://example.com/\n", "no URL"),
        ("https://example.com:none/", "no URL"),
        ("https://127.0.0.1:65536/", "from 1 to 65535"),
        ("https://example.com:99999/", "from 1 to 65535"),
        ("https://example.com:0/", "from 1 to 65535"),
        ("https://example.com:-1/", "from 1 to 65535"),
        ("https://example.com/" + "x" * 2048, "at most 2048"),
    ],
)
def test_events_do_not_go_elsewhere(url: str, advice: str) -> None:
    """Each is refused with a sentence that says what to do."""
    with pytest.raises(InvalidInput) as wrong:
        check_webhook_url(url)
    assert advice in wrong.value.message
    assert wrong.value.code == "invalid_url"
