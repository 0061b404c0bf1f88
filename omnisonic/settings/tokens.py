"""The secrets by which a studio knows itself and its operator (SPEC 2), and the checks of their strength."""

from pydantic import BaseModel, Field, SecretStr

from omnisonic.settings.secret_strength import TOKEN_BYTES, secret_problems


class TokenSettings(BaseModel):
    """The signing secret, the operator's token, and that of a scraper of metrics."""

    nextauth_secret: SecretStr | None = Field(
        default=None,
        description="signs cookies and tickets; production needs it (default: kept in the data directory)",
    )
    nextauth_secret_previous: SecretStr | None = Field(
        default=None,
        description="the `NEXTAUTH_SECRET` before it was changed: still believed, never used to sign (default: none)",
    )
    admin_token: SecretStr | None = Field(
        default=None, description="opens what is the operator's (default: kept in the data directory by `serve`)"
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        description="lets a scraper read `/metrics` from elsewhere than this machine (default: nobody can)",
    )

    def weak_tokens(self) -> list[str]:
        """A sentence for each token that is too easy to guess for production."""
        tokens = {"ADMIN_TOKEN": self.admin_token, "METRICS_TOKEN": self.metrics_token}
        return [
            problem
            for variable, token in tokens.items()
            if token is not None
            for problem in secret_problems(variable, token, TOKEN_BYTES)
        ]
