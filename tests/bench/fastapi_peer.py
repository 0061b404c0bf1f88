"""What one would write with FastAPI, asyncpg and redis-py in an afternoon: what the web is measured against.

usage: python -m tests.bench.fastapi_peer SOCKET_FD     (DATABASE_URL and REDIS_URL in the environment)

The same two answers by the same query and the same script, without the rest: no host check, no request id, no spans.
"""

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import uvicorn
from fastapi import Cookie, FastAPI, HTTPException
from redis.asyncio import Redis

from omnisonic.identity.logins import LoginCookies, login_id
from omnisonic.stores.presence.valkey_scripts import READ_ROOM
from omnisonic.studio.sessions.session_statements import GET

cookies = LoginCookies(os.environ["NEXTAUTH_SECRET"], secure=False)
stores: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Open both stores, as their documentation shows it."""
    stores["postgres"] = await asyncpg.create_pool(os.environ["DATABASE_URL"])
    stores["redis"] = Redis.from_url(os.environ["REDIS_URL"])
    yield
    await stores["postgres"].close()
    await stores["redis"].aclose()


app = FastAPI(lifespan=lifespan)


@app.get("/api/sessions")
async def session(id: str, omnisonic: str = Cookie()) -> dict[str, Any]:  # noqa: A002 - the contract's name
    """One session, for whoever has a role in it."""
    token = cookies.load(omnisonic)
    if token is None:
        raise HTTPException(401)
    row = await stores["postgres"].fetchrow(GET, login_id(token), id)
    if row is None:
        raise HTTPException(404)
    return {"session": dict(row)}


@app.get("/api/presence")
async def presence(roomId: str) -> dict[str, Any]:  # noqa: N803 - the contract's name
    """Everyone in a room."""
    entries = await stores["redis"].eval(READ_ROOM, 1, f"omnisonic:presence:room:{roomId}")
    members: dict[str, Any] = {}
    for _key, json, _left_ms in entries:
        found = msgspec.json.decode(json)
        for member in found if isinstance(found, list) else [found]:
            members.setdefault(member["memberId"], member)
    return {"members": sorted(members.values(), key=lambda member: str(member["memberId"]))}


if __name__ == "__main__":
    listener = socket.socket(fileno=int(sys.argv[1]))
    config = uvicorn.Config(app, http="h11", loop="asyncio", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])
