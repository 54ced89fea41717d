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
RETRIES = Retry(3, backoff_factor=1, status_forcelist=range(500, 600))  # after 0, 2, 4 seconds
RETRIES.raise_on_status = RETRIES.respect_retry_after_header = False  # it may request hours


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
            session.get(url.get_secret_value(), timeout=TIMEOUT_SECONDS).raise_for_status()
            log.info("sent a heartbeat", extra=event("heartbeat"))
        except requests.RequestException as error:  # its text contains the URL
            status = getattr(error.response, "status_code", "no response")
            text = "the run was good, but not its heartbeat (%s, %s): is HEARTBEAT_URL right?"
            log.warning(text, type(error).__name__, status, extra=event("heartbeat_failed"))
