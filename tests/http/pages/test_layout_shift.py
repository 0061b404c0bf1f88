"""Nothing of the studio moves while it is loaded (SPEC 6): what a browser measures as its layout shift."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.http.browsing import CHROMIUM, Visit, join, open_panel, visiting
from tests.http.pages.states import Size, seat_band
from tests.http.running import GatewayThread, Web

OBSERVED: Final = """
    window.shifts = [];
    new PerformanceObserver((list) => {
        for (const { value, hadRecentInput, sources } of list.getEntries()) {
            const nodes = sources.map(({ node }) => node?.id || node?.className || node?.nodeName);
            if (!hadRecentInput) shifts.push([value, nodes.join(", ")]);
        }
    }).observe({ type: "layout-shift", buffered: true });
"""
SETTLED: Final = "new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))"
MOST: Final = 0.001
"""A twentieth of what is promised: a word of the state may become longer, and nothing else moves."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture
def visit(browser: Browser, shared_site: Web, gateway: GatewayThread) -> Iterator[Visit]:
    shared_site.forget_everybody()
    visit = visiting(browser, shared_site, gateway.fake.port)
    visit.expects("409")  # who asks for a waveform too early
    yield visit
    visit.check()


@contextmanager
def late_answers(page: Page) -> Iterator[None]:
    """What the page asks the studio for meanwhile is answered at the end, one after the other, each seen by itself."""
    routes: list[Route] = []
    is_over = False

    def hold(route: Route) -> None:
        if is_over:
            route.continue_()
        else:
            routes.append(route)

    page.route(re.compile("/api/"), hold)
    yield
    page.evaluate(SETTLED)
    is_over = True
    assert routes
    for route in routes:
        with page.expect_response(route.request.url):
            route.continue_()
        page.evaluate(SETTLED)


def shifted(page: Page) -> tuple[float, list[tuple[float, str]]]:
    """How much has moved so far, and what."""
    page.evaluate(SETTLED)
    shifts = page.evaluate("shifts")
    return sum(value for value, _ in shifts), shifts


@pytest.mark.timing
@pytest.mark.parametrize("size", [(1280, 800), (390, 844), (844, 390)], ids=lambda size: "x".join(map(str, size)))
def test_nothing_moves_while_the_studio_is_loaded(visit: Visit, shared_site: Web, size: Size) -> None:
    """With tracks, comments and mixdowns that come late, in an empty browser; and when one enters the room."""
    band = seat_band(shared_site)
    page = visit("/about", who="Bo", width=size[0], height=size[1])
    page.context.add_init_script(OBSERVED)
    with late_answers(page):
        page.goto(f"{visit.base_url}/sessions/{band.session}")
        expect(page.locator("#entry")).not_to_have_attribute("inert", "")
    expect(page.locator('.clip[data-wave="there"]')).to_have_count(2)
    page.wait_for_load_state("networkidle")
    moved, what = shifted(page)
    assert moved < MOST, what
    open_panel(page, "Talk")
    join(page)
    page.wait_for_load_state("networkidle")
    moved, what = shifted(page)
    assert moved < MOST, what
