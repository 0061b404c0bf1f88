"""Words of a document that are replaced by those of this machine."""

import pytest

from tests.system.printed import replaced


def test_what_is_put_in_is_not_replaced_again() -> None:
    """A port that begins with another port stays whole, in whatever order they come."""
    words = {"listen 443": "listen 127.0.0.1:30001", "127.0.0.1:3000": "127.0.0.1:4000", "127.0.0.1:30001": "other"}
    printed = "listen 443; to 127.0.0.1:3000; to 127.0.0.1:30001"
    assert replaced(printed, words) == "listen 127.0.0.1:30001; to 127.0.0.1:4000; to other"


def test_what_is_not_printed_cannot_be_replaced() -> None:
    """So no document changes without its test."""
    with pytest.raises(AssertionError, match="'8080' is not printed"):
        replaced("127.0.0.1:3000", {"8080": "1"})
