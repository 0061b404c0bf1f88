"""`omnisonic monitoring`: prints what Prometheus and Grafana need, for a file or a pipe (SPEC 9)."""

import typer

monitoring = typer.Typer(
    help="Print alert rules for Prometheus, and a dashboard for Grafana.", no_args_is_help=True, rich_markup_mode=None
)


@monitoring.command()
def alerts() -> None:
    """Print alert rules: save them as a file, and name it under `rule_files` in prometheus.yml."""
    from omnisonic.operations.monitoring import ALERTS, read_file

    typer.echo(read_file(ALERTS), nl=False)


@monitoring.command()
def dashboard() -> None:
    """Print a dashboard: save it as a file, and import that in Grafana."""
    from omnisonic.operations.monitoring import DASHBOARD, read_file

    typer.echo(read_file(DASHBOARD), nl=False)
