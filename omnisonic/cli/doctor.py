"""`omnisonic doctor`: everything that is configured, tried end to end, and what to do about what is wrong.

Each check is by itself and has `CHECK_S`; all run at once. It changes nothing: what is tried in the storage is an
object of its own, which is deleted again, and no folder is made. Nothing that is printed holds a secret.
"""

import asyncio
import json
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import typer

from omnisonic.cli.rooms.gateway_urls import local_gateway
from omnisonic.cli.service_urls import database_of, redis_of
from omnisonic.cli.storage import storage_of
from omnisonic.errors import BadSettings, OmnisonicError, Unavailable
from omnisonic.http.api.gateway import GatewayReadiness, host_header, local_url, open_probe_client
from omnisonic.observability.logs import configure_logs
from omnisonic.process.sandbox import missing_layers
from omnisonic.settings.settings import Settings, known_variables
from omnisonic.settings.unknown import unknown_settings
from omnisonic.stores.bus import round_trip
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.database.migrations import status
from omnisonic.stores.storage import Label, Storage, StorageRefused
from omnisonic.stores.valkey import TIMEOUT_S
from omnisonic.studio.media.analyser import analyse_file

CHECK_S: Final = 10.0
SLOW_S: Final = 2.0
"""How long each step with Redis may take here. The parts wait `TIMEOUT_S`; what takes longer is slow, and not away."""
ROUND_TRIP_STEPS: Final = 4
"""To connect, to subscribe, to publish, to receive."""
WEB_S: Final = 2.0
"""The web answers within this time, also when its gateway does not: that what stands still is told within 3 s."""
STANDS_STILL: Final = (
    "`omnisonic serve` starts again what stands still for 10 s; otherwise look at its log, and start it again."
)
CONTENT: Final = b"Is anybody there?\n"
_KEY_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one check: a sentence, and for what is wrong another one about how to mend it.

    What `is_warning` works, and is as somebody wanted it; but it may be a mistake.
    """

    name: str
    detail: str
    mend: str = ""
    is_warning: bool = False

    @property
    def is_well(self) -> bool:
        return not self.mend or self.is_warning


class Ailing(OmnisonicError):
    """A check found something wrong; `mend` says what to do."""

    is_warning = False

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


class Doubtful(Ailing):
    """A check found what works, but may be a mistake."""

    is_warning = True


def run(settings: Settings, *, as_json: bool) -> bool:
    """Check everything, print what was found, and say whether all is well."""
    configure_logs(settings, "doctor")
    findings = asyncio.run(_findings(settings))
    is_well = all(finding.is_well for finding in findings)
    if as_json:
        checks = [
            {
                "name": each.name,
                "ok": each.is_well,
                "warning": each.is_warning,
                "detail": each.detail,
                "mend": each.mend or None,
            }
            for each in findings
        ]
        typer.echo(json.dumps({"ok": is_well, "checks": checks}))
    else:
        for finding in findings:
            typer.echo(f"{_mark(finding)}  {finding.name:<9}  {finding.detail}")
            if finding.mend:
                typer.echo(f"{'':<18}{finding.mend}")
        typer.echo(_summary(findings))
    return is_well


def _mark(finding: Finding) -> str:
    if finding.is_warning:
        return "warn "
    return "ok   " if finding.is_well else "WRONG"


def _summary(findings: list[Finding]) -> str:
    if not all(finding.is_well for finding in findings):
        return "Something is wrong: see above."
    return "It works; see the warnings above." if any(each.is_warning for each in findings) else "All is well."


async def _findings(settings: Settings) -> list[Finding]:
    checks: dict[str, tuple[Callable[[Settings], Awaitable[str]], str]] = {
        "settings": (_settings, "Correct the name, or remove the variable."),
        "rooms": (_rooms, "Remove ROOM_ACCESS, or set it to ticket."),
        "sign-in": (_sign_in, "Set the variable, or give it another value."),
        "database": (_database, "Start `omnisonic serve`, or see that DATABASE_URL is right and its server runs."),
        "redis": (_redis, "Start `omnisonic serve`, or see that REDIS_URL is right and its server runs."),
        "storage": (_storage, "See that STORAGE_TYPE and its settings are right and its server runs."),
        "decoders": (
            _decoders,
            "Let the worker drop root's rights (CAP_SETUID, CAP_SETGID), or run as an ordinary user.",
        ),
        "web": (_web, "Look at what `omnisonic serve` prints under web."),
        "gateway": (_gateway, "Look at what `omnisonic serve` prints under gateway."),
    }
    found = (_found(name, check(settings), mend) for name, (check, mend) in checks.items())
    return list(await asyncio.gather(*found))


async def _found(name: str, check: Awaitable[str], mend: str) -> Finding:
    try:
        async with asyncio.timeout(CHECK_S):
            return Finding(name, await check)
    except Ailing as ailing:
        return Finding(name, ailing.message, ailing.mend, ailing.is_warning)
    except StorageRefused as refused:
        return Finding(name, refused.reason, mend)
    except BadSettings as bad:
        return Finding(name, " ".join(bad.problems), mend)
    except OmnisonicError as problem:
        return Finding(name, problem.message, mend)
    except TimeoutError:
        return Finding(name, f"No answer within {CHECK_S:g} s.", mend)


async def _settings(_settings: Settings) -> str:
    if unknown := unknown_settings(os.environ, known_variables()):
        raise Doubtful(" ".join(each.sentence() for each in unknown), "Correct the name, or remove the variable.")
    return "No variable looks like a setting that there is not."


async def _rooms(settings: Settings) -> str:
    if settings.room_access == "open":
        raise Doubtful(
            "ROOM_ACCESS=open: whoever reaches the gateway may enter any room that is no session's.",
            "Remove ROOM_ACCESS or set it to ticket, unless that is what you want.",
        )
    if settings.access == "open":
        return "Rooms that are no session's are open: this is development, and only this machine reaches them."
    return "Rooms are entered by ticket, by those who have a role in the session."


async def _sign_in(settings: Settings) -> str:
    settings.check_sign_in()
    ways = [*settings.providers_on, *(["e-mail and password"] if settings.credentials_on else [])]
    return f"People sign in by {' or '.join(ways)}."


async def _database(settings: Settings) -> str:
    began_s = time.perf_counter()
    steps = await status(database_of(settings))
    took_ms = (time.perf_counter() - began_s) * 1000
    if waiting := sum(applied_at is None for _, applied_at in steps):
        raise Ailing(f"{waiting} of {len(steps)} migrations are waiting.", "Run `omnisonic migrate`.")
    return f"It answers in {took_ms:.0f} ms, and all {len(steps)} migrations are applied."


async def _redis(settings: Settings) -> str:
    url = redis_of(settings)
    if url is None:
        raise Ailing("There is none.", "Set REDIS_URL, or start `omnisonic serve`, which brings one.")
    bus = ValkeyBus(url, timeout_s=SLOW_S)
    try:
        began_s = time.perf_counter()
        await round_trip(bus)
    finally:
        await bus.aclose()
    took_s = time.perf_counter() - began_s
    received = f"What is published is received, in {took_s * 1000:.0f} ms"
    if took_s > ROUND_TRIP_STEPS * TIMEOUT_S:
        raise Doubtful(
            f"{received}, in four steps: the parts wait {TIMEOUT_S * 1000:.0f} ms for each.",
            "See what keeps the Redis server, or this machine, busy.",
        )
    return f"{received}."


async def _storage(settings: Settings) -> str:
    if settings.storage_type == "local" and not settings.local_storage_dir.exists():
        return _makeable(settings.local_storage_dir.absolute())
    storage = storage_of(settings)
    # Without a folder of its own, which would be left.
    key = f"doctor-{secrets.token_hex(_KEY_BYTES)}"
    try:
        try:
            link = await _tried_out(storage, key)
        finally:
            await storage.delete(key)
    finally:
        await storage.aclose()
    place = settings.local_storage_dir.absolute() if settings.storage_type == "local" else settings.storage_type
    links = "links go to it directly" if link else "links go to the web"
    return f"An object was put into {place}, read and deleted; {links}."


def _makeable(folder: Path) -> str:
    """What to say of a folder that is not there, and that is for others to make. Errors: `Ailing`: they could not."""
    above = next(parent for parent in folder.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise Ailing(
            f"The folder {folder} is not there, and cannot be made by this user.",
            "Make it, or set OMNISONIC_DATA_DIR or STORAGE_LOCAL_DIR to another place.",
        )
    return f"The folder {folder} is not there yet; it is made when it is needed."


async def _tried_out(storage: Storage, key: str) -> bool:
    """Put an object, read it, and fetch it by its link, if the storage has links."""

    async def content() -> AsyncIterator[bytes]:
        yield CONTENT

    label = Label("text/plain", "doctor.txt")
    await storage.put(key, content(), label)
    read = b"".join([chunk async for chunk in storage.read(key)])
    if read != CONTENT:
        raise Ailing("What was put is not what was read.", "Nothing in this storage can be trusted: use another one.")
    if (link := await storage.link(key, label)) is None:
        return False
    try:
        async with httpx.AsyncClient() as client:
            fetched = await client.get(link)
    except httpx.HTTPError as problem:
        raise Ailing(
            f"A link to it cannot be fetched ({type(problem).__name__}).", "See that browsers can reach its endpoint."
        ) from problem
    if fetched.content != CONTENT:
        raise Ailing(f"A link to it answers {fetched.status_code}.", "See that its clock and its region are right.")
    return True


async def _decoders(_settings: Settings) -> str:
    with tempfile.TemporaryFile() as nothing:
        await analyse_file(nothing, in_spare_time=False)
    if missing := missing_layers():
        return f"They are confined as far as this system can: it lacks {' and '.join(missing)}."
    return "They are confined: no files, no network, no other processes."


async def _web(settings: Settings) -> str:
    port, url = settings.web_port, local_url(settings.web_host, settings.web_port)
    if not await _listens(url):
        return f"Nothing listens on port {port}."
    try:
        async with asyncio.timeout(WEB_S), open_probe_client() as client:
            ready = await client.get(f"{url}/readyz", headers=host_header(settings), timeout=WEB_S)
    except (TimeoutError, httpx.TimeoutException):
        raise Ailing(f"It listens on port {port}, but does not answer within {WEB_S:g} s.", STANDS_STILL) from None
    except httpx.HTTPError as problem:
        raise Ailing(
            f"What listens on port {port} does not speak HTTP.", "Stop it, or set WEB_PORT to another port."
        ) from problem
    if ready.status_code != httpx.codes.OK:
        raise Ailing(
            f"It listens on port {port}, but is not ready ({ready.status_code}{_told(ready)}).", "See the other checks."
        )
    return f"It listens on port {port}, and is ready."


def _told(answer: httpx.Response) -> str:
    """What the web says of itself, if it does."""
    with suppress(ValueError, KeyError, TypeError):
        return f": {str(answer.json()['error']).rstrip('.')}"
    return ""


async def _gateway(settings: Settings) -> str:
    try:
        url = f"http{local_gateway(settings).removeprefix('ws')}"
    except BadSettings:
        return "Nobody says where it listens."
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
            raise Ailing(f"{place}, but: {problem.message}", STANDS_STILL) from problem
    return f"{place}, and its rooms go on."


async def _listens(url: str) -> bool:
    """Whether a connection is taken there: the kernel takes it, even for a process that stands still."""
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
