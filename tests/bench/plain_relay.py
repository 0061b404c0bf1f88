"""The relay that one would write with trio-websocket in an afternoon: what the gateway is measured against.

usage: python -m tests.bench.plain_relay     (prints its port)
"""

import json
from urllib.parse import parse_qs, urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

rooms: dict[str, dict[str, WebSocketConnection]] = {}


async def relay(request: WebSocketRequest) -> None:
    """One member: everything they say goes to the others in their room."""
    query = parse_qs(urlsplit(request.path).query)
    name, me = query["roomId"][0], query["memberId"][0]
    websocket = await request.accept()
    room = rooms.setdefault(name, {})
    room[me] = websocket
    await websocket.send_message(json.dumps({"type": "welcome", "payload": {"roomId": name}}))
    try:
        while True:
            said = json.loads(await websocket.get_message())
            message = json.dumps({"type": said["type"], "payload": said.get("payload"), "from": me})
            for member, other in list(room.items()):
                if member != me:
                    await other.send_message(message)
    except ConnectionClosed:
        del room[me]


async def main() -> None:
    """Serve on a free port until killed."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, relay, "127.0.0.1", 0, None)
        print(server.port, flush=True)


if __name__ == "__main__":
    trio.run(main)
