"""`@omnisonic/client` as a package: what is packed, what its types say, and that programs as printed run with it."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.client_js.programs import DEADLINE_S, FOLDER, MODULE, NODE, needs_node
from tests.embedding.staging import band, hear
from tests.node_packages import NodePackages

ROOT: Final = FOLDER.parents[1]
PAGE: Final = ROOT / "docs" / "javascript.md"
FILES: Final = {"LICENSE", "README.md", "example.html", "omnisonic.d.ts", "omnisonic.js", "package.json"}
MOST_LINES: Final = 15
"""Of a chat."""
PACK_S: Final = 60.0
SAMPLE: Final = """
import { connect, Closed, EntryRefused, InvalidInput, NotTaken, ReconnectPolicy, Unavailable } from "@omnisonic/client";
import type { ClientRoom, ConnectionChange, Member, Message, Place, Transport } from "@omnisonic/client";

declare module "@omnisonic/client" {
  interface RoomMessages {
    chat: { text: string };
  }
}

const ticket = async (): Promise<Response> => {
  if (Math.random() > 2) throw new Unavailable("later", { retryAfterMs: 1_000 });
  return fetch("/api/rooms/jam/ticket", { method: "POST" });
};
const eventsUrl = new URL("/api/rooms/jam/events", "http://127.0.0.1:3000");
const room: ClientRoom = await connect(null, {
  ticket, status: "away", transport: "auto", eventsUrl, reconnectPolicy: new ReconnectPolicy(() => 1),
});
const stop: () => void = room.on("chat", ({ payload, from }) => console.log(from?.length, payload.text.trim()));
room.on("presence.join", ({ payload }) => { const member: Member = payload; return member.account?.name; });
room.on("history.gap", ({ payload }) => payload.lost?.toFixed());
room.on("", ({ payload }) => payload.byteLength);
room.on<number>("count", ({ payload }) => payload.toFixed());
room.onConnectionState((change: ConnectionChange) => {
  if (change.state === "reconnecting") console.log(change.delayMs.toFixed(), change.reason);
  if (change.state === "closed") console.log(change.error.closeCode.toFixed());
});
const place: Place = await room.ask("chat", { text: "Hi" }, { to: "bo", id: "take-3", keep: true, timeoutMs: 5_000 });
const { offset, epoch }: { offset: number; epoch: string } = place;
const { signal } = new AbortController();
await connect(null, { ticket, since: room.since, signal, onRoundTrip: (ms) => console.log(ms.toFixed(), epoch) });
const version: number = await room.setState("solo", "ada", { ifVersion: room.state.version("solo"), ephemeral: true });
const transport: Transport = room.transport;
await room.setTransport({ tempoBpm: transport.tempoBpm, loop: { startBeat: 0, endBeat: 4 } });
for (const [key, value] of room.state) console.log(key, value, room.position(Date.now()), offset, version);
try {
  for await (const message of room) {
    const each: Message = message;
    if (each.offset === null) stop();
  }
} catch (error) {
  if (error instanceof NotTaken) console.log(error.version);
  if (error instanceof Closed || error instanceof EntryRefused || error instanceof InvalidInput) throw error.code;
}
// @ts-expect-error a chat has a text
room.on("chat", ({ payload }) => payload.txt);
// @ts-expect-error there is no such status
await room.setPresence({ status: "asleep" });
// @ts-expect-error rooms are made by `connect`
new (await import("@omnisonic/client")).ClientRoom();
"""
SETTINGS: Final[dict[str, Any]] = {
    "compilerOptions": {
        "strict": True,
        "noUncheckedIndexedAccess": True,
        "exactOptionalPropertyTypes": True,
        "target": "ES2022",
        "module": "NodeNext",
        "moduleResolution": "NodeNext",
        "lib": ["ES2022", "DOM", "DOM.AsyncIterable"],
        "types": [],
        "noEmit": True,
        "skipLibCheck": False,
    },
    "files": ["sample.ts"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's project, with what `npm pack` makes unpacked where `npm install` puts it."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs the npm command")
    folder = tmp_path_factory.mktemp("project")
    pack = [npm, "pack", "--json", "--offline", "--pack-destination", str(folder)]
    packed = subprocess.run(pack, cwd=FOLDER, capture_output=True, text=True, timeout=PACK_S, check=False)
    assert packed.returncode == 0, packed.stderr
    (archive,) = folder.glob("*.tgz")
    place = folder / "node_modules" / "@omnisonic"
    place.mkdir(parents=True)
    shutil.unpack_archive(archive, place)
    (place / "package").rename(place / "client")
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def test_the_package_has_what_it_needs_and_nothing_else(project: Path) -> None:
    """The version and the licence are the project's."""
    package = project / "node_modules" / "@omnisonic" / "client"
    assert {path.name for path in package.iterdir()} == FILES
    described = json.loads((package / "package.json").read_text())
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (described["version"], described["license"]) == (ours["version"], ours["license"])
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "dependencies" not in described
    assert not re.search(r"^import |import\(|require\(", MODULE.read_text(), re.MULTILINE)


def test_a_strict_program_compiles_and_a_wrong_one_does_not(project: Path, node_packages: NodePackages) -> None:
    """Each name, and three mistakes that are noticed."""
    (project / "sample.ts").write_text(SAMPLE)
    (project / "tsconfig.json").write_text(json.dumps(SETTINGS))
    node_packages.run_program("tsc", "--project", project)


@needs_node
def test_the_types_name_what_the_module_has(project: Path) -> None:
    """All classes and functions, and all that a room has; nothing that is not there."""
    program = """
        const module = await import("@omnisonic/client");
        const names = Reflect.ownKeys(module.ClientRoom.prototype).filter((name) => typeof name === "string");
        console.log(JSON.stringify([Object.keys(module), names]));
    """
    ended = run_node(project, "--input-type=module", "-e", program)
    assert ended.returncode == 0, ended.stderr
    exported, of_a_room = json.loads(ended.stdout)
    types = (FOLDER / "omnisonic.d.ts").read_text()
    assert set(re.findall(r"^export (?:class|function) (\w+)", types, re.MULTILINE)) == set(exported)
    room = types.partition("export class ClientRoom")[2].partition("\n}\n")[0]
    named = set(re.findall(r"^  (?:readonly |private )?(\w+)[(:<]", room, re.MULTILINE))
    assert named == set(of_a_room)


def test_the_chat_is_as_short_as_promised_and_as_printed() -> None:
    """The page of the documents has the script of the example."""
    page = (FOLDER / "example.html").read_text()
    script = page.partition('<script type="module">\n')[2].partition("</script>")[0]
    lines = [line.removeprefix("  ") for line in script.splitlines()]
    assert len(lines) <= MOST_LINES
    assert "\n".join(lines) in PAGE.read_text()


@needs_node
async def test_the_program_of_the_documents_runs(project: Path) -> None:
    """It answers whoever asks it, and leaves when it is told to."""
    (program,) = re.findall(r"```js\n// node bot\.mjs.*\n([^`]+)```", PAGE.read_text())
    (project / "bot.mjs").write_text(program)
    async with band("bo", room="night-jam") as (gateway, [bo]), trio.open_nursery() as nursery:
        ended = trio.Event()

        async def run() -> None:
            with trio.fail_after(DEADLINE_S):
                done = await trio.run_process([*NODE, "bot.mjs", gateway.url], cwd=project, capture_stdout=True)
            assert done.stdout.decode().startswith("in the room: Bo, Bot")
            ended.set()

        nursery.start_soon(run)
        with trio.fail_after(DEADLINE_S):
            async for message in bo:
                if message.type == "presence.join":
                    break
            await bo.ask("ping", 17)
            assert (await hear(bo, "pong")).payload == 17
            await bo.say("stop")
            await ended.wait()


def run_node(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Node until it ends, well or not."""
    return subprocess.run(
        [*NODE, *arguments], cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
