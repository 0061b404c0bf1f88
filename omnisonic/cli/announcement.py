"""What a part that runs alone says once it is in service: where it is, on standard output."""

from collections.abc import Callable
from functools import partial

from omnisonic.observability.log_lines import json_line
from omnisonic.settings.settings import Settings


def announcement(settings: Settings, part: str, text: str, **fields: object) -> Callable[[], None]:
    """What to call then: it prints `text`, or where logs are JSON the event `part.ready` with these fields."""
    line = json_line(part, "part.ready", fields) if settings.logs_json else text
    return partial(print, line, flush=True)
