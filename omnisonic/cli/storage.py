"""The storage that the settings name (`omnisonic.stores.storage`), for one process and its running loop."""

from typing import TYPE_CHECKING

from pydantic import SecretStr

from omnisonic.settings.settings import Settings
from omnisonic.stores.storage import Storage
from omnisonic.stores.storage.local import LocalStorage

if TYPE_CHECKING:
    from omnisonic.stores.storage.s3 import Bucket

MINIO_REGION = "us-east-1"
"""What MinIO and its like call where they are, unless somebody has told them another name."""


def create_storage(settings: Settings) -> Storage:
    """The storage, which nothing is asked of yet: one that is not there is no error. Close it (`aclose`)."""
    if settings.storage_type == "local":
        return LocalStorage(settings.local_storage_dir)
    # Amazon's library takes half a second to load, which nobody waits for who does not need it.
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
            secret_key=_shown(secret_key),
            addressing="path",
        )
    name = settings.s3_bucket_name or ""
    return Bucket(
        name=name,
        region=settings.s3_region or "",
        access_key=settings.aws_access_key_id,
        secret_key=_shown(settings.aws_secret_access_key),
        # A certificate of Amazon's is good for one name before its own.
        addressing="path" if "." in name else "virtual",
    )


def _shown(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
