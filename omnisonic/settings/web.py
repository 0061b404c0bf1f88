"""The settings of the web: how many connections it holds, how often one may ask (SPEC 2).

Part of `omnisonic.settings.settings.Settings`.
"""

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
    rest_rate_per_s: float = Field(
        default=20, ge=0, allow_inf_nan=False, description="requests a second that one person may make; 0: no limit"
    )
    rest_burst: int = Field(default=600, ge=1, description="requests that one person may make at once")
    rest_address_rate_per_s: float = Field(
        default=100,
        ge=0,
        allow_inf_nan=False,
        description="requests a second from one address, whoever makes them; 0: no limit",
    )
    rest_address_burst: int = Field(default=3000, ge=1, description="requests from one address at once")
