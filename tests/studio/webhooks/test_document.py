"""What docs/webhooks.md says is so: its programs verify what the studio signs, exactly as printed."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from omnisonic.identity.webhook_secrets import make_webhook_secret, sign_webhook
from omnisonic.studio.webhooks import EVENT_TYPES, MOST_WAITING, MOST_WEBHOOKS
from tests.client_js.programs import NODE, needs_node
from tests.system.printed import ROOT, block

DOCUMENT: Final = ROOT / "docs/webhooks.md"
TIMEOUT_S: Final = 30.0
BODY: Final = '{"type":"member.joined","data":{"displayName":"Zoë"}}'
SECRET: Final = make_webhook_secret("secret").secret
CALLS: Final = """
import { verify } from "./verify.mjs";
const calls = JSON.parse(process.argv[2]);
console.log(JSON.stringify(calls.map(([secret, headers, body]) => verify(secret, headers, Buffer.from(body)))));
"""


def signed(*, secret: str = SECRET, age_s: int = 0, **changes: str) -> tuple[str, dict[str, str], str]:
    """A request that the studio has signed, as `verify` gets it; `changes` are made to its headers afterwards."""
    headers = sign_webhook(secret, "id", int(time.time()) - age_s, BODY.encode())
    return SECRET, headers | {f"webhook-{name}": value for name, value in changes.items()}, BODY


def requests() -> list[tuple[str, dict[str, str], str]]:
    """Two that are right, one of them with an older signature before it, and five that are not."""
    right = signed()
    return [
        right,
        signed(signature=f"v1,b2xk {right[1]['webhook-signature']}"),
        signed(secret=make_webhook_secret("another").secret),
        signed(age_s=301),
        signed(id="another"),
        signed(signature="v1,é"),
        (*right[:2], BODY.replace("Zoë", "Zoe")),
    ]


def verified_in_python(folder: Path) -> list[bool]:
    del folder
    program: dict[str, Any] = {}
    exec(block("python", "# verify.py", DOCUMENT), program)
    return [program["verify"](secret, headers, body.encode()) for secret, headers, body in requests()]


def verified_in_node(folder: Path) -> list[bool]:
    (folder / "verify.mjs").write_text(block("js", "// verify.mjs", DOCUMENT))
    (folder / "calls.mjs").write_text(CALLS)
    command = [*NODE, "calls.mjs", json.dumps(requests())]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    results: list[bool] = json.loads(ended.stdout)
    return results


@pytest.mark.parametrize("verify", [verified_in_python, pytest.param(verified_in_node, marks=needs_node)])
def test_the_printed_programs_know_the_studio(verify: Callable[[Path], list[bool]], tmp_path: Path) -> None:
    """And nobody else: not by another secret, nor too late, nor with anything changed."""
    assert verify(tmp_path) == [True] * 2 + [False] * 5


def test_all_events_and_limits_are_in_the_tables() -> None:
    """The events in the order of the code."""
    text = DOCUMENT.read_text()
    assert re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", text, re.MULTILINE) == list(EVENT_TYPES)
    assert f"| webhooks of one studio | {MOST_WEBHOOKS} |" in text
    assert f"about {MOST_WAITING:,}; what comes then is dropped" in text
