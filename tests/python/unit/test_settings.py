"""Settings that may hold a secret come from a variable or a file, and no message shows them."""

from pathlib import Path

import pytest

from ingest.settings import Settings, SettingsError
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


def read_url_and_webhook() -> tuple[str, str]:
    settings = AlertSettings.read()
    return settings.randomuser_url, settings.slack_webhook_url.get_secret_value()


def test_flags_override_environment_and_environment_overrides_dotenv(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    with pytest.raises(SettingsError, match="GOOGLE_CLOUD_PROJECT: is not set"):
        Settings.read()
    Path(".env").write_text("GOOGLE_CLOUD_PROJECT=of-file\nRANDOMUSER_USERS=1\n")
    settings = Settings.read(randomuser_users=None)
    assert (settings.google_cloud_project, settings.randomuser_users) == ("of-file", 1)
    monkeypatch.setenv("RANDOMUSER_USERS", "2")
    assert Settings.read().randomuser_users == 2
    assert Settings.read(randomuser_users=3).randomuser_users == 3


def test_file_holds_value_and_environment_overrides_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("url").write_text(f"{URL}\n")
    Path("webhook").write_text(f"{WEBHOOK}\r\n")
    monkeypatch.setenv("RANDOMUSER_URL_FILE", "url")
    Path(".env").write_text("RANDOMUSER_URL=http://other/\nSLACK_WEBHOOK_URL_FILE=webhook\n")
    assert read_url_and_webhook() == (URL, WEBHOOK)
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "")
    assert read_url_and_webhook() == (URL, "")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"SLACK_WEBHOOK_URL": WEBHOOK, "SLACK_WEBHOOK_URL_FILE": "webhook"},
            "SLACK_WEBHOOK_URL and SLACK_WEBHOOK_URL_FILE are both set: remove one of them",
        ),
        ({"RANDOMUSER_URL_FILE": "."}, "RANDOMUSER_URL_FILE: cannot read .: Is a directory"),
        ({"RANDOMUSER_URL_FILE": "empty"}, "RANDOMUSER_URL_FILE: empty is empty"),
        ({"RANDOMUSER_URL_FILE": URL}, "RANDOMUSER_URL_FILE: is a URL, not the path of a file"),
    ],
    ids=["both", "folder", "empty", "the secret"],
)
def test_wrong_file_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    Path("empty").write_text("\n")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        AlertSettings.read()
    assert str(error.value) == message


@pytest.mark.parametrize(
    "url", ["ftp://me:XoXo@host/", "https://me:Xo/XoXo@host/", "https://me:Xo XoXo@host/"]
)
def test_invalid_url_is_not_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("RANDOMUSER_URL", url)
    with pytest.raises(
        SettingsError, match=r"^RANDOMUSER_URL: is not like 'https://randomuser.me/api/1.4/'$"
    ):
        Settings.read()


def test_invalid_dataset_is_shown_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAW_DATASET", "my-raw")
    with pytest.raises(SettingsError, match=r"^RAW_DATASET: is not like 'raw_.*', got 'my-raw'$"):
        Settings.read()
