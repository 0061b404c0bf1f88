"""A command whose `--help` also lists the environment variables that matter to it, from the settings themselves."""

from typing import Any, ClassVar, Final

from typer.core import TyperCommand

EVERYWHERE: Final = ("omnisonic_env", "redis_url", "presence_ttl_s", "room_access", "allowed_origins", "allowed_hosts")
WEB: Final = ("web_host", "web_port", "nextauth_url", "gateway_public_url")
GATEWAY: Final = (
    "gateway_host",
    "gateway_port",
    "gateway_id",
    "member_rate_per_s",
    "member_burst",
    "member_queue_bytes",
    "max_connections",
    "max_connections_per_address",
    "max_members_per_room",
)


class SettingsCommand(TyperCommand):
    """Lists `fields` of the settings after its options."""

    fields: ClassVar[tuple[str, ...]] = ()

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the section. The settings are imported only here: they cost more than all else of `--help`."""
        from omnisonic.config import explain, variable_of

        super().format_epilog(ctx, formatter)
        with formatter.section("Environment"):
            formatter.write_dl([(variable_of(field), explain(field).replace("`", "")) for field in self.fields])


class ServeCommand(SettingsCommand):
    """`serve` runs all parts."""

    fields = ("data_dir", *EVERYWHERE, *WEB, *GATEWAY)


class GatewayCommand(SettingsCommand):
    """`gateway` checks origins, so it needs to know where the web is."""

    fields = (*EVERYWHERE, *GATEWAY, *WEB)


class WebCommand(SettingsCommand):
    """`web` tells pages where the gateway is."""

    fields = (*EVERYWHERE, *WEB, "gateway_host", "gateway_port")
