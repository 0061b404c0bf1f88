"""A page without a studio: the static files, and segments and other files as a test puts them there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

from playwright.sync_api import Browser, Page

from omnisonic.http.core.static_files import STATIC_DIR
from tests.http.pages.sound.random_sessions import RandomSession

START: Final = b"<!doctype html><title>Stage</title><link rel=icon href=data:><button>Play</button>"


class Stage:
    """What the server of `page` answers: `refusals`, statuses and codes, in turn; then `files` and static files."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.files = dict[str, bytes]()
        self.refusals = dict[str, list[tuple[int, str]]]()

    def put(self, session: RandomSession) -> list[dict[str, Any]]:
        """The segments where the studio has them. Returns the tracks without what is known of their segments."""
        for track in session.tracks:
            self.files[f"/api/upload/{track['id']}/segments"] = json.dumps(track["segments"]).encode()
        for name, data in session.segments.items():
            self.files[f"/api/upload/{name.replace('/', '/segments/')}"] = data
        return [{key: value for key, value in track.items() if key != "segments"} for track in session.tracks]

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """The status, the media type and the body."""
        if refusals := self.refusals.get(path):
            status, code = refusals.pop(0)
            return status, "application/json", json.dumps({"error": "Not yet.", "code": code}).encode()
        if path.startswith("/static/"):
            return 200, "text/javascript", (STATIC_DIR / path.removeprefix("/static/")).read_bytes()
        return 200, "text/html", self.files.get(path, START)


@contextmanager
def open_stage(browser: Browser) -> Iterator[Stage]:
    """A page in a profile of its own. Routes of Playwright would not do: worklets pass them by."""
    profile = browser.new_context()
    stage = Stage(profile.new_page())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, media_type, body = stage.answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            stage.page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
            yield stage
        finally:
            profile.close()
            server.shutdown()
            thread.join()
