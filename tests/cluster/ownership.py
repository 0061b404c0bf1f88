"""Who owned which room when, as the logs of gateways tell (`omnisonic.actors.cluster.owner_log`)."""

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from omnisonic.actors.cluster import owner_log as owner_log_module
from tests.stores.adversary import Judge, Turn

EVENTS: Final = ("lease.renewed", "room.owned", "room.not_owned")


def events_in(lines: Iterable[str]) -> list[Mapping[str, Any]]:
    """The events in the log of a gateway with `LOG_FORMAT=json` and `LOG_LEVEL=debug`."""
    return [json.loads(line) for line in lines if any(f'"{event}"' in line for event in EVENTS)]


class OwnerLog(logging.Handler):
    """The events of all gateways in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Mapping[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append(vars(record) | {"event": record.msg})


@contextmanager
def owner_log() -> Iterator[OwnerLog]:
    """Write down who owns what in this process, until the block ends."""
    logger, handler = logging.getLogger(owner_log_module.__name__), OwnerLog()
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def judge_owners(events: Iterable[Mapping[str, Any]]) -> Judge:
    """Judge the events of all gateways; those of each in their order. Each has the name before the `:` of its runs.

    A gateway owned a room from `room.owned` to `room.not_owned`, but only while a renewal said that it might.
    """
    owned: dict[tuple[str, str], float] = {}
    valid_until_s: dict[str, float] = {}
    judge = Judge()

    def end(run: str, room: str, at_s: float) -> None:
        since_s = owned.pop((run, room), math.inf)
        judge.note(room, Turn(run.partition(":")[0], since_s, min(at_s, valid_until_s[run])))

    for event in events:
        run = event["run"]
        match event["event"]:
            case "lease.renewed":
                valid_until_s[run] = event["until_s"]
            case "room.owned":
                owned.setdefault((run, event["room"]), event["at_s"])
            case "room.not_owned":
                end(run, event["room"], event["at_s"])
    for run, room in list(owned):
        end(run, room, math.inf)
    return judge
