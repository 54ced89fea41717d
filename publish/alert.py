"""Sends each change in the pipeline's state once: to Slack or, without a webhook, to the screen.

A change is a new error or warning, a better or worse state, or a recovery. An error or warning
that stays is sent again after ALERT_REPEAT_HOURS. One run sends one message. A message that Slack
did not accept, or that was only printed, counts as not sent.

Two runs at the same moment may both send a change; no change is lost. While BigQuery cannot be
queried, every run sends an alert about it: the sent alerts are stored there.
"""

import logging
from datetime import UTC, datetime, timedelta

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from pydantic import Field, SecretStr
from requests import RequestException

from ingest.errors import explain
from ingest.logs import event
from ingest.settings import Settings, SettingsError
from ingest.warehouse import Warehouse
from publish import alert_state, dbt_findings, findings, slack
from publish.alert_state import SentAlert
from publish.artifacts import PublishError
from publish.causes import name_effects
from publish.findings import ERROR, OK, WARNING, Finding

log = logging.getLogger(__name__)

MAX_LINES = 30
MAX_LINE_LENGTH = 500  # characters


class AlertSettings(Settings):
    """What `python -m publish alert` needs in addition to the loader's settings."""

    # Validated when it is used: pydantic has no pattern for a SecretStr.
    slack_webhook_url: SecretStr = SecretStr("")
    alert_repeat_hours: float = Field(24, gt=0, le=8_760)
    alert_billed_ratio: float = Field(3, gt=1)
    alert_failed_tasks: str | None = None
    """The scheduler's failed tasks, with commas; empty: none failed; None: not known."""
    alert_load_id: str = ""
    """The load of these tasks."""


def send_alert(settings: AlertSettings) -> str:
    """Post what has changed and return a summary; without a webhook, return the message.

    Raises PublishError if Slack did not accept the message, SettingsError if the webhook is no URL.
    """
    webhook = settings.slack_webhook_url
    if webhook and not webhook.get_secret_value().startswith(("https://", "http://")):
        raise SettingsError("SLACK_WEBHOOK_URL: is not a URL that begins with https://")
    now = datetime.now(UTC)
    try:
        return _send_changes(settings, now)
    except (GoogleAPIError, GoogleAuthError, RequestException) as error:
        if not webhook:
            raise
        reason = f"BigQuery refused or did not answer ({type(error).__name__})"
        text = f"{reason}: nothing else could be checked"
        failed_tasks = settings.alert_failed_tasks or ""
        outage_findings = [Finding("warehouse", ERROR, text, now)]
        outage_findings += findings.find_failed_tasks(failed_tasks, settings.alert_load_id, now)
        dataset = f"{settings.google_cloud_project}.{settings.raw_dataset}"
        slack.post(webhook, format_message(dataset, outage_findings, {}))
        return f"Posted to Slack: {text}"


def _send_changes(settings: AlertSettings, now: datetime) -> str:
    webhook, warehouse = settings.slack_webhook_url, Warehouse(settings, settings.alert_load_id)
    warehouse.create_tables()
    client, table = warehouse.client, f"{warehouse.dataset}.alerts"
    sent_alerts = alert_state.read_sent_alerts(client, table)
    all_findings = collect_findings(settings, warehouse, set(sent_alerts), now)
    repeat_after = timedelta(hours=settings.alert_repeat_hours)
    changes = changed_findings(all_findings, sent_alerts, now, repeat_after)
    if not changes:
        failing = sum(finding.state != OK for finding in all_findings)
        has_build = any(finding.key.startswith(("model:", "test:")) for finding in all_findings)
        no_build = "" if has_build else "; no results of a `dbt build` were found"
        return f"No changes to send; errors and warnings sent before: {failing}{no_build}"
    message = format_message(warehouse.dataset, changes, sent_alerts)
    if not webhook:
        return message
    slack.post(webhook, message)
    try:
        alert_state.record_sent_alerts(client, table, changes, datetime.now(UTC))
    except (GoogleAPIError, RequestException) as error:
        raise PublishError(
            f"Slack accepted the message, but {table} could not be written, so the message will be "
            f"sent again: {'; '.join(explain(error))}"
        ) from None
    log.info(
        "posted %d changes to Slack", len(changes), extra=event("posted", changes=len(changes))
    )
    return f"Posted to Slack: {len(changes)} {'change' if len(changes) == 1 else 'changes'}"


def collect_findings(
    settings: AlertSettings, warehouse: Warehouse, sent_keys: set[str], now: datetime
) -> list[Finding]:
    """Return the state of everything that can be checked."""
    # The loader may retry its two requests about a load's ledger row for this long.
    grace_period = timedelta(seconds=2 * settings.retry_seconds)
    all_findings = [*dbt_findings.check_sources(now), *dbt_findings.check_build()]
    all_findings += findings.find_unfinished_loads(
        warehouse.client, warehouse.dataset, now, grace_period
    )
    all_findings += findings.find_costly_build(
        warehouse.client, warehouse.dataset, settings.alert_billed_ratio
    )
    checked_kinds = ["load"]
    if (held_back := findings.find_held_back_loads(warehouse.client, now)) is not None:
        all_findings += held_back
        checked_kinds.append("held-back load")
    if settings.alert_failed_tasks is not None:
        all_findings += findings.find_failed_tasks(
            settings.alert_failed_tasks, settings.alert_load_id, now
        )
        checked_kinds.append("task")
    all_findings += find_recoveries(all_findings, sent_keys, checked_kinds, now)
    return name_effects(all_findings)


def find_recoveries(
    all_findings: list[Finding], sent_keys: set[str], checked_kinds: list[str], now: datetime
) -> list[Finding]:
    """Return an OK finding for each load and task that was sent and no longer fails."""
    recoveries = []
    for key in sent_keys - {finding.key for finding in all_findings}:
        kind, _, name = key.partition(":")
        if kind in checked_kinds:
            recoveries.append(Finding(key, OK, f"{kind} `{name}`", now))
    return recoveries


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
            return finding.state != OK and now - last.sent_at >= repeat_after
        return finding.seen_at > last.sent_at  # another machine may have newer files of dbt

    severities = [ERROR, WARNING, OK]

    def sort_key(finding: Finding) -> tuple[int, str]:
        return severities.index(finding.state), finding.key

    return sorted(filter(is_changed, all_findings), key=sort_key)


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
