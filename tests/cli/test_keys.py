"""`omnisonic keys`, on a real database."""

import json

from tests.cli.running import completed


def test_a_key_is_printed_once_listed_and_revoked(database_url: str) -> None:
    """The key alone is on standard output, for `$(…)`; the list and the log never have it."""
    made = completed("keys", "create", " my website ", DATABASE_URL=database_url)
    assert made.returncode == 0, made.stderr
    key = made.stdout.removesuffix("\n")
    assert key.startswith("osk_")
    assert "\n" not in key
    assert "not shown again" in made.stderr
    of_room = completed("keys", "create", "jukebox", "--room", "jam", "--json", DATABASE_URL=database_url)
    assert json.loads(of_room.stdout) | {"key": ""} == {"name": "jukebox", "room": "jam", "key": ""}
    listed = completed("keys", "ls", DATABASE_URL=database_url)
    assert listed.stdout == "my website  every room  never used\njukebox     room jam  never used\n2 keys.\n"
    assert completed("keys", "revoke", "my website", DATABASE_URL=database_url).returncode == 0
    (left,) = json.loads(completed("keys", "ls", "--json", DATABASE_URL=database_url).stdout)["keys"]
    assert (left["name"], left["room"], left["lastUsedAt"]) == ("jukebox", "jam", None)


def test_what_cannot_be_done_with_keys_is_said_in_a_sentence(database_url: str) -> None:
    """A name that is taken, one that is not there, and ones that are none."""
    assert completed("keys", "create", "site", DATABASE_URL=database_url).returncode == 0
    sentences = {
        ("create", "site"): "There is a key named site. Choose another name, or revoke that key first.",
        ("revoke", "sight"): "There is no key named sight. `omnisonic keys ls` lists them.",
    }
    for arguments, sentence in sentences.items():
        shown = completed("keys", *arguments, DATABASE_URL=database_url)
        assert (shown.returncode, shown.stdout, shown.stderr) == (1, "", f"omnisonic: {sentence}\n")
    for wrong in (["create", " "], ["create", "x", "--room", ""]):
        shown = completed("keys", *wrong, DATABASE_URL=database_url)
        assert (shown.returncode, shown.stdout) == (1, "")
        assert shown.stderr.startswith("omnisonic: ")
