"""Links that download an upload, for whoever has them, for fifteen minutes.

Where a CDN stands before the storage, its address; else the storage's own link; else one of ours, signed over all that
serving it needs, so that it asks neither for a sign-in nor the database.
"""

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import msgspec
from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer

from omnisonic.http.core.errors import Refusal
from omnisonic.stores.storage import LINK_S, Key, Storage
from omnisonic.studio.uploads import StoredUpload

SALT: Final = "omnisonic.download"


class Download(msgspec.Struct, frozen=True, array_like=True):
    """All that serving an object needs."""

    key: Key
    file_name: str
    mime_type: str
    size: int
    sha256: str


class DownloadLinks:
    """Makes links to what is in `storage`, and reads those of ours. `cdn_url` is where a CDN serves the same keys."""

    def __init__(
        self, storage: Storage, *, secret: str, cdn_url: str | None, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` tells the seconds since the epoch that links are signed at."""
        self._storage = storage
        self._cdn_url = cdn_url
        self._signer = URLSafeTimedSerializer(secret, salt=SALT, signer=_signer_at(clock))

    async def url(self, kept: StoredUpload, origin: str) -> str:
        """A link to this upload; ours are at `origin`. Errors: `Unavailable`."""
        if self._cdn_url is not None:
            return f"{self._cdn_url}/{quote(kept.key)}"
        link = await self._storage.link(kept.key, kept.label)
        if link is not None:
            return link
        signed = self._signer.dumps(msgspec.to_builtins(download_of(kept)))
        return f"{origin}/files/{signed}/{quote(kept.upload.file_name, safe='')}"

    def read(self, signed: str) -> Download:
        """What a link of ours is for. Errors: `Refusal` (403) when it is not ours, or too old."""
        try:
            return msgspec.convert(self._signer.loads(signed, max_age=LINK_S), Download)
        except SignatureExpired:
            raise Refusal(403, "link_expired", "This link has run out. Ask the studio for a new one.") from None
        except (BadData, msgspec.ValidationError):
            raise Refusal(403, "link_invalid", "This link is damaged. Ask the studio for a new one.") from None


def _signer_at(clock: Callable[[], float]) -> type[TimestampSigner]:
    class Signer(TimestampSigner):
        def get_timestamp(self) -> int:
            return int(clock())

    return Signer


def download_of(kept: StoredUpload) -> Download:
    """What serving this upload needs."""
    upload = kept.upload
    return Download(kept.key, upload.file_name, upload.mime_type, upload.file_size, upload.sha256)
