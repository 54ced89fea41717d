"""The settings of the loader, from flags, the environment, `.env` and defaults, in this order."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

# May hold a secret: no message shows their values, and NAME_FILE may name a file with the value.
SECRETS = ("_url", "_token")  # how their names end
# A password has its special characters escaped (%2F), or `redact` would not find its end.
Url = Annotated[str, Field(pattern=r"^https?://[^/?#\\\s]+[^?#@\s]*$")]
Dataset = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class SettingsError(ValueError):
    """A setting is missing or invalid; the text names every such setting."""


class Settings(BaseSettings):
    """The target and the limits of a load; docs/settings.md explains each setting."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=False)

    retry_seconds: float = Field(600, gt=0, le=86_400)
    google_cloud_project: str = Field(min_length=1)
    bigquery_location: str = Field("US", min_length=1)
    bigquery_emulator_host: str = ""
    raw_dataset: Dataset = "raw_randomuser"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def read(cls, **flags: Any) -> Self:
        """Read the settings, overridden by `flags` that are not None; raise SettingsError."""
        overrides = {name: value for name, value in flags.items() if value is not None}
        fields = {str(field.alias or name): field for name, field in cls.model_fields.items()}
        secrets = [name for name in fields if name.endswith(SECRETS)]
        from_files = {name: text for name in secrets if (text := _read_secret_file(name))}
        try:
            return cls(**from_files | overrides)
        except ValidationError as validation:
            problems = []
            for error in validation.errors():
                name, text = str(error["loc"][0]), str(error["msg"])
                if error["type"] == "string_pattern_mismatch":
                    text = f"is not like {fields[name].default!r}"
                if not name.endswith(SECRETS):
                    text += f", got {error['input']!r}"
                if error["type"] == "missing":
                    text = "is not set (set it in the environment or in .env)"
                flag = f"--{name.rpartition('_')[2]}"
                problems.append(f"{flag if name in overrides else name.upper()}: {text}")
            raise SettingsError("; ".join(problems)) from None


def find_variable(name: str) -> tuple[str, str]:
    """Return the variable that is set, `name` or `name`_FILE, and its value; "" if none is set.

    The environment overrides `.env`. Raises SettingsError if one of them sets both variables.
    """
    for variables in (os.environ, dotenv_values(".env")):
        value, path = variables.get(name), variables.get(f"{name}_FILE")
        if value and path:
            raise SettingsError(f"{name} and {name}_FILE are both set: remove one of them")
        if path:
            return f"{name}_FILE", path
        if value is not None:
            return name, value
    return name, ""


def _read_secret_file(name: str) -> str | None:
    variable, path = find_variable(name.upper())
    if not variable.endswith("_FILE"):
        return None
    if "://" in path:  # the secret itself, by mistake
        raise SettingsError(f"{variable}: is a URL, not the path of a file")
    try:
        text = Path(path).read_text("utf-8", "replace").rstrip("\n")
    except OSError as error:
        raise SettingsError(f"{variable}: cannot read {path}: {error.strerror}") from None
    if not text:
        raise SettingsError(f"{variable}: {path} is empty")
    return text
