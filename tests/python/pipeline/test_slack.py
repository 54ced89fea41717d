"""Retries and refusals of Slack: `publish.slack` in process, one command each for the rest."""

import time

import pytest
from pydantic import SecretStr
from support.alert_harness import SECRET, STALE, AlertHost
from support.commands import passes
from support.fake_slack import FakeSlack, Response
from support.log_lines import for_people

from publish import PublishError
from publish.alerts import slack as publish_slack

NEXT_STEP = ": it will be sent again in the next run; is SLACK_WEBHOOK_URL right?"
REFUSALS = {
    "invalid_payload": (Response(400, "invalid_payload"), "HTTP 400 invalid_payload", 1),
    "forbidden": (Response(403, "action_prohibited"), "HTTP 403 action_prohibited", 1),
    "no such webhook": (Response(404, "no_service"), "HTTP 404 no_service", 1),
    "a proxy's page": (Response(403, f"<p>no route to /services/{SECRET}"), "(HTTP 403)", 1),
    "another 200": (Response(200, "<p>log in first"), "(HTTP 200)", 1),
    "too long to wait": (Response(429, "rate_limited", 61), "HTTP 429 rate_limited", 1),
    "outage": (Response(500, "server_error"), "HTTP 500 server_error", 4),
    "no response": (Response(is_cut=True), "Slack did not respond (RemoteDisconnected)", 4),
}
RETRIED = {
    "429": (Response(429, "rate_limited", 2), 2),
    "429 up to a minute": (Response(429, "rate_limited", 60), 60),
    "429 without a time": (Response(429, "rate_limited"), 1),
    "503": (Response(503, "server_error"), 0.5),
}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the waits before retries instead of waiting."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal_raises_with_reason_without_webhook(
    slack: FakeSlack, waits: list[float], case: str
) -> None:
    slack.default_response, reason, requests = REFUSALS[case]
    with pytest.raises(PublishError, match=r"^Slack did not ") as refusal:
        publish_slack.post(SecretStr(slack.url), "a text")
    message = str(refusal.value)
    assert reason in message and message.endswith(NEXT_STEP)
    assert SECRET not in message and "\n" not in message
    assert len(slack.request_times) == requests == len(waits) + 1


@pytest.mark.parametrize("case", RETRIED)
def test_retries_after_the_wait_that_slack_requests(
    slack: FakeSlack, waits: list[float], case: str
) -> None:
    response, least_wait = RETRIED[case]
    slack.responses = [response]
    publish_slack.post(SecretStr(slack.url), "a text")
    assert slack.accepted == ["a text"]
    assert len(waits) == 1 and least_wait <= waits[0] <= least_wait + 1


def test_refused_alert_is_sent_in_next_run(alert_host: AlertHost) -> None:
    alert_host.record_freshness("error", 25)
    alert_host.slack.responses = [Response(404, "no_service")]
    done = alert_host.run_alert()
    assert done.returncode == 1 and not done.stdout
    (line,) = for_people(done.stderr)
    assert line == f"publish: Slack did not accept the message (HTTP 404 no_service){NEXT_STEP}"
    assert alert_host.posted_lines() == [f"error: {STALE}"]


@pytest.mark.parametrize(
    ("response", "seconds"),
    [
        (Response(429, "rate_limited", 1), 1),
        (Response(500, "server_error"), 0.5),
        (Response(is_cut=True), 0.5),
    ],
    ids=["429", "500", "connection cut"],
)
def test_alert_is_retried_within_the_run(
    alert_host: AlertHost, response: Response, seconds: float
) -> None:
    alert_host.record_freshness("error", 25)
    alert_host.slack.responses = [response]
    assert passes(alert_host.run_alert()) == "Posted to Slack: 1 change\n"
    first, second = alert_host.slack.request_times
    assert second - first >= seconds and len(alert_host.slack.accepted) == 1


def test_printed_alert_counts_as_not_sent(alert_host: AlertHost) -> None:
    alert_host.record_freshness("warn", 7)
    printed = [passes(alert_host.run_alert(SLACK_WEBHOOK_URL="")) for _ in range(2)]
    assert not alert_host.slack.request_times
    assert "7.0 hours old, the limit is 6 hours" in printed[0]
    passes(alert_host.run_alert())
    assert {text.strip() for text in printed} == set(alert_host.slack.accepted)


def test_invalid_webhook_is_wrong_usage_and_not_printed(alert_host: AlertHost) -> None:
    done = alert_host.run_alert(SLACK_WEBHOOK_URL=f"services/{SECRET}")
    assert done.returncode == 2
    (line,) = for_people(done.stderr)
    assert line.startswith("publish: wrong settings: SLACK_WEBHOOK_URL: is not a URL")
