"""The commands `omnisonic webhooks …`: their arguments and their help.

Settings are read before anything heavy is imported.
"""

from typing import Annotated

import typer

from omnisonic.cli.command import DatabaseCommand, WebhookCommand

webhooks = typer.Typer(
    help="Have programs of yours told what happens in rooms.", no_args_is_help=True, rich_markup_mode=None
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="The number of the webhook, as `ls` shows it.")]


@webhooks.command("add", cls=WebhookCommand)
def add_webhook(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are sent: https, or http on this machine.")],
    room: Annotated[str | None, typer.Option("--room", help="The only room that it is for.")] = None,
    events: Annotated[
        str, typer.Option("--events", metavar="TYPES", help="The events that it is for, with commas. Default: all.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make a webhook, and print its secret. The secret is not shown again."""
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli import webhooks

    webhooks.add(settings, url, room=room, events=events, as_json=as_json)


@webhooks.command("ls", cls=DatabaseCommand)
def list_webhooks(as_json: AsJson = False) -> None:
    """List the webhooks: what they are for, how many events wait, and what is wrong."""
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli import webhooks

    webhooks.show(settings, as_json=as_json)


@webhooks.command("deliveries", cls=DatabaseCommand)
def list_deliveries(
    webhook: Number,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 20,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that were given up.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the last deliveries of a webhook, newest first. With --json also the events that were not delivered."""
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli import webhooks

    webhooks.show_deliveries(settings, webhook, limit=limit, failed=failed, as_json=as_json)


@webhooks.command("test", cls=WebhookCommand)
def test_webhook(webhook: Number) -> None:
    """Send an event of the type `webhook.test` now, from here, and print the answer."""
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli import webhooks

    webhooks.test(settings, webhook)


@webhooks.command("rm", cls=DatabaseCommand)
def remove_webhook(webhook: Number) -> None:
    """Remove a webhook, and all events that wait for it."""
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli import webhooks

    webhooks.remove(settings, webhook)
