"""Posts a message through a webhook of Slack's, with Slack's own SDK.

Whoever knows the webhook can post: no error and no log line holds it.
"""

import logging
import re
from http.client import HTTPException
from time import monotonic
from typing import Any
from urllib.error import URLError

from pydantic import SecretStr
from slack_sdk.errors import SlackClientError
from slack_sdk.http_retry import RetryHandler
from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.webhook import WebhookClient

from ingest.logs import event
from publish.artifacts import PublishError

log = logging.getLogger(__name__)
# The SDK's own lines name the webhook.
_silent = logging.getLogger("slack_sdk")
_silent.setLevel(logging.CRITICAL)

ANSWER_SECONDS = 30
MAX_TEXT = 40_000  # characters; Slack cuts off what is longer


class _InTime(RetryHandler):
    """Asks again as long as that is before `end`, in seconds of the monotonic clock."""

    def __init__(self, end: float) -> None:
        super().__init__(max_retry_count=90)  # the SDK itself stops at 100 tries
        self._end = end

    def can_retry(self, **about: Any) -> bool:
        state, answer = about["state"], about.get("response")
        headers = {name.lower(): it for name, it in answer.headers.items()} if answer else {}
        asked = headers.get("retry-after", ["0"])[0]
        # No longer than what the SDK is going to wait: it adds up to a second to either.
        wait = max(int(asked) if asked.isdecimal() else 0, 2**state.current_attempt / 2) + 1
        if monotonic() + wait > self._end or not super().can_retry(**about):
            return False
        came = f"HTTP {answer.status_code}" if answer else _reason(about["error"])
        log.warning(
            "Slack: %s; asking again within %.1f s",
            came,
            wait,
            extra=event("retry", came=came, seconds=wait),
        )
        return True


class _RateLimited(_InTime, RateLimitErrorRetryHandler):
    """HTTP 429: waits as long as Slack says."""


class _Busy(_InTime, ServerErrorRetryHandler):
    """HTTP 500 and 503."""


class _Unreached(_InTime, ConnectionErrorRetryHandler):
    """No connection, or one that was cut."""


def post(webhook: SecretStr, text: str, retry_seconds: float) -> None:
    """Post `text`; raises PublishError unless Slack took it within `retry_seconds`."""
    end = monotonic() + retry_seconds
    client = WebhookClient(
        webhook.get_secret_value(),
        timeout=max(1, int(min(ANSWER_SECONDS, retry_seconds))),
        logger=_silent,
        retry_handlers=[kind(end) for kind in (_RateLimited, _Busy, _Unreached)],
    )
    try:
        answer = client.send(text=_escaped(text)[:MAX_TEXT])
    except (OSError, HTTPException, SlackClientError, ValueError) as error:
        raise PublishError(f"Slack did not answer ({_reason(error)}): {AGAIN}") from None
    if answer.status_code != 200 or answer.body != "ok":
        # Slack says why in a word; the page of a proxy may hold the webhook.
        why = f" {answer.body}" if re.fullmatch(r"[a-z_]{1,60}", answer.body) else ""
        raise PublishError(
            f"Slack did not take the message (HTTP {answer.status_code}{why}): {AGAIN}"
        )


AGAIN = "it will be said in the next run; is SLACK_WEBHOOK_URL right?"


def _escaped(text: str) -> str:
    """Return `text` with what Slack would read as a link or a mention made plain."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _reason(error: BaseException) -> str:
    """Return what went wrong, without the URL that the text of some errors holds."""
    if isinstance(error, URLError) and isinstance(error.reason, OSError):
        error = error.reason
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
