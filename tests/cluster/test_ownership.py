"""The judge of the logs finds two owners, and only where there were two."""

from typing import Any

import pytest

from tests.cluster.ownership import events_in, judge_owners


def renewed(gateway: str, until_s: float) -> dict[str, Any]:
    return {"event": "lease.renewed", "run": f"{gateway}:1", "until_s": until_s}


def room(gateway: str, event: str, at_s: float) -> dict[str, Any]:
    return {"event": f"room.{event}", "run": f"{gateway}:1", "room": "jam", "at_s": at_s}


BEGIN = [renewed("a", 10), room("a", "owned", 1)]


@pytest.mark.parametrize(
    ("then", "are_two"),
    [
        ([room("a", "not_owned", 5), renewed("b", 9), room("b", "owned", 6)], False),
        ([room("a", "not_owned", 7), renewed("b", 9), room("b", "owned", 6)], True),
        ([renewed("b", 13), room("b", "owned", 11)], False),
        ([renewed("a", 12), renewed("b", 13), room("b", "owned", 11)], True),
        ([room("a", "not_owned", 12), renewed("b", 13), room("b", "owned", 11)], False),
        ([renewed("b", 9), room("b", "owned", 6)], True),
    ],
)
def test_two_owners_are_found(then: list[dict[str, Any]], *, are_two: bool) -> None:
    """A gateway that stands still owns nothing once its lease is over, whenever it says so."""
    assert bool(judge_owners([*BEGIN, *then]).overlaps()) is are_two


def test_events_are_found_in_a_log() -> None:
    """Among lines of other kinds."""
    lines = ["ws://127.0.0.1:8080", '{"event": "room.owned", "room": "jam"}', '{"event": "lease.stale"}']
    assert events_in(lines) == [{"event": "room.owned", "room": "jam"}]
