"""Commands whose `--help` also lists the environment variables that they read, with their descriptions."""

from typing import Any, ClassVar, Final

from typer.core import TyperCommand

LOGS: Final = ("log_level", "log_format")
EVERYWHERE: Final = ("omnisonic_env", "data_dir", *LOGS)
DATABASE: Final = ("database_url",)
SECRETS: Final = ("nextauth_secret", "nextauth_secret_previous")
ROOMS: Final = (
    "redis_url",
    "presence_ttl_s",
    "room_access",
    "allowed_origins",
    "allowed_hosts",
    *SECRETS,
)
TOKENS: Final = ("admin_token", "metrics_token")
WEB: Final = ("web_host", "web_port", "nextauth_url", "gateway_public_url", "trusted_proxies", *TOKENS)
SIGN_IN: Final = (
    "auth_enable_credentials",
    *(
        f"{provider}_{what}"
        for provider in ("github", "google", "discord")
        for what in ("client_id", "client_secret", "base_url", "api_url")
    ),
)
STORAGE: Final = (
    "storage_type",
    "storage_local_dir",
    "storage_cdn_url",
    "s3_bucket_name",
    "s3_region",
    "aws_access_key_id",
    "aws_secret_access_key",
    "minio_endpoint",
    "minio_bucket_name",
    "minio_access_key",
    "minio_secret_key",
)
UPLOADS: Final = ("upload_max_bytes", "upload_quota_bytes", "upload_max_active_per_user")
RETENTION: Final = ("upload_retention_days",)
EXPORTS: Final = ("export_max_active", "export_max_active_per_user")
MAKING: Final = ("export_worker_concurrency", "export_max_duration_seconds", "export_retention_days")
LIVEKIT: Final = ("livekit_url", "livekit_api_key", "livekit_api_secret")
GATEWAY: Final = (
    "gateway_host",
    "gateway_port",
    "gateway_id",
    "gateway_cluster",
    "gateway_rooms",
    "gateway_workers",
    "member_rate_per_s",
    "member_burst",
    "member_queue_bytes",
    "max_connections",
    "max_connections_per_address",
    "max_members_per_room",
    "reconnect_grace_s",
    "history_messages",
    "history_bytes",
    "history_s",
    "omnisonic_pure",
)
WEB_LIMITS: Final = (
    "web_max_connections",
    "web_max_connections_per_address",
    "rest_rate_per_s",
    "rest_burst",
    "rest_address_rate_per_s",
    "rest_address_burst",
    "max_event_streams",
    "max_event_streams_per_address",
    "max_event_streams_per_user",
)
PARITY: Final = ("parity_enabled", "parity_host", "parity_port")


class SettingsCommand(TyperCommand):
    """Lists `fields` of the settings after its options."""

    fields: ClassVar[tuple[str, ...]] = ()

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the section. The settings are imported only here, because importing them is slow."""
        from omnisonic.settings.fields import variable_of
        from omnisonic.settings.settings import explain

        super().format_epilog(ctx, formatter)
        with formatter.section("Environment"):
            formatter.write_dl([(variable_of(field), explain(field).replace("`", "")) for field in self.fields])


class ServeCommand(SettingsCommand):
    """`serve` runs all parts."""

    fields = (
        *EVERYWHERE,
        *DATABASE,
        "database_timeout_s",
        *ROOMS,
        *WEB,
        *WEB_LIMITS,
        "web_workers",
        *SIGN_IN,
        *STORAGE,
        *UPLOADS,
        *RETENTION,
        *EXPORTS,
        *MAKING,
        *LIVEKIT,
        *GATEWAY,
        *PARITY,
        "message_retention_days",
        "rooms_first",
    )


class GatewayCommand(SettingsCommand):
    """`gateway` checks origins, so it needs to know where the web is."""

    fields = (
        *EVERYWHERE,
        *DATABASE,
        "database_timeout_s",
        *ROOMS,
        *GATEWAY,
        *TOKENS,
        "web_host",
        "web_port",
        "nextauth_url",
        "gateway_public_url",
    )


class WebCommand(SettingsCommand):
    """`web` tells pages where the gateway is."""

    fields = (
        *EVERYWHERE,
        *DATABASE,
        "database_timeout_s",
        *ROOMS,
        *WEB,
        *WEB_LIMITS,
        *SIGN_IN,
        *STORAGE,
        *UPLOADS,
        *EXPORTS,
        *LIVEKIT,
        "gateway_host",
        "gateway_port",
    )


class WorkerCommand(SettingsCommand):
    """`worker` makes mixdowns, analyses uploads, delivers webhooks, and deletes what has expired."""

    fields = (
        *EVERYWHERE,
        *DATABASE,
        "redis_url",
        *SECRETS,
        *STORAGE,
        *RETENTION,
        *MAKING,
        "message_retention_days",
        "rooms_first",
    )


class DatabaseCommand(SettingsCommand):
    """A command on the database, which may be the one that `serve` runs in the data directory."""

    fields = (*EVERYWHERE, *DATABASE)


class WebhookCommand(SettingsCommand):
    """A command on the database that needs the secret of a webhook."""

    fields = (*EVERYWHERE, *DATABASE, *SECRETS)


class CleanUploadsCommand(SettingsCommand):
    """`clean-uploads` needs the rows and the objects."""

    fields = (*EVERYWHERE, *DATABASE, *STORAGE, *RETENTION)


class BackupCommand(SettingsCommand):
    """`backup` and `restore` need the rows, the objects and the secrets."""

    fields = (*EVERYWHERE, *DATABASE, *STORAGE)


class RoomsCommand(SettingsCommand):
    """`rooms` finds a gateway, and shows it the operator's token."""

    fields = (*EVERYWHERE, "admin_token", *GATEWAY[:2])


class DoctorCommand(SettingsCommand):
    """`doctor` checks everything that is configured."""

    fields = (
        *EVERYWHERE,
        *DATABASE,
        "redis_url",
        "room_access",
        *SECRETS,
        *WEB,
        *SIGN_IN,
        *STORAGE,
        *GATEWAY[:2],
        "gateway_rooms",
    )


class UnitsCommand(SettingsCommand):
    """`units` needs to know where gateway and web listen."""

    fields = (*GATEWAY[:2], *WEB[:2])


class ParityCommand(SettingsCommand):
    """`parity` stands alone."""

    fields = ("omnisonic_env", *LOGS, *PARITY, *WEB_LIMITS, "allowed_origins", "allowed_hosts")
