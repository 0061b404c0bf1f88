"""The checks of `omnisonic doctor`. Each returns a sentence, or raises `CheckFailed` or another `OmnisonicError`."""

import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from omnisonic import compilation
from omnisonic.cli.check_failed import CheckFailed, CheckWarning
from omnisonic.cli.doctor_cluster import check_cluster
from omnisonic.cli.room_class import load_room_class
from omnisonic.cli.rooms.gateway_urls import local_gateway
from omnisonic.cli.service_urls import find_database_url, find_redis_url
from omnisonic.cli.storage import create_storage
from omnisonic.errors import BadSettings, Unavailable
from omnisonic.http.api.gateway import GatewayReadiness, host_header, local_url, open_probe_client
from omnisonic.http.core.http_client import httpx
from omnisonic.process.sandbox import missing_layers
from omnisonic.settings.data_directory import is_there
from omnisonic.settings.settings import Settings, known_variables
from omnisonic.settings.unknown import unknown_settings
from omnisonic.stores.bus import round_trip
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.database.migrations import status
from omnisonic.stores.room_memory.valkey import ValkeyRoomMemory
from omnisonic.stores.storage import Label, Storage
from omnisonic.stores.valkey import TIMEOUT_S, ValkeyClient
from omnisonic.studio.media.analyser import analyse_file

SLOW_S: Final = 2.0
"""How long each step with Redis may take here. The parts wait for `TIMEOUT_S`; longer than that is slow, but works."""
ROUND_TRIP_STEPS: Final = 3
"""To find the server, to subscribe, and to publish and receive."""
WEB_S: Final = 2.0
"""The web answers within this time, even when its gateway does not answer."""
MEND_STUCK: Final = (
    "`omnisonic serve` restarts a process that does not respond for 10 s. Otherwise look at its log, and restart it."
)
CONTENT: Final = b"Is anybody there?\n"
_KEY_BYTES: Final = 8

Check: TypeAlias = Callable[[Settings], Awaitable[str]]


async def check_settings(_settings: Settings) -> str:
    """No variable has a misspelled name."""
    if unknown := unknown_settings(os.environ, known_variables()):
        raise CheckWarning(" ".join(each.sentence() for each in unknown), "Correct the name, or remove the variable.")
    return "All variables that look like settings are known."


async def check_room_access(settings: Settings) -> str:
    """Rooms are not open by mistake."""
    if settings.room_access == "open":
        raise CheckWarning(
            "ROOM_ACCESS=open: whoever reaches the gateway may enter any room that is no session's.",
            "Remove ROOM_ACCESS or set it to ticket, unless that is what you want.",
        )
    if settings.access == "open":
        return "Rooms that are no session's are open: this is development, and only this machine reaches them."
    return "Rooms are entered by ticket, by those who have a role in the session."


async def check_room_class(settings: Settings) -> str:
    """The class of the rooms can be imported."""
    if settings.gateway_rooms is None:
        return "Rooms are the studio's own."
    await asyncio.to_thread(load_room_class, settings.gateway_rooms)
    return f"Each room is a {settings.gateway_rooms}."


async def check_build(_settings: Settings) -> str:
    """The compiled build runs, if there is one."""
    build = compilation.current_build()
    if build.is_compiled:
        return "Rooms run compiled."
    if build.mend:
        raise CheckWarning(f"Rooms run as plain Python. {build.reason}", build.mend)
    return f"Rooms run as plain Python. {build.reason}"


async def check_sign_in(settings: Settings) -> str:
    """People can sign in, and safely."""
    settings.check_sign_in()
    ways = [*settings.providers_on, *(["e-mail and password"] if settings.credentials_on else [])]
    return f"People sign in by {' or '.join(ways)}."


async def check_database(settings: Settings) -> str:
    """The database answers, and has all migrations."""
    began_s = time.perf_counter()
    steps = await status(find_database_url(settings))
    took_ms = (time.perf_counter() - began_s) * 1000
    if waiting := sum(applied_at is None for _, applied_at in steps):
        raise CheckFailed(f"{waiting} of {len(steps)} migrations are waiting.", "Run `omnisonic migrate`.")
    return f"It answers in {took_ms:.0f} ms, and all {len(steps)} migrations are applied."


async def check_redis(settings: Settings) -> str:
    """Redis delivers what is published, and tells whether it was restarted."""
    url = find_redis_url(settings)
    if url is None:
        raise CheckFailed(
            "No Redis is configured or running.", "Set REDIS_URL, or start `omnisonic serve`, which runs one."
        )
    client, bus = ValkeyClient(url, timeout_s=SLOW_S), ValkeyBus(url, timeout_s=SLOW_S)
    memory = ValkeyRoomMemory(url, timeout_s=SLOW_S)
    try:
        place = await _describe_redis(client)
        began_s = time.perf_counter()
        await round_trip(bus)
        took_s = time.perf_counter() - began_s
        knows_run = await memory.knows_run()
    finally:
        for each in (client, bus, memory):
            await each.aclose()
    if not knows_run:
        raise CheckWarning(
            "It does not tell whether it was restarted: after each restart of the gateway, rooms tell of a gap.",
            "Permit the user in REDIS_URL the command INFO.",
        )
    received = f"What is published is received, in {took_s * 1000:.0f} ms"
    if took_s > ROUND_TRIP_STEPS * TIMEOUT_S:
        raise CheckWarning(
            f"{received}, in three steps: the parts wait {TIMEOUT_S * 1000:.0f} ms for each.",
            "See what keeps the Redis server, or this machine, busy.",
        )
    return f"{received}{place}."


async def _describe_redis(client: ValkeyClient) -> str:
    """How many servers of a cluster answer, as the end of a sentence. Errors: `CheckFailed`, `Unavailable`."""
    count = await client.count_servers()
    if not await client.is_cluster():
        return ""
    if not count:
        raise CheckFailed("No server of the cluster has any keys.", "Give its slots to its servers.")
    return f"; it is a cluster, and its {count} servers that have keys answer"


async def check_storage(settings: Settings) -> str:
    """The storage keeps an object, and its link works."""
    if settings.storage_type == "local" and not is_there(settings.local_storage_dir):
        return _describe_missing_folder(settings.local_storage_dir.absolute())
    storage = create_storage(settings)
    # Not in a folder of its own, which would remain.
    key = f"doctor-{secrets.token_hex(_KEY_BYTES)}"
    try:
        try:
            link = await _try_storage(storage, key)
        finally:
            await storage.delete(key)
    finally:
        await storage.aclose()
    place = settings.local_storage_dir.absolute() if settings.storage_type == "local" else settings.storage_type
    links = "links go to it directly" if link else "links go to the web"
    return f"An object was put into {place}, read and deleted; {links}."


def _describe_missing_folder(folder: Path) -> str:
    """The sentence for a storage folder that does not exist yet. Raises `CheckFailed` when it cannot be created."""
    above = next(parent for parent in folder.parents if is_there(parent))
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise CheckFailed(
            f"The folder {folder} is not there, and cannot be made by this user.",
            "Make it, or set OMNISONIC_DATA_DIR or STORAGE_LOCAL_DIR to another place.",
        )
    return f"The folder {folder} is not there yet; it is made when it is needed."


async def _try_storage(storage: Storage, key: str) -> bool:
    """Put an object, read it, and fetch it by its link. Returns whether the storage has links."""

    async def content() -> AsyncIterator[bytes]:
        yield CONTENT

    label = Label("text/plain", "doctor.txt")
    await storage.put(key, content(), label)
    read = b"".join([chunk async for chunk in storage.read(key)])
    if read != CONTENT:
        raise CheckFailed("The object that was read differs from the one that was put.", "Use another storage.")
    if (link := await storage.link(key, label)) is None:
        return False
    try:
        async with httpx.AsyncClient() as client:
            fetched = await client.get(link)
    except httpx.HTTPError as problem:
        raise CheckFailed(
            f"A link to it cannot be fetched ({type(problem).__name__}).", "See that browsers can reach its endpoint."
        ) from problem
    if fetched.content != CONTENT:
        raise CheckFailed(
            f"A link to it answers {fetched.status_code}.", "See that its clock and its region are right."
        )
    return True


async def check_decoders(_settings: Settings) -> str:
    """Decoders of audio start in their sandbox."""
    with tempfile.TemporaryFile() as nothing:
        await analyse_file(nothing, at_idle_priority=False)
    if missing := missing_layers():
        return f"They run in a sandbox without {' and '.join(missing)}, which this system does not have."
    return "They run in a sandbox: no files, no network, no other processes."


async def check_web(settings: Settings) -> str:
    """The web answers, if it runs here."""
    port, url = settings.web_port, local_url(settings.web_host, settings.web_port)
    if not await _listens(url):
        return f"Nothing listens on port {port}."
    try:
        async with asyncio.timeout(WEB_S), open_probe_client() as client:
            ready = await client.get(f"{url}/readyz", headers=host_header(settings), timeout=WEB_S)
    except (TimeoutError, httpx.TimeoutException):
        raise CheckFailed(f"It listens on port {port}, but does not answer within {WEB_S:g} s.", MEND_STUCK) from None
    except httpx.HTTPError as problem:
        raise CheckFailed(
            f"What listens on port {port} does not speak HTTP.", "Stop it, or set WEB_PORT to another port."
        ) from problem
    if ready.status_code != httpx.codes.OK:
        raise CheckFailed(
            f"It listens on port {port}, but is not ready ({ready.status_code}{_web_error(ready)}).",
            "See the other checks.",
        )
    return f"It listens on port {port}, and is ready."


def _web_error(answer: httpx.Response) -> str:
    """The error that the web reports, if it does."""
    with suppress(ValueError, KeyError, TypeError):
        return f": {str(answer.json()['error']).rstrip('.')}"
    return ""


async def check_gateway(settings: Settings) -> str:
    """The gateway answers, and its rooms respond."""
    try:
        url = f"http{local_gateway(settings).removeprefix('ws')}"
    except BadSettings:
        return "GATEWAY_PORT is 0, and `omnisonic serve` does not run here."
    port = urlsplit(url).port
    async with open_probe_client() as client:
        if await _listens(url):
            gateway = GatewayReadiness(client, f"{url}/readyz", headers=host_header(settings))
            place = f"It listens on port {port}"
        elif settings.gateway_public_url is not None:
            gateway = GatewayReadiness(client, f"http{settings.gateway_public_url.removeprefix('ws')}", is_public=True)
            place = f"It is at {settings.gateway_public_url}"
        else:
            return f"Nothing listens on port {port}."
        try:
            await gateway.check()
        except Unavailable as problem:
            raise CheckFailed(f"{place}, but: {problem.message}", MEND_STUCK) from problem
    return f"{place}, and its rooms respond."


async def _listens(url: str) -> bool:
    """Whether the port accepts connections. The kernel does so even for a process that does not respond."""
    place = urlsplit(url)
    try:
        async with asyncio.timeout(WEB_S):
            _, writer = await asyncio.open_connection(place.hostname, place.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


CHECKS: Final[dict[str, tuple[Check, str]]] = {
    "settings": (check_settings, "Correct the name, or remove the variable."),
    "rooms": (check_room_access, "Remove ROOM_ACCESS, or set it to ticket."),
    "class": (check_room_class, "Correct GATEWAY_ROOMS, or run in the folder of its module, or install it."),
    "build": (check_build, "Run `bin/compile`."),
    "sign-in": (check_sign_in, "Set the variable, or give it another value."),
    "database": (check_database, "Start `omnisonic serve`, or see that DATABASE_URL is right and its server runs."),
    "redis": (check_redis, "Start `omnisonic serve`, or see that REDIS_URL is right and its server runs."),
    "storage": (check_storage, "See that STORAGE_TYPE and its settings are right and its server runs."),
    "decoders": (
        check_decoders,
        "Let the worker drop root's rights (CAP_SETUID, CAP_SETGID), or run as an ordinary user.",
    ),
    "web": (check_web, "Look at what `omnisonic serve` prints under web."),
    "cluster": (check_cluster, "See that REDIS_URL is right and its server runs."),
    "gateway": (check_gateway, "Look at what `omnisonic serve` prints under gateway."),
}
"""Each check by its name, and what to do when it fails without saying so itself."""
