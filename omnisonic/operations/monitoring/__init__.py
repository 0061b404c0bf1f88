"""What a Prometheus and a Grafana need to watch a studio: alert rules and a dashboard, as files (SPEC 9)."""

from importlib.resources import files
from typing import Final

ALERTS: Final = "alerts.yml"
DASHBOARD: Final = "dashboard.json"


def read_file(name: str) -> str:
    """The text of one of the files, by its name."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
