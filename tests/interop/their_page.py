"""Somebody's own page on the studio's origin, with a client in it that others wrote."""

import json
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page

from tests.http.browsing import TIMEOUT_MS
from tests.node_packages import NodePackages

HTML: Final = '<!doctype html><title>Theirs</title><div id="root"></div><script src="/theirs.js"></script>'


def bundle(node_packages: NodePackages, source: str, folder: Path, *options: str) -> str:
    """The script of `tests/node/{source}` with all that it imports in it."""
    script = folder / "theirs.js"
    define = ("--define:process.env={}", f"--define:process.env.NODE_ENV={json.dumps('production')}")
    fixed = ("--bundle", "--log-level=warning", f"--outfile={script}")
    node_packages.run_program("esbuild", node_packages.folder / source, *fixed, *define, *options)
    return script.read_text()


def open_page(browser: Browser, base: str, script: str) -> tuple[Page, list[str]]:
    """The page with that script, and what it complains of."""
    page, complaints = browser.new_page(), list[str]()
    page.set_default_timeout(TIMEOUT_MS)
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route(f"{base}/theirs", lambda route: route.fulfill(body=HTML, content_type="text/html"))
    page.route(f"{base}/theirs.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    page.goto(f"{base}/theirs")
    return page, complaints
