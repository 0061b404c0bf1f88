"""axe-core finds nothing on any state of the pages: on a desktop, a phone upright and on its side, dark and light."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page

from tests.http.browsing import CHROMIUM, Scheme, Visit, visiting
from tests.http.pages.states import Size, plain_pages, seat_band, studio_states
from tests.http.running import GatewayThread, Web

AXE: Final = Axe().axe_script
"""Run once in a page: run for each state, it begins as a program that no compiler has seen, and takes twice as long."""
RUN: Final = "axe.run({ resultTypes: ['violations'] }).then((found) => found.violations)"
SCHEMES: Final[dict[Size, Scheme]] = {(1280, 800): "dark", (390, 844): "light", (844, 390): "dark"}
"""One scheme for each size: axe-core takes a third of a second for a state, and colours are those of every size."""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.parametrize("size", SCHEMES, ids=lambda size: "x".join(map(str, size))),
]


@pytest.fixture
def visit(browser: Browser, shared_site: Web, gateway: GatewayThread) -> Iterator[Visit]:
    shared_site.forget_everybody()
    visit = visiting(browser, shared_site, gateway.fake.port)
    visit.expects("409")  # who asks for a waveform too early
    yield visit
    visit.check()


def findings(states: Iterable[tuple[str, Page]], size: Size) -> list[str]:
    """What axe-core has against these, in the scheme of this size."""
    scheme = SCHEMES[size]
    return [
        f"{state}, {scheme}: {violation['id']}: {node['target']} {node.get('failureSummary', '')}"
        for state, page in states
        for violation in _violations(page, scheme)
        for node in violation["nodes"]
    ]


def _violations(page: Page, scheme: Scheme) -> list[dict[str, Any]]:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    violations: list[dict[str, Any]] = page.evaluate(RUN)
    return violations


def test_axe_finds_nothing_on_pages_without_a_room(visit: Visit, shared_site: Web, size: Size) -> None:
    """Signed out, the list with sessions and without, an invite, and a shared mixdown."""
    band = seat_band(shared_site)
    assert findings(plain_pages(visit, shared_site, band, size), size) == []


def test_axe_finds_nothing_in_the_studio(visit: Visit, shared_site: Web, gateway: GatewayThread, size: Size) -> None:
    """Empty, with tracks, with each panel, dialog and menu open, ready to record, reconnecting, and a listener's."""
    band = seat_band(shared_site)
    states = studio_states(visit, shared_site, gateway, band, size)
    assert findings(states, size) == []
