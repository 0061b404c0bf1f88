"""The static files of the pages: styles, scripts, the icon.

They are read once, at startup, and served under an address that contains a digest of them all. So browsers may cache
them for ever, and modules import one another by relative addresses. A file's name is its path in the folder.
"""

import hashlib
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from quart import Response
from werkzeug.exceptions import NotFound

from omnisonic.http.core.text_file import TextFile

STATIC_DIR: Final = Path(__file__).parents[1] / "static"
DIGEST_LENGTH: Final = 16
MAX_AGE_S: Final = 31_536_000
IMPORT: Final = re.compile(rb'^(?:import|export|\}).* from "(\.{1,2}/[a-z_/.]+\.js)";$', re.MULTILINE)
"""What a module needs before it can run. What it imports later, by `import()`, is not among it."""
MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFiles:
    """The content of a folder and of those in it, in memory, and the digest of all of it."""

    def __init__(self, folder: Path = STATIC_DIR) -> None:
        files = sorted(path for path in folder.rglob("*") if path.suffix in MEDIA_TYPES)
        self._files = {
            path.relative_to(folder).as_posix(): TextFile(path.read_bytes(), MEDIA_TYPES[path.suffix]) for path in files
        }
        digest = hashlib.sha256()
        for name, file in self._files.items():
            digest.update(f"{name} {len(file.content)}\n".encode() + file.content)
        self.digest = digest.hexdigest()[:DIGEST_LENGTH]

    def url(self, name: str) -> str:
        """The address of `name`. Raises `KeyError` when there is no such file, so that a typing error shows."""
        if name not in self._files:
            raise KeyError(name)
        return f"/static/{self.digest}/{name}"

    def imported(self, name: str) -> list[str]:
        """All modules that the script `name` imports, directly or not.

        A page that lists them all loads them at once, instead of one after another.
        """
        found, pending = {name}, [name]
        while pending:
            needed = self._needed_by(pending.pop())
            pending += needed - found
            found |= needed
        return sorted(found - {name})

    def _needed_by(self, name: str) -> set[str]:
        relative = (match.decode() for match in IMPORT.findall(self._files[name].content))
        return {posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) for path in relative}

    def response(self, digest: str, name: str) -> Response:
        """The file, cacheable for ever. Raises `NotFound`, also for a digest of another version."""
        if digest != self.digest or name not in self._files:
            raise NotFound
        return self._files[name].response({"Cache-Control": f"public, max-age={MAX_AGE_S}, immutable"})
