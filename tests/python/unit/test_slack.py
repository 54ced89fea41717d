"""Retries and refusals of Slack."""

import time

import pytest
from pydantic import SecretStr
from support.alert_harness import SECRET
from support.fake_slack import FakeSlack, Response

from publish import PublishError
from publish.alerts.slack import post

NEXT_STEP = ": it will be sent again in the next run; is SLACK_WEBHOOK_URL right?"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds before each retry, which are not waited for."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@pytest.mark.parametrize(
    ("response", "reason", "requests"),
    [
        (Response(403, f"<p>a proxy's page: /services/{SECRET}"), "(HTTP 403)", 1),
        (Response(200, "<p>log in first"), "(HTTP 200)", 1),
        (Response(429, "rate_limited", 61), "HTTP 429 rate_limited", 1),  # too long to wait
        (Response(500, "server_error"), "HTTP 500 server_error", 4),
        (Response(0), "Slack did not respond (RemoteDisconnected)", 4),
    ],
)
def test_refusal_raises_with_reason_without_webhook(
    slack: FakeSlack, waits: list[float], response: Response, reason: str, requests: int
) -> None:
    slack.responses = [response] * requests
    with pytest.raises(PublishError, match=r"^Slack did not ") as refusal:
        post(SecretStr(slack.url), "a text")
    message = str(refusal.value)
    assert reason in message and message.endswith(NEXT_STEP)
    assert SECRET not in message and "\n" not in message
    assert len(slack.request_times) == requests == len(waits) + 1


def test_retries_after_the_wait_that_slack_requests(slack: FakeSlack, waits: list[float]) -> None:
    slack.responses = [Response(429, "limited", 60), Response(429, "limited"), Response(0)]
    post(SecretStr(slack.url), "a text")
    assert slack.accepted == ["a text"]
    assert all(s <= wait <= s + 1 for s, wait in zip((60, 1, 2), waits, strict=True))
