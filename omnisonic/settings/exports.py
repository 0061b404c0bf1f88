"""The settings of exports: how many are made, for how long, and kept (SPEC 2). Part of
`omnisonic.settings.settings.Settings`.
"""

from pydantic import BaseModel, Field


class ExportSettings(BaseModel):
    """How much making mixdowns may cost."""

    export_max_active: int = Field(
        default=2, ge=0, le=1000, description="mixdowns of one session in the making at once; 0: no limit"
    )
    export_max_active_per_user: int = Field(
        default=4, ge=0, le=1000, description="mixdowns that one user may have in the making at once; 0: no limit"
    )
    export_worker_concurrency: int = Field(default=2, ge=1, le=64, description="mixdowns that a worker makes at once")
    export_max_duration_seconds: int = Field(
        default=600, ge=1, le=86_400, description="seconds that making one mixdown may take"
    )
    export_retention_days: int = Field(
        default=30, ge=1, le=36_500, description="days that a mixdown is kept after it was asked for"
    )
