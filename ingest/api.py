"""Requests users from the randomuser.me API, page by page, and validates each response.

The API answers an invalid request with HTTP 200 and other users than were requested: one user
for too many `results`, page 1 for a page past the last. So `info` in each response is compared
with the request. Facts: randomuser.me/documentation and the published code of the service.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from http.client import responses
from itertools import chain, count
from math import inf
from random import uniform
from threading import Thread
from time import monotonic, sleep
from urllib.parse import urlsplit

import msgspec
import requests
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from ingest import __version__
from ingest.logs import event, redact, to_one_line
from ingest.response import NoUsersError, Page, SourceError, describe, parse_page
from ingest.settings import Settings

log = logging.getLogger(__name__)
PAGE_USERS = 1_000  # the API allows 5,000; smaller pages keep memory and retries small
RESPONSE_SECONDS = 60  # for one response, from the request to its last byte
UNREACHED_SECONDS = 30  # for retries of an API that never responded: its URL is probably wrong
UNREACHED_HINT = "; check that RANDOMUSER_URL is right and that this machine can reach it"
MAX_WAIT_SECONDS = 60  # between two tries, unless Retry-After requests more
MAX_RESPONSE_BYTES = 64 * 2**20  # a page of 1,000 users is 1.2 MB, the largest page 6 MB
HEX = re.compile(r"[0-9a-fx.-]{0,40}")  # seeds of the API and of loads; other text may be a user's
RETRYABLE_STATUSES = {403, 429, 500, 502, 503, 504}


def derive_seed(load_id: str, users: int) -> str:
    """Return the API seed of a load, so that each run of a load requests the same users.

    The seed ends in a letter, because the API appends the page number ("abc" page 12 is "abc1"
    page 2), and is not 18 characters long, which the API reads as a seed and a nationality. The
    generator of a page starts from 32 bits of md5(seed + page), so a seed is left out if two pages
    of the load would be equal.
    """
    texts = chain([load_id], (f"{load_id} {attempt}" for attempt in count(2)))
    seeds = (hashlib.sha256(text.encode()).hexdigest()[:20] + "x" for text in texts)
    pages = count_pages(users)
    return next(seed for seed in seeds if len(set(_find_starts(seed, pages))) == pages)


def _find_starts(seed: str, pages: int) -> Iterator[bytes]:
    for page in range(1, pages + 1):
        text = f"{seed}{page if page > 1 else ''}"
        yield hashlib.md5(text.encode(), usedforsecurity=False).digest()[:4]


def hash_request(settings: Settings) -> str:
    """Return a hash of what a load requests, on any host: path of the URL, users, passwords."""
    path = urlsplit(settings.randomuser_url).path
    request = (path, settings.randomuser_users, settings.randomuser_password)
    return hashlib.sha256(json.dumps(request).encode()).hexdigest()[:20]


def count_pages(users: int) -> int:
    """Return how many pages are requested for `users`."""
    return -(-users // PAGE_USERS)


def fetch_pages(settings: Settings, users: int, seed: str) -> Iterator[Page]:
    """Yield the pages of `users` users; raise SourceError if a page is wrong or missing."""
    url, password = settings.randomuser_url, settings.randomuser_password
    version = re.search(r"/(\d+\.\d+)/?$", url)
    with PageFetcher(settings.retry_seconds, settings.randomuser_contact) as fetcher:
        for number, first in enumerate(range(0, users, PAGE_USERS), start=1):
            started, size = monotonic(), min(PAGE_USERS, users - first)
            requested = f"page {number} ({size} users) of {url}"
            parameters = {"seed": seed, "results": str(size), "page": str(number)}
            parameters |= {"password": password} if password else {}
            page = fetcher.fetch(url, parameters, requested)
            expected = (seed, size, number, version[1] if version else page.info.version)
            if (received := msgspec.structs.astuple(page.info)) != expected:
                shown = tuple(v if HEX.fullmatch(str(v)) else "(not shown)" for v in received)
                mismatch = f"expected (seed, users, page, version) {expected}, received {shown}"
                raise SourceError(f"requested {requested}: {mismatch}")
            seconds = round(monotonic() - started, 3)
            fetched = event("fetched", page=number, users=size, seconds=seconds)
            log.debug("fetched page %d", number, extra=fetched)
            yield page


class RetryableError(Exception):
    """A try failed, the next may succeed; `retry_after`: seconds to wait that the API requests."""

    def __init__(
        self, reason: str, body: str = "", retry_after: float = 0, tries: float = inf
    ) -> None:
        super().__init__(f"{reason}; read {body}" if body else reason)
        self.reason, self.retry_after, self.tries = reason, retry_after, tries


class PageFetcher(requests.Session):
    """Fetches a page within `seconds`, with retries after growing, random waits."""

    def __init__(self, seconds: float, contact: str) -> None:
        super().__init__()
        # Some networks refuse the default agent of a library.
        agent = f"randomuser-pipeline/{__version__}" + (f" (+{contact})" if contact else "")
        self.headers["User-Agent"] = agent
        self.headers["Accept-Encoding"] = "identity"  # the size limit is for bytes as sent
        self._seconds, self._response_seconds = seconds, min(RESPONSE_SECONDS, seconds / 4)
        self._is_reached = False

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None, or requests would read the whole body of a redirect."""

    def fetch(self, url: str, parameters: dict[str, str], requested: str) -> Page:
        """Return the page `requested`; raise SourceError if retries do not help."""
        started, first_wait = monotonic(), min(2.0, self._seconds / 32)
        tries = 0
        while True:
            tries += 1
            # A socket timeout restarts with each byte; a thread can be abandoned when time is up.
            future: Future[Page] = Future()
            arguments = (future, url, parameters, requested)
            Thread(target=self._request, args=arguments, daemon=True).start()
            try:
                return future.result(self._response_seconds)
            except TimeoutError:
                self._is_reached = True
                error = RetryableError(f"no complete response within {self._response_seconds:g} s")
            except RetryableError as retryable:
                error = retryable
            spent = monotonic() - started
            limit = self._seconds - self._response_seconds  # so that the last try ends in time
            left = (limit if self._is_reached else min(limit, UNREACHED_SECONDS)) - spent
            if left <= 0 or error.retry_after > left or tries >= error.tries:
                effort = f"{tries} {'try' if tries == 1 else 'tries'} in {spent:.0f} s"
                effort += f" (RETRY_SECONDS is {self._seconds:g})"
                wait_hint = f"; the API requests a wait of {error.retry_after:.0f} s (Retry-After)"
                reached_hint = wait_hint if error.retry_after else ""
                hint = reached_hint if self._is_reached else UNREACHED_HINT
                failure = f"requested {requested}, received {error}"
                raise SourceError(f"{failure}; gave up after {effort}{hint}")
            backoff = min(first_wait * 2 ** min(tries - 1, 9), MAX_WAIT_SECONDS)
            wait = max(backoff, error.retry_after) + uniform(0, first_wait)  # noqa: S311
            wait = max(min(wait, left), error.retry_after)
            page, seconds = int(parameters["page"]), round(wait, 3)
            retry = event("retry", page=page, error=str(error), tries=tries, seconds=seconds)
            log.warning("page %d: %s; retrying in %.1f s", page, error.reason, wait, extra=retry)
            sleep(wait)

    def _request(
        self, future: Future[Page], url: str, parameters: dict[str, str], requested: str
    ) -> None:
        connect_seconds, reason = min(10, self._response_seconds / 2), "no response"
        # The read timeout ends an abandoned thread.
        timeout = (connect_seconds, 2 * self._response_seconds)
        try:
            with self.get(url, params=parameters, timeout=timeout, stream=True) as response:
                self._is_reached, reason = True, "no complete response"
                body, media_type = _read_body(response), response.headers.get("Content-Type", "")
            future.set_result(parse_page(body, f"the response for {requested}", media_type))
        except NoUsersError:  # an outage may answer with HTTP 200
            future.set_exception(RetryableError("a response without users"))
        except _RefusedError as error:
            future.set_exception(SourceError(f"requested {requested}, received {error}"))
        except (requests.RequestException, HTTPError) as error:
            future.set_exception(RetryableError(f"{reason} ({_find_cause(error)})"))
        except BaseException as error:
            future.set_exception(error)


class _RefusedError(Exception):
    """A response that no further try changes."""


def _read_body(response: requests.Response) -> bytes:
    code, headers = response.status_code, response.headers
    status = f"HTTP {code} {responses.get(code, '')}".strip()
    if code != requests.codes.ok:
        if target := headers.get("Location"):
            found = re.match(r"https?://[\w.:-]{1,100}", redact(target))
            host = found[0] if found else "another path"
            text = f"{status}, a redirect to {host}: not followed, check RANDOMUSER_URL"
            raise _RefusedError(text)
        excerpt = describe(response.raw.read1(4_096), headers.get("Content-Type", ""))
        retry_after = 0.0
        if code not in RETRYABLE_STATUSES:
            raise _RefusedError(f"{status}; read {excerpt}")
        with suppress(HTTPError, ValueError, OverflowError):  # neither seconds nor a date
            parser = Retry(retry_after_max=10**9)  # by default it returns 6 hours for a longer time
            retry_after = parser.parse_retry_after(headers.get("Retry-After", "0"))
        # A firewall may refuse a single request.
        raise RetryableError(status, excerpt, retry_after, 2 if code == 403 else inf)
    encoding = headers.get("Content-Encoding", "")
    if encoding.lower() not in ("", "identity"):
        raise _RefusedError(f"a response in {encoding[:50]!r}, which was not requested")
    body = bytearray()
    for chunk in response.iter_content(65_536):
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            raise _RefusedError(f"a response of more than {MAX_RESPONSE_BYTES:,} bytes")
    return bytes(body)


def _find_cause(error: BaseException) -> str:
    # The outer exceptions of requests and urllib3 only repeat the innermost one.
    if error.__context__:
        return _find_cause(error.__context__)
    # Errors other than the system's quote what the server sent.
    return to_one_line(error) if isinstance(error, OSError) else type(error).__name__
