"""Random JSON values, their nesting depth, and a client that reads a server's frame."""

import json
from typing import Any

from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.sampled_from(("[{", '"]', "\\", '\\"['))
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
)
names = st.text(min_size=1, max_size=20)


def read_frame(sent: bytes) -> dict[str, Any]:
    """The message that wsproto's client reads from this frame."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(sent)
    (event,) = client.events()
    assert isinstance(event, TextMessage)
    message = json.loads(event.data)
    assert isinstance(message, dict)
    return message


def naive_depth(value: object) -> int:
    """How deep `value` is nested, counted recursively."""
    match value:
        case list():
            return 1 + max(map(naive_depth, value), default=0)
        case dict():
            return 1 + max(map(naive_depth, value.values()), default=0)
        case _:
            return 0


def nested(levels: int, inner: str = "") -> str:
    """Arrays and objects in turn, this deep."""
    opening = "".join('{"a":' if level % 2 else "[" for level in range(levels))
    closing = "".join("}" if level % 2 else "]" for level in reversed(range(levels)))
    return opening + (inner or ("0" if levels and levels % 2 == 0 else "")) + closing
