"""Links to objects in a bucket: presigned URLs (AWS Signature Version 4, in the query). Asyncio.

botocore takes more than a millisecond of the loop for each, and a list of uploads has hundreds. So botocore makes one
link, which says where the bucket is and which region signs; all others are signed here, as it signs them. What botocore
knows of its credentials is asked for every link: those of a machine's role change.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, urlsplit

from aiobotocore.session import AioSession
from botocore.exceptions import NoCredentialsError

from omnisonic.stores.storage import LINK_S, Key, Label, attachment

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNRESERVED: Final = "-_.~"
DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
"""They are not in the header `Host`."""
_SAMPLE: Final = "sample"


class LinkSigner:
    """Signs links to objects in the bucket `name`. It belongs to the loop that uses it."""

    def __init__(self, session: AioSession, name: str) -> None:
        """`session` has the credentials."""
        self._session = session
        self._name = name
        self._base: str | None = None
        self._region = ""

    async def link(self, client: "S3Client", key: Key, label: Label) -> str:
        """Make a link to the object at `key`, valid for `LINK_S`. Errors: `BotoCoreError`."""
        if self._base is None:
            await self._find_base(client)
        credentials = await self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        keys = await credentials.get_frozen_credentials()
        now = datetime.now(UTC)
        scope = f"{now:%Y%m%d}/{self._region}/s3/aws4_request"
        values = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{keys.access_key}/{scope}",
            "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}",
            "X-Amz-Expires": str(LINK_S),
            "X-Amz-SignedHeaders": "host",
            "response-content-disposition": attachment(label.file_name),
            "response-content-type": label.mime_type,
        }
        if keys.token:
            values["X-Amz-Security-Token"] = keys.token
        query = "&".join(sorted(f"{name}={quote(value, safe=UNRESERVED)}" for name, value in values.items()))
        url = f"{self._base}{key}"
        where = urlsplit(url)
        host = where.netloc.lower().removesuffix(DEFAULT_PORTS[where.scheme])
        request = "\n".join(["GET", where.path, query, f"host:{host}\n", "host", "UNSIGNED-PAYLOAD"])
        digest = hashlib.sha256(request.encode()).hexdigest()
        signed = "\n".join([ALGORITHM, values["X-Amz-Date"], scope, digest])
        secret = f"AWS4{keys.secret_key}".encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        signature = hmac.digest(secret, signed.encode(), "sha256").hex()
        return f"{url}?{query}&X-Amz-Signature={signature}"

    async def _find_base(self, client: "S3Client") -> None:
        """Find what the links of the bucket begin with, and the region that signs them."""
        sample = await client.generate_presigned_url("get_object", Params={"Bucket": self._name, "Key": _SAMPLE})
        base, _, query = sample.partition("?")
        self._region = parse_qs(query)["X-Amz-Credential"][0].split("/")[-3]
        self._base = base.removesuffix(_SAMPLE)
