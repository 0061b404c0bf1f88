"""next-auth's own clients of both generations sign people in and out, in a real browser (SPEC 4)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.node_packages import NodePackages
from tests.system.studio import Studio
from tests.web.browsing import CHROMIUM, TIMEOUT_MS, running_browser

PASSWORD: Final = "a good password"
HTML: Final = '<!doctype html><title>Theirs</title><div id="root"></div><script src="/theirs.js"></script>'

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


def bundled(node_packages: NodePackages, package: str, folder: Path) -> str:
    """The page's script with this version of the client in it."""
    script = folder / "theirs.js"
    define = ("--define:process.env={}", '--define:process.env.NODE_ENV="production"')
    options = ("--bundle", f"--alias:next-auth={package}", "--log-level=warning", f"--outfile={script}")
    node_packages.run_program("esbuild", node_packages.folder / "auth_page.js", *options, *define)
    return script.read_text()


def opened(browser: Browser, base: str, script: str) -> tuple[Page, list[str]]:
    """Their page, on the studio's own origin, and what it complains of."""
    page, complaints = browser.new_page(), list[str]()
    page.set_default_timeout(TIMEOUT_MS)
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route(f"{base}/theirs", lambda route: route.fulfill(body=HTML, content_type="text/html"))
    page.route(f"{base}/theirs.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    page.goto(f"{base}/theirs")
    return page, complaints


def fill_in(page: Page, email: str, password: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)


@pytest.mark.parametrize(("package", "first"), [("next-auth-4", ["CLIENT_FETCH_ERROR"]), ("next-auth-5", [])])
def test_next_auths_client_signs_in_and_out(
    package: str, first: list[str], browser: Browser, studio: Studio, node_packages: NodePackages, tmp_path: Path
) -> None:
    """Nobody is, then somebody is, also after a reload; then nobody is, and a wrong password is an error.

    next-auth 4 stumbles over the first `null` that it is told, and only over that.
    """
    base, email = f"http://127.0.0.1:{studio.visitors.web_port}", f"{package}@example.com"
    page, complaints = opened(browser, base, bundled(node_packages, package, tmp_path))
    heading, said = page.get_by_role("heading"), page.get_by_role("status")
    expect(heading).to_have_text("unauthenticated nobody")
    assert [word for line in complaints for word in re.findall(r"[A-Z]+_[A-Z_]+", line)] == first
    complaints.clear()

    fill_in(page, email, PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(said).to_have_text("[true,null,200]")
    expect(heading).to_have_text(f"authenticated {email}")
    page.reload()
    expect(heading).to_have_text(f"authenticated {email}")
    page.get_by_role("button", name="Who am I").click()
    expect(said).to_contain_text(email)
    assert set(json.loads(said.inner_text())) == {"user", "expires"}

    page.get_by_role("button", name="Sign out").click()
    expect(said).to_have_text(f"{base}/about")
    expect(heading).to_have_text("unauthenticated nobody")
    page.get_by_role("button", name="Who am I").click()
    expect(said).to_have_text("null")
    assert complaints == []

    fill_in(page, email, "a wrong password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(said).to_have_text('[false,"CredentialsSignin",401]')
    expect(heading).to_have_text("unauthenticated nobody")

    fill_in(page, email, PASSWORD)
    page.get_by_role("button", name="Sign in and go").click()
    page.wait_for_url(f"{base}/sessions")
    expect(page.get_by_placeholder("New session name")).to_be_visible()
    page.close()
    # The browser itself says so of a status of 401.
    assert [line for line in complaints if not re.search("401", line)] == []
