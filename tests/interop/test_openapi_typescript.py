"""A client whose types `openapi-typescript` makes of our document compiles, and does what a person does (SPEC 3)."""

import json
import shutil
from pathlib import Path
from typing import Final

import httpx

from tests.http.sounds import wav
from tests.node_packages import NodePackages
from tests.system.studio import Studio

SOURCES: Final = ("person.ts", "node.d.ts", "tsconfig.json")


def test_a_client_in_typescript_does_what_a_person_does(
    studio: Studio, node_packages: NodePackages, tmp_path: Path
) -> None:
    """The strictest compiler agrees with it, then it signs in, uploads, has it mixed and takes it home."""
    base = f"http://127.0.0.1:{studio.visitors.web_port}"
    for name in SOURCES:
        shutil.copy(node_packages.folder / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(node_packages.folder / "node_modules")
    document, stem, program = tmp_path / "openapi.json", tmp_path / "bass.wav", tmp_path / "person.mjs"
    document.write_bytes(httpx.get(f"{base}/api/openapi.json").content)
    stem.write_bytes(wav(1.0))
    node_packages.run_program("openapi-typescript", document, "--output", tmp_path / "schema.d.ts")
    node_packages.run_program("tsc", "--project", tmp_path)
    options = ("--bundle", "--platform=node", "--format=esm", "--log-level=warning", f"--outfile={program}")
    node_packages.run_program("esbuild", tmp_path / "person.ts", *options)
    ended = node_packages.run(program, base, stem, "said")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.removeprefix("said ")) == {
        "who": "ts@example.com",
        "listed": [True],
        "one": "From TypeScript",
        "uploads": ["bass.wav"],
        "gainDb": -6,
        "status": "completed",
        "begins": "fLaC",
        "stranger": 401,
    }
