"""Secrets that could be guessed are told from random ones, whatever their length."""

import secrets
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from omnisonic.settings.secret_strength import SIGNING_BYTES, TOKEN_BYTES, secret_problems

WORDS = ("changeme", "secret", "Password", "your", "placeholder", "NEXTAUTH", "admin", "token", "123456", "qwerty")


def problems(secret: str, least_bytes: int = SIGNING_BYTES) -> list[str]:
    """What is said about this secret."""
    return secret_problems("A_SECRET", SecretStr(secret), least_bytes)


def is_one_sentence_about(reported: list[str], secret: str) -> bool:
    """That names the variable, says how to make a good one, and does not repeat this one."""
    (sentence,) = reported
    return (
        sentence.startswith("A_SECRET is too easy to guess: ")
        and sentence.endswith("`openssl rand -hex 32` makes a good one.")
        and (len(secret) < 6 or secret not in sentence)
    )


@pytest.mark.parametrize(
    "secret",
    [
        "changeme-changeme-changeme-changeme",
        "abcabcabcabcabcabcabcabcabcabcabcabcabcabc",
        "xabcdefghabcdefghabcdefghabcdefghabcdefgh",
        "your-super-secret-key-goes-here-please-change-it",
        "changeme1changeme2changeme3changeme4",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "zyxwvutsrqponmlkjihgfedcba9876543210",
        "qwertyuiopasdfghjklzxcvbnm1234567890",
        "correct horse battery staple correct horse",
        "replace-me-with-openssl-rand-hex-32-output",
        "\u00e9" * 40,
    ],
)
def test_a_secret_that_somebody_typed_is_refused(secret: str) -> None:
    """Repeated, counted up or down, a row of the keyboard, or a word that stands in for a secret."""
    assert is_one_sentence_about(problems(secret), secret)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=11), st.integers(2, 40), st.text(max_size=3))
def test_what_repeats_itself_is_refused(unit: str, times: int, end: str) -> None:
    """Whatever is repeated, and however often, and whatever stands behind it."""
    secret = unit * times + end
    assert is_one_sentence_about(problems(secret), secret)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), st.sampled_from("-_ .!0"))
def test_placeholder_words_are_refused(words: list[str], between: str) -> None:
    """In any order, and with anything between them."""
    secret = between.join(words)
    assert is_one_sentence_about(problems(secret), secret)


@given(st.binary(max_size=31).map(lambda data: data.decode("latin-1").encode("ascii", "replace").decode()))
def test_what_is_short_is_refused(secret: str) -> None:
    """However random it is."""
    assert is_one_sentence_about(problems(secret), secret)


@pytest.mark.parametrize(
    ("make", "least_bytes"),
    [
        (lambda: secrets.token_hex(32), SIGNING_BYTES),
        (lambda: secrets.token_hex(16), SIGNING_BYTES),
        (lambda: secrets.token_urlsafe(32), SIGNING_BYTES),
        (lambda: secrets.token_urlsafe(24), SIGNING_BYTES),
        (lambda: secrets.token_urlsafe(32), TOKEN_BYTES),
    ],
    ids=["hex 32", "hex 16", "base64 32", "base64 24", "as serve makes it"],
)
def test_random_secrets_are_taken(make: Callable[[], str], least_bytes: int) -> None:
    """A thousand of each kind that the documents tell people to make."""
    made = [make() for _ in range(1000)]
    assert [secret for secret in made if problems(secret, least_bytes)] == []


def test_a_secret_that_is_not_set_is_told_so() -> None:
    """With the same advice."""
    assert secret_problems("A_SECRET", None, SIGNING_BYTES) == [
        "A_SECRET is not set, and production needs it: `openssl rand -hex 32` makes a good one."
    ]
