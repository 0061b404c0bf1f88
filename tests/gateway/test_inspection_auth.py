"""Who may inspect: the operator's token, and nothing else (SPEC 2; docs/inspecting.md)."""

from functools import partial

import pytest

from omnisonic.actors.inspection.auth import INSPECTORS, TRIES, WITHIN_S, InspectionAuth
from omnisonic.settings.origins import HostPolicy, OriginPolicy
from omnisonic.wire.handshake import Refused, Request
from omnisonic.wire.inspection import AskTree, Tree
from tests.clients import upgrade_request
from tests.gateway.http_answers import asked
from tests.inspectors import TOKEN, Inspector, inspector
from tests.rooms import OPTIONS, becomes, eventually, open_stage

pytestmark = pytest.mark.timing

HOST = "127.0.0.1"


def request(token: str | None = TOKEN, **headers: str) -> Request:
    """An inspector's request."""
    shown = {} if token is None else {"authorization": f"Bearer {token}"}
    return Request("1.1", "GET", "/inspect", "", {"host": HOST, **shown, **headers})


def make_auth(token: str | None = TOKEN) -> InspectionAuth:
    return InspectionAuth(token, HostPolicy(frozenset({HOST})), OriginPolicy(frozenset({"http://ok.example"})))


def refusal(
    made: InspectionAuth, asked: Request, now_s: float = 0.0, address: str = "10.0.0.1", inside: int = 0
) -> str:
    """The code of the refusal; empty when there is none."""
    try:
        made.check(asked, address, inside, now_s)
    except Refused as refused:
        return f"{refused.status.value} {refused.code}"
    return ""


def test_the_right_token_opens() -> None:
    """However the scheme is written."""
    assert refusal(make_auth(), request()) == ""
    assert refusal(make_auth(), request(None, authorization=f"bearer {TOKEN}")) == ""


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": "Bearer \xff\xfe"},
        {"sec-websocket-protocol": f"token.{TOKEN}"},
    ],
)
def test_anything_else_is_401(headers: dict[str, str]) -> None:
    """Missing, empty, too long, too short, by another scheme, or in another place."""
    assert refusal(make_auth(), request(None, **headers)) == "401 invalid_token"


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_of_its_own_there_is_no_door(token: str | None) -> None:
    """404, whatever is shown; an empty token is none."""
    assert refusal(make_auth(token), request("")) == "404 not_found"
    assert refusal(make_auth(token), request()) == "404 not_found"


def test_an_address_that_tries_too_often_is_not_listened_to() -> None:
    """Not even with the right token, until its time is over; other addresses are."""
    made = make_auth()
    for second in range(TRIES):
        assert refusal(made, request("wrong"), second) == "401 invalid_token"
    assert refusal(made, request("wrong"), TRIES) == "429 too_many_tries"
    assert refusal(made, request(), TRIES) == "429 too_many_tries"
    assert refusal(made, request(), TRIES, "10.0.0.2") == ""
    assert refusal(made, request(), WITHIN_S + TRIES) == ""


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {TOKEN}"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "authorization": "Bearer wrong"},
        {"origin": "http://evil.example", "authorization": "Bearer wrong"},
    ],
)
def test_what_a_page_can_send_locks_nobody_out(headers: dict[str, str]) -> None:
    """Without a token nothing is guessed, and from another site nothing is listened to: the operator comes in."""
    made = make_auth()
    for _ in range(10 * TRIES):
        assert refusal(made, request(None, **headers))[:3] in ("401", "403")
    assert refusal(made, request()) == ""


@pytest.mark.parametrize(("site", "code"), [
    ("none", ""), ("same-origin", ""), ("same-site", "403 foreign_origin"), ("cross-site", "403 foreign_origin"),
])  # fmt: skip
def test_another_sites_page_is_refused_whatever_it_shows(site: str, code: str) -> None:
    """Browsers say it in `Sec-Fetch-Site`, which no page can change."""
    assert refusal(make_auth(), request(**{"sec-fetch-site": site})) == code


def test_the_right_token_forgets_the_wrong_ones() -> None:
    """Who mistypes now and then is never locked out."""
    made = make_auth()
    for _ in range(3):
        for _ in range(TRIES - 1):
            assert refusal(made, request("wrong")) == "401 invalid_token"
        assert refusal(made, request()) == ""


def test_pages_are_no_inspectors() -> None:
    """An `Origin` is a browser; an allowed one still has to show the token."""
    assert refusal(make_auth(), request(origin="http://evil.example")) == "403 foreign_origin"
    assert refusal(make_auth(), request(origin="null")) == "403 foreign_origin"
    assert refusal(make_auth(), request(None, origin="http://ok.example")) == "401 invalid_token"


def test_another_host_is_not_answered() -> None:
    """DNS rebinding."""
    assert refusal(make_auth(), request(host="evil.example")) == "421 wrong_host"


def test_inspectors_are_bounded() -> None:
    """One more is to come back later."""
    assert refusal(make_auth(), request(), inside=INSPECTORS - 1) == ""
    assert refusal(make_auth(), request(), inside=INSPECTORS) == "503 too_many_inspectors"


async def test_a_wrong_token_is_refused_before_the_upgrade_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """On the wire: 401 in JSON, then 429 with `Retry-After`. The log names the address, and no token."""
    async with open_stage(admin_token=TOKEN) as stage:
        wrong = upgrade_request("/inspect", stage.port, Authorization="Bearer mistyped")
        for _ in range(TRIES):
            status, headers, body = await asked(stage, wrong)
            assert (status, body["code"], headers["www-authenticate"]) == (401, "invalid_token", "Bearer")
        status, headers, body = await asked(stage, wrong)
        assert (status, body["code"]) == (429, "too_many_tries")
        assert 0 < int(headers["retry-after"]) <= WITHIN_S
        right = upgrade_request("/inspect", stage.port, Authorization=f"Bearer {TOKEN}")
        assert (await asked(stage, right))[0] == 429
    reported = [record.__dict__["address"] for record in caplog.records if record.message == "inspector.refused"]
    assert reported == ["127.0.0.1"] * (TRIES + 1)
    assert "mistyped" not in caplog.text


async def test_images_on_a_foreign_page_lock_no_operator_out() -> None:
    """Six `<img src="http://127.0.0.1:8080/inspect">` are six plain requests, as a browser makes them."""
    async with open_stage(admin_token=TOKEN) as stage:
        for fetched in ({"Sec_Fetch_Site": "cross-site"}, {}):
            image = upgrade_request(
                "/inspect", stage.port, Upgrade="", Connection="", Sec_WebSocket_Key="", Sec_Fetch_Mode="no-cors",
                Accept="image/*", **fetched,
            )  # fmt: skip
            for _ in range(TRIES + 1):
                assert (await asked(stage, image))[0] in (401, 403)
        async with inspector(stage) as ins:
            assert isinstance(await ins.asked(AskTree("1")), Tree)


async def test_a_token_in_the_query_opens_nothing() -> None:
    """It would stand in logs of addresses."""
    async with open_stage(admin_token=TOKEN) as stage:
        target = "/inspect?token=x&ticket=x&access_token=" + TOKEN.replace(" ", "%20").replace("'", "%27")
        assert (await asked(stage, upgrade_request(target, stage.port)))[0] == 401


async def test_a_gateway_without_a_token_has_no_inspection() -> None:
    """404; and rooms are where they were."""
    async with open_stage() as stage:
        status, _, body = await asked(stage, upgrade_request("/inspect", stage.port))
        assert (status, body["code"]) == (404, "not_found")
        async with stage.crowd(1):
            assert stage.roster() == ["m0"]


async def test_a_request_that_is_no_upgrade_is_told_so() -> None:
    """With the right token, but by plain HTTP."""
    async with open_stage(admin_token=TOKEN) as stage:
        plain = upgrade_request("/inspect", stage.port, Upgrade="", Authorization=f"Bearer {TOKEN}")
        assert (await asked(stage, plain))[0] == 426


async def count_inspectors(ins: Inspector) -> int:
    """How many inspect the gateway, as it says itself."""
    tree = await ins.asked(AskTree("1"))
    assert isinstance(tree, Tree)
    return tree.gateway.inspectors


async def test_an_inspector_is_no_connection_of_the_rooms() -> None:
    """It counts for no cap, and its place is free again when it has gone."""
    async with open_stage(admin_token=TOKEN, max_connections=1, max_connections_per_address=1) as stage:
        for _ in range(INSPECTORS + 1):
            async with inspector(stage) as ins, stage.crowd(1):
                assert len(stage.gateway.connections) == 1
                await becomes(partial(count_inspectors, ins), 1)  # once the one before has gone
            await eventually(lambda: not stage.gateway.connections)


def test_the_options_do_not_show_the_token() -> None:
    """Not in what is printed of them."""
    assert TOKEN not in repr(type(OPTIONS)(OPTIONS.hosts, OPTIONS.origins, admin_token=TOKEN))
