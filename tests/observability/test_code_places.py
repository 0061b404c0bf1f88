"""Places in the code for logs: somebody's own call, and not the library that it ends in."""

import json

import pytest

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.observability.code_places import own_place


def test_the_place_is_the_innermost_call_of_somebodys_own() -> None:
    """Python's library, installed packages and this package are passed over; where nothing else is, they count."""

    def hook() -> None:
        """Somebody's own."""

    library, package, own, ours = (
        (function.__code__, line)
        for line, function in enumerate((json.dumps, pytest.main, hook, RoomActor.run_turn), 1)
    )
    name = "test_the_place_is_the_innermost_call_of_somebodys_own.<locals>.hook"
    assert own_place([library, package, own, ours]) == f"{__file__}:3 in {name}"
    assert own_place([library, ours]).endswith("json/__init__.py:1 in dumps")
    assert own_place([]) == ""
