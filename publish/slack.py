"""Posts a message through a webhook of Slack's, with Slack's own SDK.

Whoever knows the webhook can post: no error and no log line holds it.
"""

import logging
import re
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from pydantic import SecretStr
from slack_sdk.errors import SlackClientError
from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.webhook import WebhookClient

from publish.artifacts import PublishError

# The SDK's own lines name the webhook.
_silent = logging.getLogger("slack_sdk")
_silent.setLevel(logging.CRITICAL)

RETRIES = 3  # after half a second, one and two, and up to a second more
ANSWER_SECONDS = 30
LONGEST_WAIT = 60  # seconds
MAX_TEXT = 40_000  # characters; Slack cuts off what is longer
AGAIN = "it will be said in the next run; is SLACK_WEBHOOK_URL right?"


class _RateLimited(RateLimitErrorRetryHandler):
    """HTTP 429: waits as long as Slack says, up to LONGEST_WAIT."""

    def _can_retry(self, **about: Any) -> bool:
        if not super()._can_retry(**about):
            return False
        headers = {name.lower(): values[0] for name, values in about["response"].headers.items()}
        asked = headers.get("retry-after", "1")
        return asked.isdecimal() and int(asked) <= LONGEST_WAIT


def post(webhook: SecretStr, text: str) -> None:
    """Post `text`; raises PublishError unless Slack took it, within some minutes."""
    handlers = (_RateLimited, ServerErrorRetryHandler, ConnectionErrorRetryHandler)
    client = WebhookClient(
        webhook.get_secret_value(),
        timeout=ANSWER_SECONDS,
        logger=_silent,
        retry_handlers=[kind(RETRIES) for kind in handlers],
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
