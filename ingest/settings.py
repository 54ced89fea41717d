"""The loader's settings: the environment, then `.env`, then the defaults."""

from typing import Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(ValueError):
    """A setting is missing or wrong; the text names all of them."""


class Settings(BaseSettings):
    """Where users come from and where they go; docs/settings.md lists each setting."""

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
        """Read the settings; `flags` that are not None are stronger. Raises SettingsError."""
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            faults = []
            for fault in error.errors():
                name, text = str(fault["loc"][0]), f"{fault['msg']}, got {fault['input']!r}"
                if fault["type"] == "missing":
                    text = "is not set (set it in the environment or in .env)"
                flag = f"--{name.removeprefix('randomuser_')}"
                faults.append(f"{flag if name in given else name.upper()}: {text}")
            raise SettingsError("; ".join(faults)) from None
