"""Translates failures of an S3 server, or of the connection to it, into the errors of `Storage`. Pure."""

from http import HTTPStatus
from typing import Final

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    SSLError,
)

from omnisonic.errors import OmnisonicError, Unavailable
from omnisonic.stores.storage import NoSuchObject, StorageFull, StorageRefused

FAILURES: Final = (BotoCoreError, ClientError, aiohttp.ClientError, OSError)
"""All that is raised when the server cannot be reached, is slow or refuses. `TimeoutError` is an `OSError`."""

_REASONS: Final = {
    "NoSuchBucket": "has no bucket {bucket!r}",
    "InvalidAccessKeyId": "does not know the access key",
    "SignatureDoesNotMatch": "does not accept the secret key",
    "AccessDenied": "does not permit this access key {call}, which uploads need",
    "AllAccessDisabled": "does not permit this access key {call}, which uploads need",
    "ExpiredToken": "says that the credentials have expired",
    "RequestTimeTooSkewed": "says that the clock of this machine is wrong",
    "InvalidBucketName": "does not take the bucket's name",
    "PermanentRedirect": "has the bucket in another region",
    "AuthorizationHeaderMalformed": "has the bucket in another region",
    "NotImplemented": "does not know the call {call}, which uploads need",
}
"""Refusals by their code. The server's own text is left out: it may contain our secrets."""
_FULL: Final = ("XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientStorage")
_REFUSED: Final = (301, 400, 401, 403, 404, 405, 501)
"""Statuses after which a retry does not help."""
_BRIEF: Final = ("RequestTimeout", "IncompleteBody", "BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch")
"""Codes that come with such a status when bytes were lost on the way."""
SENTENCE: Final = "The studio's storage does not answer now. Try again in a moment."


def code_of(failure: BaseException) -> str:
    """The server's error code; empty when it sent none."""
    return str(failure.response.get("Error", {}).get("Code", "")) if isinstance(failure, ClientError) else ""


def storage_error(failure: Exception, *, bucket: str, server: str) -> OmnisonicError:
    """The error to raise for `failure`, one of `FAILURES`."""
    if isinstance(failure, ClientError):
        return _refusal(failure, bucket, server)
    if isinstance(failure, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return StorageRefused(f"There are no credentials for the S3 store {server}.")
    if isinstance(failure, SSLError):
        return StorageRefused(f"The certificate of the S3 store {server} cannot be trusted.")
    if isinstance(failure, ParamValidationError):
        return StorageRefused(f"{bucket!r} cannot be the name of a bucket.")
    return Unavailable(SENTENCE)


def _refusal(failure: ClientError, bucket: str, server: str) -> OmnisonicError:
    code = code_of(failure)
    status = int(failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchKey":
        return NoSuchObject()
    if code in _FULL or status == HTTPStatus.INSUFFICIENT_STORAGE:
        return StorageFull()
    if code in _REASONS or (status in _REFUSED and code not in _BRIEF):
        reason = _REASONS.get(code, "answers {code} to the call {call}, which uploads need")
        reason = reason.format(bucket=bucket, code=code or status, call=failure.operation_name)
        return StorageRefused(f"The S3 store {server} {reason}.")
    return Unavailable(SENTENCE)
