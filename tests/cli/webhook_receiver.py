"""A receiver of webhooks in a thread, for commands and processes that are given its address."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

POLL_S: Final = 0.05


@dataclass
class Receiver:
    """The bodies that it got, and the statuses that it answers with, in turn; the last one stays."""

    url: str = ""
    taken: list[Any] = field(default_factory=list)
    statuses: list[int] = field(default_factory=lambda: [204])


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port, until the block ends."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(receiver.statuses[0] if len(receiver.statuses) == 1 else receiver.statuses.pop(0))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/hooks"
        thread = threading.Thread(target=server.serve_forever, args=(POLL_S,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
