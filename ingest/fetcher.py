"""Fetches a page of the API within a limit of time, with retries after growing, random waits."""

import logging
import re
from concurrent.futures import Future
from contextlib import suppress
from http.client import responses
from itertools import count
from math import inf
from random import uniform
from threading import Thread
from time import monotonic, sleep
from typing import Any

import requests
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from ingest import __version__
from ingest.logs import event, redact, to_one_line
from ingest.response import OutageError, SourceError, describe, parse_page
from ingest.settings import Settings
from ingest.source import Source

log = logging.getLogger(__name__)
RESPONSE_SECONDS = 60  # for one response, from the request to its last byte
UNREACHED_SECONDS = 30  # for retries of an API that never responded: its URL is probably wrong
MAX_WAIT_SECONDS = 60  # between two tries, unless Retry-After requests more
MAX_RESPONSE_BYTES = 64 * 2**20  # a page of 1,000 users is 1.2 MB, the largest page 6 MB
RETRYABLE_STATUSES = {403, 429, 500, 502, 503, 504}


class TryError(Exception):
    """A try failed; of `tries` the next may succeed, after the `retry_after` seconds requested."""

    def __init__(
        self, reason: str, body: str = "", tries: float = inf, retry_after: float = 0
    ) -> None:
        super().__init__(f"{reason}; read {body}" if body else reason)
        self.reason, self.tries, self.retry_after = reason, tries, retry_after


class PageFetcher(requests.Session):
    """Fetches the pages of a load, each within RETRY_SECONDS, with `headers` such as of a token."""

    def __init__(self, source: Source, url: str, settings: Settings, contact: str = "") -> None:
        super().__init__()
        # Some networks refuse the default agent of a library.
        agent = f"randomuser-pipeline/{__version__}" + (f" (+{contact})" if contact else "")
        self.headers["User-Agent"] = agent
        self.headers["Accept-Encoding"] = "identity"  # the size limit is for bytes as sent
        self._source, self._url, self._seconds = source, url, settings.retry_seconds
        self._response_seconds = min(RESPONSE_SECONDS, self._seconds / 4)
        self._is_reached, self._page = False, 0

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None, or requests would read the whole body of a redirect."""

    def fetch(self, parameters: dict[str, str], size: int = 0) -> Any:
        """Return the next page, of `size` records if known; raise SourceError if retries fail."""
        self._page, records = self._page + 1, self._source.records
        requested = f"page {self._page}{f' ({size} {records})' if size else ''} of {self._url}"
        started, first_wait = monotonic(), min(2.0, self._seconds / 32)
        for tries in count(1):
            try:
                page = self._try(parameters, f"the response for {requested}")
                seconds, size = round(monotonic() - started, 3), len(page.records)
                fetched = event("fetched", page=self._page, seconds=seconds, **{records: size})
                log.debug("fetched page %d", self._page, extra=fetched)
                return page
            except TryError as failed:
                error = failed
            if error.tries == 1:
                raise SourceError(f"requested {requested}, received {error}")
            spent = monotonic() - started
            limit = self._seconds - self._response_seconds  # so that the last try ends in time
            left = (limit if self._is_reached else min(limit, UNREACHED_SECONDS)) - spent
            if left <= 0 or error.retry_after > left or tries >= error.tries:
                break
            backoff = min(first_wait * 2 ** min(tries - 1, 9), MAX_WAIT_SECONDS)
            wait = max(backoff, error.retry_after) + uniform(0, first_wait)  # noqa: S311
            wait = min(wait, left)
            seconds = round(wait, 3)
            retry = event("retry", page=self._page, error=str(error), tries=tries, seconds=seconds)
            text = "page %d: %s; retrying in %.1f s"
            log.warning(text, self._page, error.reason, wait, extra=retry)
            sleep(wait)
        setting = self._source.url_setting
        hint = f"; check that {setting} is right and that this machine can reach it"
        hint = "" if self._is_reached else hint
        if error.retry_after:
            hint = f"; the API requests a wait of {error.retry_after:.0f} s (Retry-After)"
        effort = f"{tries} {'try' if tries == 1 else 'tries'} in {spent:.0f} s"
        effort += f" (RETRY_SECONDS is {self._seconds:g})"
        raise SourceError(f"requested {requested}, received {error}; gave up after {effort}{hint}")

    def _try(self, parameters: dict[str, str], origin: str) -> Any:
        """Return the page; raise TryError if the time for a response is up."""
        # A socket timeout restarts with each byte; a thread can be abandoned when time is up.
        future: Future[Any] = Future()

        def request() -> None:
            try:
                future.set_result(self._request(parameters, origin))
            except BaseException as error:
                future.set_exception(error)

        Thread(target=request, daemon=True).start()
        try:
            return future.result(self._response_seconds)
        except TimeoutError:
            self._is_reached = True
            reason = f"no complete response within {self._response_seconds:g} s"
            raise TryError(reason) from None

    def _request(self, parameters: dict[str, str], origin: str) -> Any:
        reason, connect_seconds = "no response", min(10, self._response_seconds / 2)
        # The read timeout ends an abandoned thread.
        timeout = (connect_seconds, 2 * self._response_seconds)
        try:
            with self.get(self._url, params=parameters, timeout=timeout, stream=True) as response:
                self._is_reached, reason = True, "no complete response"
                body = _read_body(response, self._source)
                media_type = response.headers.get("Content-Type", "")
            return parse_page(self._source, body, origin, media_type)
        except OutageError:  # it may answer with HTTP 200
            raise TryError(f"a response without {self._source.records}") from None
        except (requests.RequestException, HTTPError) as error:
            raise TryError(f"{reason} ({_find_cause(error)})") from None


def _read_body(response: requests.Response, source: Source) -> bytes:
    if response.status_code != requests.codes.ok:
        raise _explain_status(response, source)
    encoding = response.headers.get("Content-Encoding", "")
    if encoding.lower() not in ("", "identity"):
        raise TryError(f"a response in {encoding[:50]!r}, which was not requested", tries=1)
    body = bytearray()
    for chunk in response.iter_content(65_536):
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            raise TryError(f"a response of more than {MAX_RESPONSE_BYTES:,} bytes", tries=1)
    return bytes(body)


def _explain_status(response: requests.Response, source: Source) -> TryError:
    code, headers = response.status_code, response.headers
    status = f"HTTP {code} {responses.get(code, '')}".strip()
    if target := headers.get("Location"):
        found = re.match(r"https?://[\w.:-]{1,100}", redact(target))
        host = found[0] if found else "another path"
        status += f", a redirect to {host}: not followed, check {source.url_setting}"
        return TryError(status, tries=1)
    excerpt = describe(source, response.raw.read1(4_096), headers.get("Content-Type", ""))
    if code not in RETRYABLE_STATUSES:
        return TryError(status, excerpt, tries=1)
    retry_after = 0.0
    with suppress(HTTPError, ValueError, OverflowError):  # neither seconds nor a date
        parser = Retry(retry_after_max=10**9)  # by default it returns 6 hours for a longer time
        retry_after = parser.parse_retry_after(headers.get("Retry-After", "0"))
    # A firewall may refuse a single request.
    return TryError(status, excerpt, 2 if code == 403 else inf, retry_after)


def _find_cause(error: BaseException) -> str:
    # The outer exceptions of requests and urllib3 only repeat the innermost one.
    if error.__context__:
        return _find_cause(error.__context__)
    # Errors other than the system's quote what the server sent.
    return to_one_line(error) if isinstance(error, OSError) else type(error).__name__
