"""Sends each change in the pipeline's state once: to Slack or, without a webhook, to the screen.

A change is a new error or warning, a better or worse state, or a recovery: that something was seen
to be well after the alert. An error or warning that stays is sent again after ALERT_REPEAT_HOURS.
One run sends one message. A message that Slack did not accept, or that was only printed, counts as
not sent.

Two runs at the same moment may both send a change; no change is lost. While BigQuery cannot be
queried, every run sends an alert about it: the sent alerts are stored there.
"""

import logging
from datetime import UTC, datetime, timedelta

from google.api_core.exceptions import GoogleAPIError
from pydantic import Field, SecretStr
from requests import RequestException

from ingest.errors import explain
from ingest.logs import event
from ingest.settings import Settings, SettingsError
from ingest.warehouse import CLIENT_ERRORS, LandingError, Warehouse
from publish import PublishError
from publish.alerts import sent, slack
from publish.alerts.sent import SentAlert
from publish.findings import ERROR, OK, WARNING, Finding, plural
from publish.rules import find_all, find_failed_tasks
from publish.state import State, read_state

log = logging.getLogger(__name__)

MAX_LINES = 30
MAX_LINE_LENGTH = 500  # characters


class AlertSettings(Settings):
    """What `python -m publish alert` needs in addition to the loader's settings."""

    # Validated when it is used: pydantic has no pattern for a SecretStr.
    slack_webhook_url: SecretStr = SecretStr("")
    alert_repeat_hours: float = Field(24, gt=0, le=8_760)
    alert_billed_ratio: float = Field(3, gt=1)
    alert_tasks: str = ""  # the states of the scheduler's tasks: `ingest=success,build=failed`
    alert_load_id: str = ""  # the load of these tasks

    @property
    def tasks(self) -> dict[str, str]:
        """The state of each task by name; raises SettingsError."""
        pairs = [pair.partition("=") for pair in self.alert_tasks.split(",") if pair.strip()]
        if not all(name.strip() and state.strip() for name, _, state in pairs):
            text = f"is not like 'ingest=success,build=failed', got {self.alert_tasks!r}"
            raise SettingsError(f"ALERT_TASKS: {text}")
        return {name.strip(): state.strip().lower() for name, _, state in pairs}


def send_alert(settings: AlertSettings) -> str:
    """Post what has changed and return a summary; without a webhook, return the message.

    Raises PublishError if Slack did not accept the message, SettingsError if the webhook is no URL.
    """
    webhook = settings.slack_webhook_url
    if webhook and not webhook.get_secret_value().startswith(("https://", "http://")):
        raise SettingsError("SLACK_WEBHOOK_URL: is not a URL that begins with https://")
    now, tasks = datetime.now(UTC), settings.tasks
    try:
        return _send_changes(settings, now)
    except (*CLIENT_ERRORS, LandingError) as error:
        if not webhook:
            raise
        reason = f"BigQuery refused or did not answer ({type(error).__name__})"
        reason = str(error) if isinstance(error, LandingError) else reason
        text = f"{reason}: nothing else could be checked"
        failed = find_failed_tasks(State(now, tasks=tasks, load_id=settings.alert_load_id))
        outage = [Finding("warehouse", "", ERROR, text, now)]
        outage += [task for task in failed if task.state != OK]
        dataset = f"{settings.google_cloud_project}.{settings.raw_dataset}"
        slack.post(webhook, format_message(dataset, outage, {}))
        return f"Posted to Slack: {text}"


def _send_changes(settings: AlertSettings, now: datetime) -> str:
    webhook, warehouse = settings.slack_webhook_url, Warehouse(settings, settings.alert_load_id)
    warehouse.create_tables()
    table = sent.define_table(f"{warehouse.dataset}.alerts")
    sent_alerts = sent.read_sent_alerts(warehouse.client, table)
    state = read_state(warehouse, settings.retry_seconds, *sent.find_open_loads(sent_alerts))
    state.tasks, state.load_id = settings.tasks, settings.alert_load_id or None
    state.billed_ratio = settings.alert_billed_ratio
    all_findings = find_all(state)
    repeat_after = timedelta(hours=settings.alert_repeat_hours)
    changes = changed_findings(all_findings, sent_alerts, now, repeat_after)
    if not changes:
        failing = sum(finding.state != OK for finding in all_findings)
        return f"No changes to send; errors and warnings sent before: {failing}"
    message = format_message(warehouse.dataset, changes, sent_alerts)
    if not webhook:
        return message
    slack.post(webhook, message)
    try:
        sent.record_sent_alerts(warehouse.client, table, changes, datetime.now(UTC))
    except (GoogleAPIError, RequestException) as error:
        raise PublishError(
            f"Slack accepted the message, but {table} could not be written, so the message will be "
            f"sent again: {'; '.join(explain(error))}"
        ) from None
    count = plural(len(changes), "change")
    log.info("posted %s to Slack", count, extra=event("posted", changes=len(changes)))
    return f"Posted to Slack: {count}"


def changed_findings(
    all_findings: list[Finding],
    sent_alerts: dict[str, SentAlert],
    now: datetime,
    repeat_after: timedelta,
) -> list[Finding]:
    """Return the findings to send, the worst first."""

    def is_changed(finding: Finding) -> bool:
        last = sent_alerts.get(finding.key)
        if last is None:
            return finding.state != OK
        if finding.state == last.state:
            is_new = finding.since and finding.since > last.sent_at  # it was well in between
            return finding.state != OK and bool(is_new or now - last.sent_at >= repeat_after)
        return finding.seen_at > last.sent_at  # what is older was known then

    severities = [ERROR, WARNING, OK]
    changed = filter(is_changed, all_findings)
    return sorted(changed, key=lambda finding: (severities.index(finding.state), finding.key))


def format_message(dataset: str, changes: list[Finding], sent_alerts: dict[str, SentAlert]) -> str:
    """Return one line for each finding, under a heading; at most MAX_LINES findings."""
    lines = [f"randomuser, {dataset}"]
    for finding in changes[:MAX_LINES]:
        is_repeated = finding.key in sent_alerts and sent_alerts[finding.key].state == finding.state
        text = finding.message
        text = f"{text[:MAX_LINE_LENGTH]}..." if len(text) > MAX_LINE_LENGTH else text
        lines.append(f"- {'still ' if is_repeated else ''}{finding.state}: {text}")
    if (more := len(changes) - MAX_LINES) > 0:
        lines.append(f"... and {more} more: `python -m publish report`")
    return "\n".join(lines)
