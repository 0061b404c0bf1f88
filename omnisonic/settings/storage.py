"""The settings of uploads and of object storage (SPEC 2). Part of `omnisonic.settings.settings.Settings`."""

import re
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from omnisonic.settings.origins import check_base_url

_HTTP: Final = ("http", "https")
_NEEDED: Final = {
    "local": (),
    "s3": ("s3_bucket_name", "s3_region"),
    "minio": ("minio_endpoint", "minio_bucket_name"),
}
"""What each kind of storage cannot do without."""

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class StorageSettings(BaseModel):
    """Where files are kept, and how much of them."""

    storage_type: Literal["local", "minio", "s3"] = Field(
        default="local", description="where uploads are kept: `local`, `minio` or `s3`"
    )
    storage_local_dir: Path | None = Field(
        default=None, description="the folder of local storage (default: `uploads` in the data directory)"
    )
    storage_cdn_url: str | None = Field(
        default=None, description="the `https://` URL under which a CDN serves the bucket or the folder (default: none)"
    )
    s3_bucket_name: str | None = Field(default=None, description="the bucket, for `s3`")
    s3_region: str | None = Field(
        default=None, description="the region of the bucket, for `s3`, and for `minio` where its server has another one"
    )
    aws_access_key_id: str | None = Field(
        default=None, description="the access key, for `s3` (default: what the machine's role gives)"
    )
    aws_secret_access_key: SecretStr | None = Field(default=None, description="the secret to `AWS_ACCESS_KEY_ID`")
    minio_endpoint: str | None = Field(default=None, description="the `http://` or `https://` URL of MinIO")
    minio_bucket_name: str | None = Field(default=None, description="the bucket, for `minio`")
    minio_access_key: str | None = Field(
        default=None, description="the access key, for `minio` (default: `AWS_ACCESS_KEY_ID`)"
    )
    minio_secret_key: SecretStr | None = Field(
        default=None, description="the secret to `MINIO_ACCESS_KEY` (default: `AWS_SECRET_ACCESS_KEY`)"
    )
    upload_max_bytes: int = Field(default=104_857_600, ge=1, description="bytes in one upload at most")
    upload_quota_bytes: int = Field(
        default=10_737_418_240, ge=0, description="bytes that one user may keep; 0: no limit"
    )
    upload_max_active_per_user: int = Field(
        default=16, ge=0, le=1000, description="files of one user that may arrive at once; 0: no limit"
    )
    upload_retention_days: int = Field(
        default=30, ge=1, le=36_500, description="days that an upload without a session is kept"
    )

    @field_validator("storage_cdn_url", "minio_endpoint")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is None:
            return None
        check_base_url(value, _HTTP)
        return value.rstrip("/")

    @field_validator("s3_bucket_name", "minio_bucket_name")
    @classmethod
    def _is_bucket(cls, value: str | None) -> str | None:
        if value is not None and not _BUCKET.fullmatch(value):
            raise ValueError("it must be a bucket's name: 3 to 63 small letters, digits, dots and hyphens")
        return value

    @model_validator(mode="after")
    def _storage_is_whole(self) -> Self:
        for field in _NEEDED[self.storage_type]:
            if not getattr(self, field):
                raise ValueError(f"{field.upper()} is not set, and STORAGE_TYPE={self.storage_type} needs it")
        if self.storage_type == "minio":
            self._minio_has_keys()
        if bool(self.aws_access_key_id) != bool(self.aws_secret_access_key):
            missing = "AWS_SECRET_ACCESS_KEY" if self.aws_access_key_id else "AWS_ACCESS_KEY_ID"
            given = "AWS_ACCESS_KEY_ID" if self.aws_access_key_id else "AWS_SECRET_ACCESS_KEY"
            raise ValueError(f"{missing} is not set, and {given} needs it")
        return self

    def minio_keys(self) -> tuple[str | None, SecretStr | None]:
        """The access key and its secret, for `minio`: those of MinIO, or where neither is set those of AWS."""
        if self.minio_access_key or self.minio_secret_key:
            return self.minio_access_key, self.minio_secret_key
        return self.aws_access_key_id, self.aws_secret_access_key

    def _minio_has_keys(self) -> None:
        has_aws = not (self.minio_access_key or self.minio_secret_key) and bool(
            self.aws_access_key_id or self.aws_secret_access_key
        )
        for field in () if has_aws else ("minio_access_key", "minio_secret_key"):
            if not getattr(self, field):
                raise ValueError(f"{field.upper()} is not set, and STORAGE_TYPE=minio needs it")
