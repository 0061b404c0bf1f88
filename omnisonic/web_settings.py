"""The settings of the web's server: how many connections it holds (SPEC 2). Part of `omnisonic.config.Settings`."""

from pydantic import BaseModel, Field


class WebSettings(BaseModel):
    """What one web process takes on at once."""

    web_max_connections: int = Field(
        default=4_000,
        ge=0,
        description="connections that one web process holds, if half its file descriptors are as many; 0: those",
    )
    web_max_connections_per_address: int = Field(
        default=256,
        ge=0,
        description="connections to one web process from one address, but those of `TRUSTED_PROXIES`; 0: no limit",
    )
