"""The settings of sign-in by providers: GitHub, Google, Discord (SPEC 2). Part of
`omnisonic.settings.settings.Settings`.
"""

from typing import Final

from pydantic import BaseModel, Field, SecretStr

PROVIDERS: Final = ("github", "google", "discord")


class ProviderSettings(BaseModel):
    """By whom people may sign in. A provider is on when its id and its secret are set."""

    github_client_id: str | None = Field(
        default=None, description="the OAuth application at GitHub; with its secret sign-in by GitHub is on"
    )
    github_client_secret: SecretStr | None = Field(default=None, description="the secret to `GITHUB_CLIENT_ID`")
    github_base_url: str = Field(
        default="https://github.com", description="where people sign in to GitHub, or to a GitHub Enterprise"
    )
    github_api_url: str = Field(default="https://api.github.com", description="the API of GitHub, or of the Enterprise")
    google_client_id: str | None = Field(
        default=None, description="the OAuth client at Google; with its secret sign-in by Google is on"
    )
    google_client_secret: SecretStr | None = Field(default=None, description="the secret to `GOOGLE_CLIENT_ID`")
    google_base_url: str = Field(default="https://accounts.google.com", description="Google, or another OpenID issuer")
    google_api_url: str = Field(
        default="https://openidconnect.googleapis.com",
        description="the API of Google, which is not asked: its ID token says who somebody is",
    )
    discord_client_id: str | None = Field(
        default=None, description="the application at Discord; with its secret sign-in by Discord is on"
    )
    discord_client_secret: SecretStr | None = Field(default=None, description="the secret to `DISCORD_CLIENT_ID`")
    discord_base_url: str = Field(default="https://discord.com", description="where people sign in to Discord")
    discord_api_url: str = Field(default="https://discord.com/api", description="the API of Discord")

    @property
    def providers_on(self) -> tuple[str, ...]:
        """The providers that people may sign in by."""
        return tuple(name for name in PROVIDERS if getattr(self, f"{name}_client_id"))
