"""What the fork server of `serve` gets to know, and what it imports."""

import pytest

from omnisonic.cli.forked_parts import create_fork_server, without_secrets
from omnisonic.settings.settings import Settings


def test_the_fork_server_gets_what_imports_depend_on_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which build is imported, and what Python, the system and OpenTelemetry read; no setting of ours or of others."""
    kept = {"OMNISONIC_PURE": "true", "PYTHONDEVMODE": "1", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "9"}
    left_out = (
        *("NEXTAUTH_SECRET", "DATABASE_URL", "database_url", "ADMIN_TOKEN", "GITHUB_CLIENT_SECRET", "WEB_PORT"),
        *("AWS_SESSION_TOKEN", "PGPASSWORD", "OTEL_EXPORTER_OTLP_HEADERS", "OTHER_API_KEY"),
        *("SENTRY_DSN", "HTTPS_PROXY", "SLACK_WEBHOOK", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    )
    for name, value in (kept | dict.fromkeys(left_out, "canary")).items():
        monkeypatch.setenv(name, value)
    environ = create_fork_server(Settings()).spec.environ
    assert kept.items() <= environ.items()
    assert environ["PYTHONUNBUFFERED"] == "1"
    assert not environ.keys() & {*left_out}


def test_amazons_library_is_imported_for_buckets_only() -> None:
    """It takes half a second."""
    local = Settings()
    minio = local.model_copy(update={"storage_type": "minio"})
    buckets = "omnisonic.stores.storage.s3"
    assert [buckets in create_fork_server(each).spec.command for each in (local, minio)] == [False, True]


def test_the_parity_service_gets_no_secrets() -> None:
    """Neither those of the studio nor those of the services that it signs people in with."""
    secrets = ("NEXTAUTH_SECRET", "redis_url", "GITHUB_CLIENT_SECRET", "LIVEKIT_API_SECRET", "PGPASSWORD")
    assert without_secrets(dict.fromkeys(secrets, "canary") | {"PARITY_PORT": "0"}) == {"PARITY_PORT": "0"}
