"""Settings that may hold a secret come from a variable or a file, and no message shows them."""

from pathlib import Path

import pytest

from ingest.settings import Settings, SettingsError
from ingest.sources.randomuser import RandomuserSettings
from publish.alerts.send import AlertSettings

URL, WEBHOOK = "https://me:XoXo@example.com/api/", "https://hooks.slack.com/services/XoXo"


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave out the settings of the shell and of the project's `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    for name in ("RANDOMUSER_URL", "RANDOMUSER_USERS", "SLACK_WEBHOOK_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


class AllSettings(RandomuserSettings, AlertSettings):
    """The settings of two commands."""


def read_url_and_webhook() -> tuple[str, str]:
    settings = AllSettings.read()
    return settings.randomuser_url, settings.slack_webhook_url.get_secret_value()


def test_flags_override_environment_and_environment_overrides_dotenv(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    with pytest.raises(SettingsError, match="GOOGLE_CLOUD_PROJECT: is not set"):
        Settings.read()
    Path(".env").write_text("GOOGLE_CLOUD_PROJECT=of-file\nRANDOMUSER_USERS=1\n")
    settings = RandomuserSettings.read(randomuser_users=None)
    assert (settings.google_cloud_project, settings.randomuser_users) == ("of-file", 1)
    monkeypatch.setenv("RANDOMUSER_USERS", "2")
    assert RandomuserSettings.read().randomuser_users == 2
    assert RandomuserSettings.read(randomuser_users=3).randomuser_users == 3


def test_file_holds_value_and_environment_overrides_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("url").write_text(f"{URL}\n")
    Path("webhook").write_text(f"{WEBHOOK}\r\n")
    monkeypatch.setenv("RANDOMUSER_URL_FILE", "url")
    Path(".env").write_text("RANDOMUSER_URL=http://other/\nSLACK_WEBHOOK_URL_FILE=webhook\n")
    assert read_url_and_webhook() == (URL, WEBHOOK)
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "")
    assert read_url_and_webhook() == (URL, "")


URL_FILE = "RANDOMUSER_URL_FILE"
NOT_LIKE = "RANDOMUSER_URL: is not like 'https://randomuser.me/api/1.4/'"
WRONG = {
    "both": (
        {"SLACK_WEBHOOK_URL": WEBHOOK, "SLACK_WEBHOOK_URL_FILE": "webhook"},
        "SLACK_WEBHOOK_URL and SLACK_WEBHOOK_URL_FILE are both set: remove one of them",
    ),
    "a folder": ({URL_FILE: "."}, f"{URL_FILE}: cannot read .: Is a directory"),
    "empty": ({URL_FILE: "empty"}, f"{URL_FILE}: empty is empty"),
    "the secret": ({URL_FILE: URL}, f"{URL_FILE}: is a URL, not the path of a file"),
    "FTP": ({"RANDOMUSER_URL": "ftp://me:XoXo@host/"}, NOT_LIKE),
    "a slash": ({"RANDOMUSER_URL": "https://me:Xo/XoXo@host/"}, NOT_LIKE),
    "a space": ({"RANDOMUSER_URL": "https://me:Xo XoXo@host/"}, NOT_LIKE),
    "a dataset": (
        {"RAW_DATASET": "my-raw"},
        "RAW_DATASET: is not like 'raw_randomuser', got 'my-raw'",
    ),
}


@pytest.mark.parametrize(("variables", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_setting_is_named_without_secret(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    Path("empty").write_text("\n")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        AllSettings.read()
    assert str(error.value) == message
