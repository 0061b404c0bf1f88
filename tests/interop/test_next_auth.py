"""next-auth's own clients of both generations sign people in and out, in a real browser (SPEC 4)."""

import json
import re
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.http.browsing import CHROMIUM
from tests.interop.their_page import bundle, open_page
from tests.node_packages import NodePackages
from tests.system.studio import Studio

PASSWORD: Final = "a good password"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


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
    script = bundle(node_packages, "auth_page.js", tmp_path, f"--alias:next-auth={package}")
    page, complaints = open_page(browser, base, script)
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
