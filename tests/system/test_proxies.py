"""The proxies that docs/operating.md prints, as printed and with TLS: whatever a studio does goes through them.

Both stand in front of one studio in production, which has the settings that stand beside them.
"""

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected

from omnisonic.settings.settings import Settings
from tests.clients import Client
from tests.http.sounds import wav
from tests.system.musicians import PASSWORD, Musician
from tests.system.printed import block
from tests.system.proxies import EMAIL, HOST, Site, running_sites
from tests.system.visitors import NO_WEB, Visitors, rejected_status

PROXIES: Final = ("nginx", "caddy")
SOUND_S: Final = 120
STEM_BYTES: Final = 20_000_000
PIECE_BYTES: Final = 8_000_000
TUS: Final = {"Tus-Resumable": "1.0.0"}
FORM_BYTES: Final = 10_000
"""More than stands around the file in a form."""
TRIES: Final = 5
"""Bad passwords that an address has a minute."""
UNITS: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    """Both proxies, and the one studio behind them."""
    with running_sites(tmp_path_factory.mktemp("proxied")) as sites:
        yield sites


@pytest.fixture(scope="module")
def stem() -> bytes:
    """Two minutes of sound, of more than 20 MB."""
    sound = wav(SOUND_S)
    assert len(sound) > STEM_BYTES
    return sound


@asynccontextmanager
async def signed_in(site: Site) -> AsyncIterator[tuple[Musician, httpx.AsyncClient]]:
    """Ada, who has signed in through the proxy, and her browser."""
    async with site.browser() as browser:
        person = Musician(Visitors(NO_WEB, NO_WEB), EMAIL, browser)
        await person.sign_in()
        yield person, browser


@asynccontextmanager
async def in_room(site: Site, person: Musician, session: str, **fields: str) -> AsyncIterator[Client]:
    """In the session's room, where the ticket says that the gateway is."""
    ticket = await person.ticket(session, **fields)
    url = urlsplit(ticket["url"])
    assert (url.scheme, url.netloc) == ("wss", HOST)
    subprotocols = ["omnisonic", f"ticket.{ticket['ticket']}"]
    async with site.entered(f"{url.path}?{url.query}", subprotocols=subprotocols) as client:
        yield client


@pytest.mark.parametrize("proxy", PROXIES)
async def test_metrics_are_not_for_those_who_come_through_the_proxy(sites: dict[str, Site], proxy: str) -> None:
    """It is on the same machine, so everybody who comes through it comes from loopback."""
    async with sites[proxy].browser() as browser:
        answer = await browser.get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (403, "loopback_only")


@pytest.mark.parametrize("proxy", PROXIES)
async def test_a_sign_in_through_the_proxy_is_kept_as_https_allows(sites: dict[str, Site], proxy: str) -> None:
    """By cookies that browsers keep to this host and to TLS, with HSTS; and it ends."""
    async with signed_in(sites[proxy]) as (ada, browser):
        cookies = [cookie for cookie in browser.cookies.jar if cookie.name.startswith("__Host-omnisonic")]
        assert cookies
        assert all(cookie.secure and cookie.path == "/" for cookie in cookies)
        page = await browser.get("/sessions")
        assert (page.status_code, "strict-transport-security" in page.headers) == (200, True)
        await ada.sign_out()
        assert (await ada.ask("GET", "/api/sessions")).status_code == 401


@pytest.mark.parametrize("proxy", PROXIES)
async def test_a_form_of_20_mb_comes_through(sites: dict[str, Site], proxy: str, stem: bytes) -> None:
    """And the same bytes come back by the link in the answer."""
    async with signed_in(sites[proxy]) as (ada, browser):
        session = await ada.create("Stems")
        form: dict[str, Any] = {"data": {"sessionId": session}, "files": {"file": ("bass.wav", stem, "audio/wav")}}
        answer = await browser.post("/api/upload", **form)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert made["upload"]["sha256"] == hashlib.sha256(stem).hexdigest()
        assert urlsplit(made["downloadUrl"]).netloc in ("", HOST)
        assert (await browser.get(made["downloadUrl"])).content == stem


@pytest.mark.parametrize("proxy", PROXIES)
async def test_20_mb_in_pieces_come_through(sites: dict[str, Site], proxy: str, stem: bytes) -> None:
    """By tus, at the address that the studio gives."""
    async with signed_in(sites[proxy]) as (ada, browser):
        about = f"filename {base64.b64encode(b'bass.wav').decode()}"
        begun = await browser.post(
            "/api/upload/tus", headers=TUS | {"Upload-Length": str(len(stem)), "Upload-Metadata": about}
        )
        assert begun.status_code == 201, begun.text
        place = begun.headers["Location"]
        for offset in range(0, len(stem), PIECE_BYTES):
            said = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
            sent = await browser.patch(place, content=stem[offset : offset + PIECE_BYTES], headers=TUS | said)
            assert sent.status_code == 204, sent.text
        made = await ada.reported("GET", f"/api/upload/{place.rpartition('/')[2]}")
        assert made["upload"]["sha256"] == hashlib.sha256(stem).hexdigest()


async def test_a_room_is_open_for_longer_than_the_proxys_idle_timeout(sites: dict[str, Site]) -> None:
    """Nobody says a word for longer than that, in a room by each proxy; then they talk, and nobody was cut off."""
    (idle_s,) = map(float, re.findall(r"proxy_read_timeout (\d+)s;", block("nginx", "server {")))
    async with AsyncExitStack() as stack:
        bands: list[tuple[Client, Client]] = []
        for site in sites.values():
            ada, _ = await stack.enter_async_context(signed_in(site))
            session = await ada.create("Silence")
            first = await stack.enter_async_context(in_room(site, ada, session, memberId="phone"))
            second = await stack.enter_async_context(in_room(site, ada, session, memberId="laptop"))
            await first.next("presence.join")
            bands.append((first, second))
        with trio.move_on_after(idle_s + 2):
            async with trio.open_nursery() as nursery:
                for client in (client for band in bands for client in band):
                    nursery.start_soon(_hear_nothing, client)
        for first, second in bands:
            await first.say("chat", "Still here?")
            assert (await second.next("chat"))["payload"] == "Still here?"


async def _hear_nothing(client: Client) -> None:
    """Until cancelled. A connection that ends, and whatever is said, is an error."""
    try:
        raise AssertionError(f"heard {await client.websocket.get_message()!r}")
    except ConnectionClosed as closed:
        raise AssertionError(f"cut off: {closed.reason}") from closed


@pytest.mark.parametrize("proxy", PROXIES)
async def test_a_page_enters_by_its_cookie_and_a_stranger_does_not(sites: dict[str, Site], proxy: str) -> None:
    """The studio's own origin is allowed, another's is not; and who only reaches the proxy gets no further."""
    site = sites[proxy]
    async with signed_in(site) as (ada, _):
        session = await ada.create("By cookie")
        target = f"/rooms?roomId={session}&memberId={ada.id}&displayName=Ada"
        cookie = (b"Cookie", ada.cookie.encode())
        async with site.entered(target, headers=[cookie, (b"Origin", f"https://{HOST}".encode())]) as client:
            assert client.welcome["payload"]["roomId"] == session
        for headers, status in (([], 401), ([cookie, (b"Origin", b"https://elsewhere.example")], 403)):
            with pytest.RaisesGroup(ConnectionRejected, flatten_subgroups=True) as caught:
                async with site.entered(target, headers=headers):
                    pass
            assert rejected_status(caught.value) == status


@pytest.mark.parametrize("proxy", PROXIES)
async def test_bad_passwords_count_for_the_address_that_the_proxy_saw(sites: dict[str, Site], proxy: str) -> None:
    """Whatever the visitor claims it to be; another address is not held up."""
    addresses = {"nginx": ("127.0.0.2", "127.0.0.3"), "caddy": ("127.0.0.4", "127.0.0.5")}[proxy]
    async with sites[proxy].browser(addresses[0]) as guesser, sites[proxy].browser(addresses[1]) as other:
        statuses = [
            await guess(guesser, f"nobody{number}@example.com", claims=f"192.0.2.{number}")
            for number in range(TRIES + 1)
        ]
        assert (statuses[TRIES], statuses[:TRIES].count(429)) == (429, 0)
        assert await guess(other, "nobody@example.com", claims=addresses[0]) != 429


async def guess(browser: httpx.AsyncClient, email: str, *, claims: str) -> int:
    """A wrong password; the status of the answer."""
    body = {"email": email, "password": f"not {PASSWORD}"}
    headers = {"X-Forwarded-For": claims}
    return (await browser.post("/api/auth/callback/credentials", json=body, headers=headers)).status_code


@pytest.mark.parametrize("proxy", PROXIES)
async def test_what_is_the_operators_is_not_reached_through_the_proxy(sites: dict[str, Site], proxy: str) -> None:
    """The gateway's `/inspect` is not there, neither beside the rooms nor below them."""
    async with sites[proxy].browser() as browser:
        for path in ("/inspect", "/rooms/inspect", "/rooms/../inspect", "/rooms/healthz"):
            assert (await browser.get(path)).status_code == 404


@pytest.mark.parametrize("proxy", PROXIES)
async def test_the_printed_question_of_the_night_is_answered(
    sites: dict[str, Site], proxy: str, tmp_path: Path
) -> None:
    """`curl` as printed, told only where the proxy is: the gateway says that a ticket is needed."""
    (tmp_path / ".curlrc").write_text(
        f"connect-to = {HOST}:443:127.0.0.1:{sites[proxy].port}\ncacert = {sites[proxy].ca}\n"
    )
    shell = ["/bin/sh", "-eu", "-c", block("sh", "Sec-WebSocket-Key")]
    answered = await trio.run_process(
        shell, env={"PATH": "/usr/bin:/bin", "CURL_HOME": str(tmp_path)}, capture_stdout=True
    )
    head, _, body = answered.stdout.decode().partition("\r\n\r\n")
    assert (head.split()[1], json.loads(body)["code"]) == ("401", "ticket_required")


def test_nginx_takes_a_form_with_the_largest_file_that_the_studio_takes() -> None:
    """`client_max_body_size` is more than `UPLOAD_MAX_BYTES`, and not so much more that it says nothing."""
    ((number, unit),) = re.findall(r"client_max_body_size (\d+)([kmg]);", block("nginx", "server {"))
    largest = Settings.load({}).upload_max_bytes
    assert largest + FORM_BYTES <= int(number) * UNITS[unit] <= largest * 1.05
