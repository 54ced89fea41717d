"""The loader's settings: the environment, then `.env`, then the defaults."""

from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

FLAGS = {"randomuser_users": "--users"}


class SettingsError(ValueError):
    """A setting is missing or wrong; the text names all of them."""


class Settings(BaseSettings):
    """Where users come from and where they go; README.md lists each setting."""

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

    @field_validator("bigquery_emulator_host")
    @classmethod
    def _with_scheme(cls, host: str) -> str:
        return host if not host or "://" in host else f"http://{host}"

    @classmethod
    def read(cls, **flags: Any) -> Self:
        """Read the settings; `flags` that are not None are stronger. Raises SettingsError."""
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            names = {name.upper(): FLAGS[name] for name in given}
            found = ((str(e["loc"][0]).upper(), _said(e)) for e in error.errors())
            faults = (f"{names.get(name, name)}: {text}" for name, text in found)
            raise SettingsError("; ".join(faults)) from None


def _said(error: Any) -> str:
    if error["type"] == "missing":
        return "is not set (set it in the environment or in .env)"
    return f"{error['msg'][0].lower()}{error['msg'][1:]}, got {error['input']!r}"
