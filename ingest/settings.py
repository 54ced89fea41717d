"""The settings of the loader, from flags, the environment, `.env` and defaults, in this order."""

from typing import Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(ValueError):
    """A setting is missing or invalid; the text names every such setting."""


class Settings(BaseSettings):
    """The source, the target and the limits of a load; docs/settings.md explains each setting."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=False)

    randomuser_url: str = Field("https://randomuser.me/api/", pattern=r"^https?://[^/?#]+[^?#]*$")
    randomuser_users: int = Field(1_000, ge=1, le=10_000_000)
    randomuser_password: str = "special,upper,lower,number,24-32"  # noqa: S105
    retry_seconds: float = Field(600, gt=0, le=86_400)
    google_cloud_project: str = Field(min_length=1)
    bigquery_location: str = Field("US", min_length=1)
    bigquery_emulator_host: str = ""
    raw_dataset: str = Field("raw_randomuser", pattern=r"^[A-Za-z0-9_]+$")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def read(cls, **flags: Any) -> Self:
        """Read the settings, overridden by `flags` that are not None; raise SettingsError."""
        overrides = {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**overrides)
        except ValidationError as validation:
            problems = []
            for error in validation.errors():
                name, text = str(error["loc"][0]), f"{error['msg']}, got {error['input']!r}"
                if error["type"] == "missing":
                    text = "is not set (set it in the environment or in .env)"
                flag = f"--{name.removeprefix('randomuser_')}"
                problems.append(f"{flag if name in overrides else name.upper()}: {text}")
            raise SettingsError("; ".join(problems)) from None
