"""Says what is wrong with the pipeline, once: in Slack or, without a webhook, on the screen.

A change is said: something is wrong, it became worse or less bad, it is over. What stays wrong is
said again after ALERT_REPEAT_HOURS. All of a run goes into one message. What Slack did not take
counts as not said, and so does what was only printed.

Two runs at the same moment may both say a change; none is kept back. Where BigQuery cannot be
asked, every run says so: what was said before lies there.
"""

import logging
from datetime import UTC, datetime, timedelta

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from pydantic import Field, SecretStr
from requests import RequestException

from ingest.logs import event
from ingest.settings import Settings, SettingsError
from ingest.warehouse import Warehouse
from publish import dbt_findings, findings, said, slack
from publish.artifacts import PublishError
from publish.findings import ERROR, WARNING, WELL, Finding
from publish.said import Said

log = logging.getLogger(__name__)

MAX_LINES = 30
MAX_LINE = 500  # characters


class AlertSettings(Settings):
    """What `python -m publish alert` needs on top of the loader's settings."""

    # Not checked here: what is wrong with a setting is printed with its value.
    slack_webhook_url: SecretStr = SecretStr("")
    alert_repeat_hours: float = Field(24, gt=0, le=8_760)
    alert_failed_tasks: str | None = None
    """A scheduler's tasks that failed, with commas; empty: none did; None: nobody looked."""
    alert_load_id: str = ""
    """Of the run that they failed in."""


def alert(settings: AlertSettings) -> str:
    """Say what has changed and return what to print: the message, or that it was posted.

    Raises PublishError where Slack did not take the message, SettingsError for no URL.
    """
    webhook = settings.slack_webhook_url
    if webhook and not webhook.get_secret_value().startswith(("https://", "http://")):
        raise SettingsError("SLACK_WEBHOOK_URL: is not a URL that begins with https://")
    now = datetime.now(UTC)
    try:
        return _alert(settings, now)
    except (GoogleAPIError, GoogleAuthError, RequestException) as error:
        if not webhook:
            raise
        silence = f"BigQuery refused or did not answer ({type(error).__name__}): no more is known"
        found = [Finding("warehouse", ERROR, silence, now)]
        found += findings.of_tasks(settings.alert_failed_tasks or "", settings.alert_load_id, now)
        dataset = f"{settings.google_cloud_project}.{settings.raw_dataset}"
        slack.post(webhook, _text(dataset, found, {}))
        return f"Posted to Slack: {silence}"


def _alert(settings: AlertSettings, now: datetime) -> str:
    webhook, warehouse = settings.slack_webhook_url, Warehouse(settings)
    warehouse.prepare()
    client, table = warehouse.client, f"{warehouse.dataset}.alerts"
    known = said.last(client, table)
    found = _found(settings, warehouse, set(known), now)
    news = _news(found, known, now, timedelta(hours=settings.alert_repeat_hours))
    if not news:
        wrong = sum(it.state != WELL for it in found)
        built = any(it.key.startswith(("model:", "test:")) for it in found)
        unknown = "" if built else "; of a `dbt build` nothing is known here"
        return f"Nothing new to say; still wrong, and said before: {wrong}{unknown}"
    text = _text(warehouse.dataset, news, known)
    if not webhook:
        return text
    slack.post(webhook, text)
    try:
        said.add(client, table, news, datetime.now(UTC))
    except (GoogleAPIError, RequestException) as error:
        raise PublishError(
            f"Slack took the message, but {table} could not be written, so that it will be said "
            f"again: {' '.join(str(error).split())[:500]}"
        ) from None
    log.info("said %d changes in Slack", len(news), extra=event("posted", changes=len(news)))
    return f"Posted to Slack: {len(news)} {'change' if len(news) == 1 else 'changes'}"


def _found(
    settings: AlertSettings, warehouse: Warehouse, known: set[str], now: datetime
) -> list[Finding]:
    """Return how everything is that could be looked at."""
    # So long the loader may ask BigQuery for a load's row in the ledger, twice.
    patience = timedelta(seconds=2 * settings.retry_seconds)
    found = [*dbt_findings.of_sources(now), *dbt_findings.of_build()]
    found += findings.of_loads(warehouse.client, warehouse.dataset, now, patience)
    looked_at = ["load"]
    if settings.alert_failed_tasks is not None:
        found += findings.of_tasks(settings.alert_failed_tasks, settings.alert_load_id, now)
        looked_at.append("task")
    # Loads and tasks are found only while they are wrong.
    for key in known - {it.key for it in found}:
        kind, _, name = key.partition(":")
        if kind in looked_at:
            found.append(Finding(key, WELL, f"{kind} `{name}`", now))
    return found


def _news(
    found: list[Finding], known: dict[str, Said], now: datetime, repeat: timedelta
) -> list[Finding]:
    """Return what is to be said, the worst first."""

    def new(it: Finding) -> bool:
        last = known.get(it.key)
        if last is None:
            return it.state != WELL
        if it.state == last.state:
            return it.state != WELL and now - last.at >= repeat
        return it.seen_at > last.at  # another machine may know better than old files of dbt's

    order = [ERROR, WARNING, WELL]

    def rank(it: Finding) -> tuple[int, bool, str]:
        # A task fails because of something, which is said first.
        return order.index(it.state), it.key.startswith("task:"), it.key

    return sorted(filter(new, found), key=rank)


def _text(dataset: str, news: list[Finding], known: dict[str, Said]) -> str:
    lines = [f"randomuser, {dataset}"]
    for it in news[:MAX_LINES]:
        still = "still " if it.key in known and known[it.key].state == it.state else ""
        text = it.text if len(it.text) <= MAX_LINE else f"{it.text[:MAX_LINE]}..."
        lines.append(f"- {still}{it.state}: {text}")
    if (more := len(news) - MAX_LINES) > 0:
        lines.append(f"... and {more} more: `python -m publish report`")
    return "\n".join(lines)
