"""When `@omnisonic/client` reconnects, as it computes it (SPEC 5.3)."""

import json
import subprocess

from tests.client_js.programs import DEADLINE_S, MODULE, NODE, needs_node

pytestmark = needs_node

PROGRAM = """
const { ReconnectPolicy } = await import(process.argv[1]);
const lost = { code: 1006, reason: "" };
const [longest, shortest] = [new ReconnectPolicy(() => 0), new ReconnectPolicy(() => 1)];
const seven = (policy) => Array.from({ length: 7 }, () => policy.delayAfter(lost));
const doubling = [seven(longest), seven(shortest)];
longest.reset();
const again = [longest.delayAfter(lost), longest.nextDelay(3_000), longest.nextDelay(1e12)];
const wanted = ["1830", "-5", "1e12", '"1"'].map((value) => `{"reconnectMs":${value}}`);
const reasons = [...wanted, "bye", ""];
const advised = reasons.map((reason) => new ReconnectPolicy(() => 0).delayAfter({ code: 1001, reason }));
console.log(JSON.stringify({ doubling, again, advised }));
"""


def test_waits_double_with_jitter_and_begin_again_and_a_server_may_say_how_long() -> None:
    """0.5 s to 15 s, less a random part of up to half; with 1001 what the reason says, within reason."""
    ended = subprocess.run(
        [*NODE, "--input-type=module", "-e", PROGRAM, MODULE.as_uri()],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "doubling": [[500, 1000, 2000, 4000, 8000, 15000, 15000], [250, 500, 1000, 2000, 4000, 7500, 7500]],
        "again": [500, 3000, 60_000],
        "advised": [1830, 0, 60_000, 500, 500, 500],
    }
