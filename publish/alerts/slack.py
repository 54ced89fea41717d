"""Posts a message to a Slack webhook with Slack's own SDK.

Anyone who knows the webhook can post: no error and no log line contains it.
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

from publish import PublishError

# The SDK's log lines contain the webhook.
_silent = logging.getLogger("slack_sdk")
_silent.setLevel(logging.CRITICAL)

RETRIES = 3  # after 0.5, 1 and 2 seconds, each plus up to a second
TIMEOUT_SECONDS = 30
MAX_RETRY_AFTER = 60  # seconds
MAX_TEXT = 40_000  # characters; Slack cuts off what is longer
NEXT_STEP = "it will be sent again in the next run; is SLACK_WEBHOOK_URL right?"


class _RateLimitHandler(RateLimitErrorRetryHandler):
    """HTTP 429: waits as long as Slack requests, up to MAX_RETRY_AFTER."""

    def _can_retry(self, **attempt: Any) -> bool:
        if not super()._can_retry(**attempt):
            return False
        headers = {name.lower(): values[0] for name, values in attempt["response"].headers.items()}
        retry_after = headers.get("retry-after", "1")
        return retry_after.isdecimal() and int(retry_after) <= MAX_RETRY_AFTER


def post(webhook: SecretStr, text: str) -> None:
    """Post `text`; raise PublishError if Slack did not accept it within some minutes."""
    handlers = (_RateLimitHandler, ServerErrorRetryHandler, ConnectionErrorRetryHandler)
    client = WebhookClient(
        webhook.get_secret_value(),
        timeout=TIMEOUT_SECONDS,
        logger=_silent,
        retry_handlers=[handler(RETRIES) for handler in handlers],
    )
    try:
        response = client.send(text=_escape(text)[:MAX_TEXT])
    except (OSError, HTTPException, SlackClientError, ValueError) as error:
        raise PublishError(f"Slack did not respond ({_get_reason(error)}): {NEXT_STEP}") from None
    if response.status_code != 200 or response.body != "ok":
        # Slack's reason is one word; another body, such as a proxy's page, may hold the webhook.
        reason = f" {response.body}" if re.fullmatch(r"[a-z_]{1,60}", response.body) else ""
        raise PublishError(
            f"Slack did not accept the message (HTTP {response.status_code}{reason}): {NEXT_STEP}"
        )


def _escape(text: str) -> str:
    """Return `text` without the characters that Slack reads as a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _get_reason(error: BaseException) -> str:
    """Return what went wrong, without the URL that the text of some errors contains."""
    if isinstance(error, URLError) and isinstance(error.reason, OSError):
        error = error.reason
    return getattr(error, "strerror", None) or type(error).__name__
