"""Requests HEARTBEAT_URL after a good run, so that a dead-man's-switch service notices silence.

Anyone who knows the URL can hide that silence: no log line contains it.
"""

import logging

import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter, Retry

from ingest.logs import event
from ingest.settings import Settings

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10
# After 0, 2 and 4 seconds. No Retry-After: the service may request a wait of hours.
RETRIES = Retry(
    3,
    backoff_factor=1,
    status_forcelist=[429, *range(500, 600)],
    raise_on_status=False,
    respect_retry_after_header=False,
)


class HeartbeatSettings(Settings):
    """What `python -m publish heartbeat` needs."""

    heartbeat_url: SecretStr = SecretStr("")


def send_heartbeat(url: SecretStr) -> None:
    """Request `url`; a failure is a warning: the data is fine, and the service tells of silence."""
    if not url:
        log.info("no heartbeat is sent: HEARTBEAT_URL is not set", extra=event("no_heartbeat"))
        return
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=RETRIES))
        try:
            response = session.get(url.get_secret_value(), timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            result = type(error).__name__  # its text contains the URL
        else:
            result = f"HTTP {response.status_code}"
            if response.ok:
                log.info("sent a heartbeat", extra=event("heartbeat"))
                return
    text = "the run was good, but its heartbeat was not accepted (%s): is HEARTBEAT_URL right?"
    log.warning(text, result, extra=event("heartbeat_failed"))
