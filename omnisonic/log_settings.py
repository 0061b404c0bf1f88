"""The settings of logs: how much is told, and how it is written (SPEC 2). Part of `omnisonic.config.Settings`."""

from typing import Literal

from pydantic import BaseModel, Field, field_validator


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
