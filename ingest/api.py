"""Asks the randomuser.me API for users, page by page, and believes no answer unchecked.

The API answers a request that it does not like with HTTP 200 and other users than were asked
for: one user for too many `results`, page 1 for a page past the last. So every answer's echo is
held against the request. Facts: randomuser.me/documentation and the service's published code.
"""

import hashlib
import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from ingest.answers import Page, SourceError, read_page

PAGE_USERS = 1_000  # the API's cap is 5,000; smaller pages keep memory and retries small
CONCURRENCY = 2  # pages being fetched at once; the limit below leaves no use for more
TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
DEFAULT_VERSION = "1.4"  # what the API answers where the URL names no version
# The API allows 20,000 users an address in five minutes and does not say when to come back, so
# the waits (2, 4, 8 ... 120 seconds) add up to more than five minutes.
RETRY = Retry(
    connect=2,
    read=3,
    status=8,
    other=0,
    backoff_factor=2,
    backoff_jitter=1,
    status_forcelist=[429, 500, 502, 503, 504],
)


def seed_of(load_id: str) -> str:
    """Return the API seed of a load: the same load asks for the same users.

    It ends in a letter, because the API appends the page number to it ("abc" page 12 is "abc1"
    page 2), and is not 18 characters long, which the API would read as a seed and a nationality.
    """
    return hashlib.sha256(load_id.encode()).hexdigest()[:20] + "x"


def pages(url: str, users: int, seed: str, password: str) -> Iterator[Page]:
    """Yield the pages of `users` users in order; raises SourceError at the first wrong one."""
    version = re.search(r"/(\d+\.\d+)/?$", url)
    ask = _Asker(url, seed, password, version[1] if version else DEFAULT_VERSION)
    pool = ThreadPoolExecutor(CONCURRENCY)
    waiting: deque[Future[Page]] = deque()
    try:
        for number, first in enumerate(range(0, users, PAGE_USERS), start=1):
            waiting.append(pool.submit(ask, number, min(PAGE_USERS, users - first)))
            if len(waiting) > CONCURRENCY:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class _Asker:
    def __init__(self, url: str, seed: str, password: str, version: str) -> None:
        self.url, self.seed, self.version = url, seed, version
        self.parameters = {"seed": seed} | ({"password": password} if password else {})
        self.session = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=CONCURRENCY, max_retries=RETRY)
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)

    def __call__(self, number: int, size: int) -> Page:
        asked = f"page {number} ({size} users) of {self.url}"
        try:
            answer = self.session.get(
                self.url,
                params=self.parameters | {"results": str(size), "page": str(number)},
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise SourceError(
                f"asked for {asked}: no answer ({_cause(error)}); is RANDOMUSER_URL right, and "
                "can this machine reach it?"
            ) from None
        if answer.status_code != requests.codes.ok:
            raise SourceError(
                f"asked for {asked}: HTTP {answer.status_code} {answer.reason}, "
                f"{answer.text[:200]!r}"
            )
        page = read_page(answer.content, f"the answer to {asked}")
        expected = (self.seed, size, number, self.version)
        came = (page.info.seed, page.info.results, page.info.page, page.info.version)
        if came != expected:
            raise SourceError(
                f"asked for {asked}: expected (seed, users, page, version) {expected}, got {came}"
            )
        return page


def _cause(error: BaseException) -> str:
    """Return the innermost reason: the outer ones repeat it in the libraries' own words."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return _cause(reason) if isinstance(reason, BaseException) else str(error)
