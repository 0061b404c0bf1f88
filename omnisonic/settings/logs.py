"""The settings of logs: how much is told, and how it is written (SPEC 2). Part of
`omnisonic.settings.settings.Settings`.
"""

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, Field, field_validator

NODE_LEVELS: Final[Mapping[str, str]] = {"trace": "debug", "warn": "warning", "fatal": "error"}
"""What loggers for Node call a level, and what it is called here."""


class LogSettings(BaseModel):
    """What every part's log is like."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="what is logged: `debug`, `info`, `warning` or `error` and worse"
    )
    log_format: Literal["text", "json"] | None = Field(
        default=None, description="`text` or `json`, a JSON object a line (default: `json` in production, else `text`)"
    )

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _by_other_names(cls, value: object) -> object:
        return NODE_LEVELS.get(value.strip().lower(), value) if isinstance(value, str) else value
