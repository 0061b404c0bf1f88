"""Creates the storage that the settings name (`omnisonic.stores.storage`)."""

from typing import TYPE_CHECKING

from pydantic import SecretStr

from omnisonic.settings.settings import Settings
from omnisonic.stores.storage import Storage
from omnisonic.stores.storage.local import LocalStorage

if TYPE_CHECKING:
    from omnisonic.stores.storage.s3 import Bucket

MINIO_REGION = "us-east-1"
"""The default region of MinIO and similar servers."""


def create_storage(settings: Settings) -> Storage:
    """Create the storage, for the running loop. It does not connect yet. Close it with `aclose`."""
    if settings.storage_type == "local":
        return LocalStorage(settings.local_storage_dir)
    # Amazon's library takes half a second to import, so only S3 and MinIO import it.
    from omnisonic.stores.storage.s3 import S3Storage

    return S3Storage(_bucket(settings))


def _bucket(settings: Settings) -> "Bucket":
    from omnisonic.stores.storage.s3 import Bucket

    if settings.storage_type == "minio":
        access_key, secret_key = settings.minio_keys()
        return Bucket(
            name=settings.minio_bucket_name or "",
            region=settings.s3_region or MINIO_REGION,
            endpoint=settings.minio_endpoint,
            access_key=access_key,
            secret_key=_reveal(secret_key),
            addressing="path",
        )
    name = settings.s3_bucket_name or ""
    return Bucket(
        name=name,
        region=settings.s3_region or "",
        access_key=settings.aws_access_key_id,
        secret_key=_reveal(settings.aws_secret_access_key),
        # Amazon's certificates are for one label before its own name.
        addressing="path" if "." in name else "virtual",
    )


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
