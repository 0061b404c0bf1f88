"""The pages as they come over the wire: who gets which, where they lead, what their policies allow; without scripts."""

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote, urljoin

import httpx
import pytest

from omnisonic.http.pages.page_context import colour_class, initials, shown_name
from omnisonic.http.pages.public import PROVIDER_NAMES, SIGN_IN_PROBLEMS
from omnisonic.models import Person
from tests.http.browsing import invite_to, new_session, person
from tests.http.running import Web, running_web
from tests.postgres_server import PostgresServer, fresh_database

NOWHERE = "0b7e1d0e-4a70-4c2f-9a52-7d4c3b1f0a11"
FIRST_LOAD_BYTES = 150_000
FIRST_LOAD_FILES = 29
"""And the page: 30 requests."""
PAGES = ("/", "/about", "/signin", "/nothing/here")
OWN_PAGES = ("/sessions", "/signout")
ALL_PROVIDERS = {f"{name.upper()}_CLIENT_{part}": "x" for name in PROVIDER_NAMES for part in ("ID", "SECRET")}


@pytest.fixture(scope="module")
def with_providers(postgres_process: PostgresServer) -> Iterator[Web]:
    with fresh_database(postgres_process) as url, running_web(ALL_PROVIDERS, database_url=url) as web:
        yield web


def directive(page: httpx.Response, name: str) -> str:
    """What the page's policy says of `name`."""
    (found,) = re.findall(rf"(?:^|; ){name} ([^;]+)", page.headers["Content-Security-Policy"])
    return str(found)


def hidden(page: httpx.Response, name: str) -> set[str]:
    """The values of the page's hidden fields of that name."""
    return {unescape(value) for value in re.findall(rf'type="hidden" name="{name}" value="([^"]*)"', page.text)}


def token_in(page: httpx.Response) -> str:
    """The CSRF token in the page's forms."""
    (token,) = hidden(page, "csrfToken")
    return token


def words(page: httpx.Response) -> str:
    """What the page says."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


@pytest.mark.parametrize("path", PAGES)
def test_anybody_gets_the_public_pages(web: Web, path: str) -> None:
    """In HTML, with one heading, a language, and no cookie for whoever fills in no form."""
    page = web.client.get(path)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.text.count("<h1") == 1
    assert '<html lang="en">' in page.text
    assert ("Set-Cookie" in page.headers) == (path == "/signin")


@pytest.mark.parametrize("path", [*PAGES, *OWN_PAGES])
def test_no_page_has_anything_inline(web: Web, path: str) -> None:
    """No script, style or handler in the markup: the policies need no exception for one."""
    page = person(web, "Ada").get(path)
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page.text)
    assert "unsafe" not in page.headers["Content-Security-Policy"]


def test_the_start_page_has_one_way_in(web: Web) -> None:
    """A stranger is asked to sign in, whoever is signed in to open their sessions."""
    assert '<a class="button primary large" href="/signin">Sign in</a>' in web.client.get("/").text
    assert '<a class="button primary large" href="/sessions">Open your sessions</a>' in person(web, "Ada").get("/").text


@pytest.mark.parametrize("path", ["/sessions", f"/sessions/{NOWHERE}", "/sessions?before=x%26y", "/invites/secret"])
def test_a_stranger_is_sent_to_sign_in_and_comes_back(web: Web, path: str) -> None:
    """The address that was asked for, with its query, is where signing in leads."""
    page = web.client.get(path)
    assert page.status_code == 302
    assert page.headers["Location"] == f"/signin?callbackUrl={quote(path, safe='')}"
    assert hidden(web.client.get(page.headers["Location"]), "callbackUrl") == {path}


def test_a_sign_in_that_has_ended_is_a_stranger_s(web: Web) -> None:
    """The cookie alone opens nothing."""
    ada = person(web, "Ada")
    web.do(web.database.row("DELETE FROM logins"))
    assert ada.get("/sessions").headers["Location"] == "/signin?callbackUrl=%2Fsessions"
    assert "Open your sessions" not in ada.get("/").text


@pytest.mark.parametrize(
    "callback",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "http://127.0.0.1:1/"],
)
def test_signing_in_leads_to_no_other_site(web: Web, callback: str) -> None:
    """Neither from the form nor for whoever is signed in already."""
    query = {"callbackUrl": callback}
    assert hidden(web.client.get("/signin", params=query), "callbackUrl") == {"/"}
    assert person(web, "Ada").get("/signin", params=query).headers["Location"] == "/"


def test_whoever_is_signed_in_needs_no_form(web: Web) -> None:
    """They go where it would have led."""
    page = person(web, "Ada").get("/signin")
    assert (page.status_code, page.headers["Location"]) == (302, "/sessions")
    assert web.client.get("/signout").headers["Location"] == "/"


@pytest.mark.parametrize("error", [*SIGN_IN_PROBLEMS, "Anything", "<b>"])
def test_what_went_wrong_is_said_in_a_sentence(web: Web, error: str) -> None:
    """Each code has words; what is no code of ours is not repeated."""
    page = web.client.get("/signin", params={"error": error})
    expected = SIGN_IN_PROBLEMS.get(error, "That did not work. Try again.")
    assert f'role="alert" id="problem">{expected}</p>' in page.text
    assert "<b>" not in page.text


def test_a_button_for_each_provider_that_is_on(with_providers: Web, web: Web) -> None:
    """And none for the others; the page's forms may lead to those providers and nowhere else."""
    page = with_providers.client.get("/signin")
    for provider, name in PROVIDER_NAMES.items():
        assert f'action="/api/auth/signin/{provider}"' in page.text
        assert f"Continue with {name}" in page.text
    assert directive(page, "form-action") == "'self' https://accounts.google.com https://discord.com https://github.com"
    plain = web.client.get("/signin")
    assert "Continue with email" in plain.text
    assert "/api/auth/signin/" not in plain.text
    assert directive(plain, "form-action") == "'self'"


def test_without_passwords_there_is_no_form_for_them(postgres_process: PostgresServer) -> None:
    """Switched off, the fields are gone; with no other way in, the page says whom to ask."""
    with (
        fresh_database(postgres_process) as url,
        running_web({"AUTH_ENABLE_CREDENTIALS": "false"}, database_url=url) as web,
    ):
        page = web.client.get("/signin")
    assert "Password" not in page.text
    assert "Nobody can sign in here yet." in page.text


def test_signing_in_and_out_needs_no_script(web: Web) -> None:
    """The forms as they are, posted: in, to the page that was asked for, and out again."""
    browser = web.new_client()
    page = browser.get("/signin", params={"callbackUrl": "/about"})
    (token,), (callback,) = hidden(page, "csrfToken"), hidden(page, "callbackUrl")
    form = {"csrfToken": token, "callbackUrl": callback, "email": "ada@example.com", "password": "correct horse"}
    answer = browser.post("/api/auth/callback/credentials", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/about")
    assert "ada@example.com" in browser.get("/sessions").text
    (token,) = hidden(browser.get("/signout"), "csrfToken")
    assert browser.post("/api/auth/signout", data={"csrfToken": token}).status_code == 302
    assert browser.get("/sessions").status_code == 302


def test_a_bad_password_is_told_on_the_page(web: Web) -> None:
    """And where it would have led is not forgotten."""
    browser = web.new_client()
    for password in ("right", "wrong"):
        browser.cookies.clear()
        page = browser.get("/signin", params={"callbackUrl": "/about"})
        (token,) = hidden(page, "csrfToken")
        form = {"csrfToken": token, "callbackUrl": "/about", "email": "ada@example.com", "password": password}
        answer = browser.post("/api/auth/callback/credentials", data=form)
    page = browser.get(answer.headers["Location"])
    assert SIGN_IN_PROBLEMS["CredentialsSignin"] in page.text
    assert hidden(page, "callbackUrl") == {"/about"}


def test_the_list_is_right_without_scripts(web: Web) -> None:
    """One's own and those shared, the last active first, with what they are and who is in them."""
    shared = new_session(web, "Bo", "Ada", name="Harbour EP")
    mine = new_session(web, "Ada", name="Night & day")
    body = {"roomId": mine, "memberId": "m", "displayName": "Bo"}
    assert person(web, "Ada").post("/api/presence", json=body).status_code == 200
    page = person(web, "Ada").get("/sessions")
    assert re.findall(r'<a class="button" href="/sessions/([^"]+)"', page.text)[:2] == [mine, shared]
    said = words(page)
    assert re.search(r"Night & day Yours Last active \d+ \w+ \d{4} 1 in the room Open session", said)
    assert re.search(r"Harbour EP Shared by Bo Last active \d+ \w+ \d{4} Nobody in the room Open session", said)
    web.presence.trouble.kind = "down"
    page = person(web, "Ada").get("/sessions")
    assert page.status_code == 200
    assert "in the room Open" not in words(page)


def test_a_session_is_made_without_scripts(web: Web) -> None:
    """The form leads into the new session; another site's form, or one without the token, makes none."""
    ada = person(web, "Ada")
    (token,) = hidden(ada.get("/sessions"), "csrfToken")
    answer = ada.post("/sessions", data={"csrfToken": token, "name": "  Dawn  "})
    assert answer.status_code == 303
    page = ada.get(answer.headers["Location"])
    assert re.search(r"<h1[^>]*>Dawn</h1>", page.text)
    for form, status in (({"name": "x"}, 403), ({"name": "x", "csrfToken": "f" * 64}, 403)):
        assert ada.post("/sessions", data=form).status_code == status
    assert ada.post("/sessions", data={"csrfToken": token, "name": "x" * 121}).status_code == 400
    assert ada.post("/sessions", json={"name": "x"}).status_code == 415
    stranger = web.client.post("/sessions", data={"csrfToken": token, "name": "x"})
    assert (stranger.status_code, stranger.headers["Location"]) == (302, "/signin?callbackUrl=%2Fsessions")
    assert len(ada.get("/api/sessions").json()["sessions"]) == 1


def test_older_sessions_are_a_link_away(web: Web) -> None:
    """Fifty on a page, and the rest behind the link that says so."""
    ada = person(web, "Ada")
    for number in range(51):
        ada.post("/api/sessions", json={"name": f"Take {number}"})
    page = ada.get("/sessions")
    assert page.text.count("Open session</a>") == 50 + 1  # one is what scripts make new lines from
    (more,) = re.findall(r'id="more" href="([^"]+)"', page.text)
    older = ada.get(unescape(more))
    assert "Take 0" in older.text
    assert '<p class="more" id="more-line" hidden>' in older.text
    assert ada.get("/sessions?before=yesterday").status_code == 400


def test_the_studio_is_the_owner_s_to_change(web: Web) -> None:
    """The owner may rename, set the tempo, invite and delete; a collaborator sees, and may leave."""
    session = new_session(web, "Ada", "Bo", name="Night jam")
    mine, theirs = (person(web, name).get(f"/sessions/{session}") for name in ("Ada", "Bo"))
    for page in (mine, theirs):
        assert re.search(r"<h1[^>]*>Night jam</h1>", page.text)
        assert "Join Room" in page.text
    for control in ("Rename", "Delete session", "Make an invite link", '<input id="tempo"'):
        assert (control in mine.text, control in theirs.text) == (True, False), control
    assert "Leave session" in theirs.text
    assert "Shared by Ada" in theirs.text


@pytest.mark.parametrize("session", [NOWHERE, "nonsense", "%00", "%F0%9F%8E%B5", "'; DROP TABLE sessions --"])
def test_what_is_not_there_is_a_page_that_helps(web: Web, session: str) -> None:
    """404, with the way to one's own sessions."""
    page = person(web, "Ada").get(f"/sessions/{session}")
    assert page.status_code == 404
    assert "There is no such session" in page.text
    assert 'href="/sessions"' in page.text


def test_another_user_s_session_is_not_there(web: Web) -> None:
    """The same page as for one that never was."""
    session = new_session(web, "Ada")
    cy = person(web, "Cy")
    assert words(cy.get(f"/sessions/{session}")) == words(cy.get(f"/sessions/{NOWHERE}"))


@pytest.mark.parametrize("headers", [{}, {"Sec-Purpose": "prefetch"}, {"User-Agent": "ChatPreview/1.0"}])
def test_looking_at_an_invite_changes_nothing(web: Web, headers: dict[str, str]) -> None:
    """GET and HEAD, of the page and of the API, by people, browsers that fetch ahead and previews: nobody joins."""
    session = new_session(web, "Ada")
    path = invite_to(web, "Ada", session)
    bo = person(web, "Bo")
    for method in ("GET", "HEAD"):
        assert [bo.request(method, each, headers=headers).status_code for each in (path, f"/api{path}")] == [200, 200]
        assert web.client.request(method, path, headers=headers).status_code == 302
    assert bo.get("/api/sessions").json()["sessions"] == []
    assert person(web, "Ada").get(f"/api/sessions/{session}/collaborators").json()["collaborators"] == []


def test_an_invite_s_page_says_what_it_offers_and_its_form_accepts(web: Web) -> None:
    """The session, who invites, as what and until when; accepted, however often, one is in, and the owner stays it."""
    session = new_session(web, "Ada", name="Dusk & dawn")
    path = invite_to(web, "Ada", session)
    page = person(web, "Bo").get(path)
    assert "Dusk & dawn" in words(page)
    assert "Ada invites you to this session. As an editor you can" in words(page)
    assert "ada@example.com" not in page.text
    assert re.search(r"good until \d+ [A-Z][a-z]+ 20\d\d, \d\d:\d\d UTC", words(page))
    for name in ("Bo", "Bo", "Ada"):
        client = person(web, name)
        answer = client.post(path, data={"csrfToken": token_in(client.get(path))})
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/sessions/{session}")
    assert person(web, "Bo").get(f"/api/sessions?id={session}").json()["session"]["role"] == "editor"
    assert person(web, "Ada").get(f"/api/sessions?id={session}").json()["session"]["role"] == "owner"


def test_an_invite_is_accepted_by_our_own_form_alone(web: Web) -> None:
    """Without its token, with another's, as JSON, or from a foreign page: refused, and nobody has joined."""
    path = invite_to(web, "Ada", new_session(web, "Ada"))
    bo = person(web, "Bo")
    token = token_in(bo.get(path))
    refused = [
        bo.post(path, data={"name": "no token"}),
        bo.post(path, data={"csrfToken": token_in(person(web, "Cy").get(path))}),
        bo.post(path, json={"csrfToken": token}),
        bo.post(path, data={"csrfToken": token}, headers={"Origin": "https://evil.example"}),
        bo.post(f"/api{path}", headers={"Origin": "https://evil.example"}),
        bo.post(f"/api{path}", content=b"{}", headers={"Content-Type": "text/plain"}),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 415, 403, 403, 415]
    assert bo.get("/api/sessions").json()["sessions"] == []


def test_whoever_is_signed_out_comes_back_to_the_invite(web: Web) -> None:
    """By the link, and by its form when the sign-in has ended meanwhile."""
    path = invite_to(web, "Ada", new_session(web, "Ada"))
    for answer in (web.client.get(path), web.client.post(path, data={"csrfToken": "x"})):
        way = quote(path, safe="")
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/signin?callbackUrl={way}")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_invite_that_is_over_is_a_page_that_says_so(web: Web, method: str) -> None:
    """Run out, withdrawn or never made."""
    session = new_session(web, "Ada")
    ada, cy = person(web, "Ada"), person(web, "Cy")
    old, withdrawn = invite_to(web, "Ada", session), invite_to(web, "Ada", session)
    token = token_in(cy.get(old))
    newest = ada.get(f"/api/sessions/{session}/invites").json()["invites"][0]["id"]
    assert ada.delete(f"/api/sessions/{session}/invites/{newest}").status_code == 200
    web.do(web.database.row("UPDATE invites SET expires_at = now() - interval '1 second'"))
    for dead in (old, withdrawn, "/invites/x", "/invites/%00"):
        page = cy.request(method, dead, data={"csrfToken": token} if method == "POST" else None)
        assert page.status_code == 404
        assert "ask them for a new one" in words(page)


def test_the_studio_may_talk_to_its_gateway_alone(web: Web) -> None:
    """Its policy names the gateway's socket; no other page may open any."""
    session = new_session(web, "Ada")
    ada = person(web, "Ada")
    page = ada.get(f"/sessions/{session}")
    assert directive(page, "connect-src") == "'self' ws://127.0.0.1:9 wss://127.0.0.1:9"
    assert directive(ada.get("/sessions"), "connect-src") == "'self'"
    assert directive(ada.get(f"/sessions/{session}", headers={"Host": f"localhost:{web.port}"}), "connect-src") == (
        "'self' ws://localhost:9 wss://localhost:9"
    )


def test_the_studio_alone_may_play(web: Web) -> None:
    """What is kept here, and nothing from elsewhere; no other page may play anything."""
    ada = person(web, "Ada")
    assert directive(ada.get(f"/sessions/{new_session(web, 'Ada')}"), "media-src") == "'self'"
    for path in (*PAGES, *OWN_PAGES):
        assert "media-src" not in ada.get(path).headers["Content-Security-Policy"]


def test_a_gateway_elsewhere_is_named_by_its_origin(postgres_process: PostgresServer) -> None:
    """`GATEWAY_PUBLIC_URL` says where browsers find it."""
    settings = {"GATEWAY_PUBLIC_URL": "wss://live.example/rooms"}
    with fresh_database(postgres_process) as url, running_web(settings, database_url=url) as web:
        page = person(web, "Ada").get(f"/sessions/{new_session(web, 'Ada')}")
    assert directive(page, "connect-src") == "'self' wss://live.example"


def test_public_pages_outlive_the_database(web: Web) -> None:
    """Without it the start page is there, for a stranger; what is somebody's own says 503 and when to come back."""
    with running_web() as lonely:
        cookies = dict(person(web, "Ada").cookies)
        client = lonely.new_client()
        client.cookies.update(cookies)
        assert client.get("/").status_code == 200
        page = client.get("/sessions")
        assert (page.status_code, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert int(page.headers["Retry-After"]) >= 1
        assert "Nothing of yours is lost" in words(page)


def test_files_are_kept_for_ever_under_the_digest_of_them_all(web: Web) -> None:
    """Every file that a page names is there; another version's address is not."""
    page = person(web, "Ada").get(f"/sessions/{new_session(web, 'Ada')}")
    names = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text))
    assert {name.split("/", 3)[3] for name in names} >= {"studio.css", "favicon.svg", "controls/menu.js", "studio.js"}
    for name in names:
        file = web.client.get(name)
        assert file.status_code == 200
        assert "immutable" in file.headers["Cache-Control"]
    assert web.client.get("/static/0123456789abcdef/studio.css").status_code == 404


def test_the_studio_names_all_its_modules(web: Web) -> None:
    """Whatever a module imports, and what that imports, is named by the page: none is found only on the way."""
    page = person(web, "Ada").get(f"/sessions/{new_session(web, 'Ada')}")
    names = set(re.findall(r'(?:href|src)="(/static/[^"]+\.js)"', page.text))
    scripts = {name: web.client.get(name).text for name in names}
    imports = {urljoin(name, path) for name, text in scripts.items() for path in re.findall(r'from "(\.[^"]+)"', text)}
    # The client is loaded when somebody comes in.
    assert not any(re.search(r'from "/', text) for text in scripts.values())
    assert any(name.endswith("/uploading/transfer.js") for name in imports)
    assert imports <= names


def test_nothing_is_typed_before_it_can_be_sent(web: Web) -> None:
    """A form whose script is not there is sent by the browser, which leaves the page. Until then it is inert."""
    page = person(web, "Ada").get(f"/sessions/{new_session(web, 'Ada')}")
    visible = re.sub(r"<template.*?</template>", "", page.text, flags=re.DOTALL)
    forms = re.findall(r"<form [^>]*>", visible)
    assert {form for form in forms if "inert" not in form} <= {'<form class="rename" id="rename" hidden>'}
    assert {"entry", "composer", "comment-form", "render"} <= set(re.findall(r'id="([^"]+)"', "".join(forms)))


def test_the_studio_loads_quickly(web: Web) -> None:
    """All that a browser needs, which has nothing of it yet. Whoever does not want gzip gets none."""
    page = person(web, "Ada").get(f"/sessions/{new_session(web, 'Ada')}")
    # What is in a template is loaded when somebody makes something from it.
    first = re.sub(r"<template.*?</template>", "", page.text, flags=re.DOTALL)
    names = set(re.findall(r'(?:href|src)="(/(?:static|client)/[^"]+)"', first))
    assert len(names) <= FIRST_LOAD_FILES
    total_bytes = len(page.content)
    for name in names:
        file, plain = web.client.get(name), web.client.get(name, headers={"Accept-Encoding": "gzip;q=0"})
        assert "Content-Encoding" not in plain.headers
        assert (plain.content, plain.headers["Vary"]) == (file.content, "Accept-Encoding")
        total_bytes += int(file.headers["Content-Length"])
    assert total_bytes < FIRST_LOAD_BYTES


def test_people_are_called_something() -> None:
    """By their name, else by what their address begins with, never longer than a room allows."""
    assert shown_name(Person("1", " Ada ", "a@b.c", None)) == "Ada"
    assert shown_name(Person("1", None, "ada.l@example.com", None)) == "ada.l"
    assert shown_name(Person("1", None, None, None)) == "Somebody"
    assert len(shown_name(Person("1", "W" * 200, None, None))) == 64
    assert [initials(name) for name in ("Ada Lovelace", "bo", "Ann von der Au", "")] == ["AL", "B", "AA", ""]
    assert len({colour_class(str(number)) for number in range(200)}) == 10
