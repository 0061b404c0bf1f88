"""A Python client that `openapi-python-client` generates from our document does all that a person does (SPEC 3)."""

import io
import subprocess
import sys
import wave
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import httpx
import pytest

from tests.cli.running import eventually
from tests.http.sounds import wav
from tests.python_packages import FOLDER
from tests.system.studio import Studio

PACKAGE: Final = "generated_studio_client"
GENERATE_S: Final = 120.0
TIMEOUT_S: Final = 40.0
"""A download waits for its mixdown."""
STEM_S: Final = 1.0


@pytest.fixture(scope="module")
def client(studio: Studio, generator_python: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The generated package, which the generator had nothing to say about."""
    folder = tmp_path_factory.mktemp("generated")
    document = folder / "openapi.json"
    document.write_bytes(httpx.get(f"{base_url(studio)}/api/openapi.json").content)
    options = {"meta": "none", "path": document, "output-path": folder / PACKAGE, "config": FOLDER / "config.yaml"}
    done = subprocess.run(
        [
            generator_python.with_name("openapi-python-client"),
            "generate",
            *(f"--{name}={value}" for name, value in options.items()),
        ],
        env={"PATH": str(generator_python.parent)},
        capture_output=True,
        text=True,
        timeout=GENERATE_S,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.strip() == f"Generating {folder / PACKAGE}"
    with pytest.MonkeyPatch.context() as paths:
        paths.syspath_prepend(folder)
        package = import_module(PACKAGE)
        for module in (folder / PACKAGE / "api" / "default").glob("*.py"):
            import_module(f"{PACKAGE}.api.default.{module.stem}")
        import_module(f"{PACKAGE}.models")
        import_module(f"{PACKAGE}.types")
    return package


def base_url(studio: Studio) -> str:
    return f"http://127.0.0.1:{studio.visitors.web_port}"


def test_a_generated_client_does_what_a_person_does(studio: Studio, client: ModuleType) -> None:
    """Sign in, make a session, upload a stem, have it mixed, wait for it, take it home, and find all of it listed."""
    api: Any = sys.modules[f"{PACKAGE}.api.default"]
    models: Any = sys.modules[f"{PACKAGE}.models"]
    types: Any = sys.modules[f"{PACKAGE}.types"]
    with client.Client(base_url=base_url(studio), timeout=httpx.Timeout(TIMEOUT_S)) as here:
        credentials = models.PostAuthCredentialsJsonCredentials(email="py@example.com", password="a good password")
        assert api.post_auth_credentials.sync(client=here, body=credentials).url.endswith("/sessions")
        assert api.get_auth_session.sync(client=here).user.email == "py@example.com"

        wanted = models.PostSessionsCreateNewSession(name="From a generated client")
        session = api.post_sessions_create.sync(client=here, body=wanted).session
        listed = api.get_sessions_read.sync(client=here)
        assert [each.id for each in listed.sessions] == [session.id]
        assert api.get_sessions_read.sync(client=here, id=session.id).session.name == wanted.name

        sound = wav(STEM_S)
        file = types.File(payload=io.BytesIO(sound), file_name="bass.wav", mime_type="audio/wav")
        stem = models.PostUploadsCreateBody(file=file, session_id=session.id)
        upload = api.post_uploads_create.sync(client=here, body=stem).upload
        uploads = api.get_uploads_list.sync(client=here, session_id=session.id).uploads
        assert [each.upload.file_name for each in uploads] == ["bass.wav"]
        assert api.get_downloads_by_role.sync(upload.id, client=here).payload.read() == sound

        mixdown = models.PostExportsCreateNewExport(session_id=session.id)
        export = api.post_exports_create.sync(client=here, body=mixdown)
        downloaded: list[bytes] = []

        def is_made() -> bool:
            answer = api.get_exports_download.sync(export.export_id, client=here)
            if isinstance(answer, types.File):
                downloaded.append(answer.payload.read())
            return bool(downloaded)

        eventually(is_made, what="the mixdown can be downloaded")
        with wave.open(io.BytesIO(downloaded[0])) as mixed:
            assert mixed.getnframes() == round(STEM_S * mixed.getframerate())
        exports = api.get_exports_read.sync(client=here, session_id=session.id).exports
        assert [(each.export_id, each.status) for each in exports] == [(export.export_id, "completed")]
        assert api.get_exports_read.sync(client=here, id=export.export_id).status == "completed"

        assert api.delete_uploads_remove.sync(upload.id, client=here).ok is True
        assert api.post_auth_sign_out.sync(client=here, body=models.PostAuthSignOutJsonGoing()).url
        assert api.get_sessions_read.sync(client=here).code == "sign_in_required"
