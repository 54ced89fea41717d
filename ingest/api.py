"""Asks the randomuser.me API for users, page by page, and believes no answer unchecked.

The API answers a request that it does not like with HTTP 200 and other users than were asked
for: one user for too many `results`, page 1 for a page past the last. So every answer's echo is
held against the request. Facts: randomuser.me/documentation and the service's published code.
"""

import hashlib
import logging
import re
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from random import uniform
from threading import Thread
from time import monotonic, sleep

import msgspec
import requests
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from ingest.answers import Page, SourceError, read_page
from ingest.logs import event, one_line

log = logging.getLogger(__name__)
PAGE_USERS = 1_000  # the API's cap is 5,000; smaller pages keep memory and retries small
DEFAULT_VERSION = "1.4"  # what the API answers where the URL names no version
ANSWER_SECONDS = 60  # for one answer, from the request to its last byte
UNREACHED_SECONDS = 30  # a service that has never been reached has most likely another URL
UNREACHED = "; is RANDOMUSER_URL right, and can this machine reach it?"
MAX_WAIT = 60  # seconds between two tries, unless Retry-After says more
MAX_ANSWER = 64 * 2**20  # bytes; a page of the API is 1.2 MB, the largest 6 MB
BUSY = {429, 500, 502, 503, 504}


def seed_of(load_id: str) -> str:
    """Return the API seed of a load: the same load asks for the same users.

    It ends in a letter, because the API appends the page number to it ("abc" page 12 is "abc1"
    page 2), and is not 18 characters long, which the API would read as a seed and a nationality.
    """
    return hashlib.sha256(load_id.encode()).hexdigest()[:20] + "x"


def pages(url: str, users: int, seed: str, password: str, retry_seconds: float) -> Iterator[Page]:
    """Yield the pages of `users` users; SourceError: a wrong one, or none in `retry_seconds`."""
    version = re.search(r"/(\d+\.\d+)/?$", url)
    with _Client(retry_seconds) as client:
        for number, first in enumerate(range(0, users, PAGE_USERS), start=1):
            started, size = monotonic(), min(PAGE_USERS, users - first)
            asked = f"page {number} ({size} users) of {url}"
            parameters = {"seed": seed, "results": str(size), "page": str(number)}
            parameters |= {"password": password} if password else {}
            try:
                body = client.body(url, parameters)
            except SourceError as error:
                raise SourceError(f"asked for {asked}: {error}") from None
            page = read_page(body, f"the answer to {asked}")
            expected = (seed, size, number, version[1] if version else DEFAULT_VERSION)
            if (got := msgspec.structs.astuple(page.info)) != expected:
                what = f"expected (seed, users, page, version) {expected}, got {got}"
                raise SourceError(f"asked for {asked}: {what}")
            about = event("page", page=number, users=size, seconds=round(monotonic() - started, 3))
            log.debug("received page %d", number, extra=about)
            yield page


class _BusyError(Exception):
    """No answer, but the next try may bring one; `after`: seconds to leave the service alone."""

    def __init__(self, came: str, body: str = "", after: float = 0) -> None:
        super().__init__(f"{came}, {body!r}" if body else came)
        self.came, self.after = came, after


class _Client(requests.Session):
    """Asks for a page for up to `seconds`, with waits that grow and differ from run to run."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.headers["Accept-Encoding"] = "identity"  # so that none unpacks to more than came
        self._seconds, self._answer_seconds = seconds, min(ANSWER_SECONDS, seconds / 4)
        self._reached = False

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that there is none: requests would read its whole body to look no further."""

    def body(self, url: str, parameters: dict[str, str]) -> bytes:
        """Return the body of an answer with HTTP 200; raises SourceError."""
        started, first_wait = monotonic(), min(2.0, self._seconds / 32)
        tries = 0
        while True:
            tries += 1
            # A socket's timeout begins anew with each byte: so a thread asks, and may be left.
            future: Future[bytes] = Future()
            Thread(target=self._ask, args=(future, url, parameters), daemon=True).start()
            try:
                return future.result(self._answer_seconds)
            except TimeoutError:
                self._reached = True
                error = _BusyError(f"no whole answer within {self._answer_seconds:g} s")
            except _BusyError as busy:
                error = busy
            spent = monotonic() - started
            limit = self._seconds - self._answer_seconds  # the last answer is in time too
            left = (limit if self._reached else min(limit, UNREACHED_SECONDS)) - spent
            if left <= 0 or error.after > left:
                tried = f"{tries} {'try' if tries == 1 else 'tries'} in {spent:.0f} s"
                alone = f"; it asks to be left alone for {error.after:.0f} s more"
                hint = (alone if error.after else "") if self._reached else UNREACHED
                tried += f" (RETRY_SECONDS is {self._seconds:g}){hint}"
                raise SourceError(f"{error}; given up after {tried}")
            backoff = min(first_wait * 2 ** min(tries - 1, 9), MAX_WAIT)
            wait = max(backoff, error.after) + uniform(0, first_wait)  # noqa: S311
            wait = max(min(wait, left), error.after)
            page, seconds = int(parameters["page"]), round(wait, 3)
            about = event("retry", page=page, came=str(error), tries=tries, seconds=seconds)
            log.warning("page %d: %s; asking again in %.1f s", page, error.came, wait, extra=about)
            sleep(wait)

    def _ask(self, future: Future[bytes], url: str, parameters: dict[str, str]) -> None:
        connect, came = min(10, self._answer_seconds / 2), "no answer"
        timeout = (connect, 2 * self._answer_seconds)  # the read's ends a thread that was left
        try:
            with self.get(url, params=parameters, timeout=timeout, stream=True) as answer:
                self._reached, came = True, "no whole answer"
                future.set_result(_body(answer))
        except (requests.RequestException, HTTPError) as error:
            future.set_exception(_BusyError(f"{came} ({_cause(error)})"))
        except BaseException as error:
            future.set_exception(error)


def _body(answer: requests.Response) -> bytes:
    came, headers = f"HTTP {answer.status_code} {answer.reason}", answer.headers
    if answer.status_code != requests.codes.ok:
        if target := headers.get("Location"):
            raise SourceError(f"{came}, a redirect to {target[:200]!r}, which is not followed")
        beginning, after = str(answer.raw.read1(200), "utf-8", "replace"), 0.0
        if answer.status_code not in BUSY:
            raise SourceError(f"{came}, {beginning!r}")
        with suppress(HTTPError, ValueError, OverflowError):  # it is seconds, a date, or neither
            after = Retry().parse_retry_after(headers.get("Retry-After", "0"))
        raise _BusyError(came, beginning, after)
    if encoding := headers.get("Content-Encoding"):
        raise SourceError(f"an answer in {encoding[:50]!r}, which was not asked for")
    body = bytearray()
    for chunk in answer.iter_content(65_536):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise SourceError(f"an answer of more than {MAX_ANSWER:,} bytes")
    return bytes(body)


def _cause(error: BaseException) -> str:
    # The innermost reason: the outer ones repeat it in the libraries' own words.
    return _cause(error.__context__) if error.__context__ else one_line(error)
