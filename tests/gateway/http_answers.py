"""Plain HTTP with the gateway: a request, and the answer that ends the connection or opens a WebSocket."""

import json

from tests.clients import Bare
from tests.rooms import Stage


async def asked(stage: Stage, request: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    """The status, the headers and the JSON body of the answer to `request`, after which the connection ends."""
    async with await stage.bare() as bare:
        await bare.stream.send_all(request)
        return await answered(bare)


async def answered(bare: Bare) -> tuple[int, dict[str, str], dict[str, object]]:
    """The HTTP answer that `bare` gets."""
    status, *lines = (await bare.head()).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = b"" if status.split()[1] == "101" else await bare.rest()
    return int(status.split()[1]), headers, json.loads(body or b"{}")
