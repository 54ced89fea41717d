"""Asks the randomuser.me API for users, page by page, and believes no answer unchecked.

The API answers a request that it does not like with HTTP 200 and other users than were asked
for: one user for too many `results`, page 1 for a page past the last. So every answer's echo is
held against the request. Facts: randomuser.me/documentation and the service's published code.
"""

import hashlib
import logging
import re
from array import array
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

from ingest.answers import Page, SourceError, read_page
from ingest.client import Client
from ingest.logs import event

log = logging.getLogger(__name__)

PAGE_USERS = 1_000  # the API's cap is 5,000; smaller pages keep memory and retries small
CONCURRENCY = 2  # pages being fetched at once; the API's limit leaves no use for more
DEFAULT_VERSION = "1.4"  # what the API answers where the URL names no version


def seed_of(load_id: str) -> str:
    """Return the API seed of a load: the same load asks for the same users.

    It ends in a letter, because the API appends the page number to it ("abc" page 12 is "abc1"
    page 2), and is not 18 characters long, which the API would read as a seed and a nationality.
    """
    return hashlib.sha256(load_id.encode()).hexdigest()[:20] + "x"


def pages(url: str, users: int, seed: str, password: str, retry_seconds: float) -> Iterator[Page]:
    """Yield the pages of `users` users in order; raises SourceError at the first wrong one.

    No answer is one as well, after `retry_seconds`. Users sent twice are found out at the end.
    """
    version = re.search(r"/(\d+\.\d+)/?$", url)
    client = Client(retry_seconds, CONCURRENCY)
    ask = _Asker(client, url, seed, password, version[1] if version else DEFAULT_VERSION)
    pool = ThreadPoolExecutor(CONCURRENCY)
    waiting: deque[Future[Page]] = deque()
    different = _Different()
    try:
        for number, first in enumerate(range(0, users, PAGE_USERS), start=1):
            waiting.append(pool.submit(ask, number, min(PAGE_USERS, users - first)))
            if len(waiting) > CONCURRENCY:
                yield different.add(waiting.popleft().result())
        while waiting:
            yield different.add(waiting.popleft().result())
    finally:
        client.stop()
        pool.shutdown(cancel_futures=True)
    if different.count() != users:
        raise SourceError(
            f"asked for {users} users of {url}: only {different.count()} of those that came "
            "differ, the API sent some twice"
        )


class _Asker:
    def __init__(self, client: Client, url: str, seed: str, password: str, version: str) -> None:
        self.client, self.url, self.seed, self.version = client, url, seed, version
        self.parameters = {"seed": seed} | ({"password": password} if password else {})

    def __call__(self, number: int, size: int) -> Page:
        try:
            return self._page(number, size)
        except SourceError as error:
            self.client.stop(error)  # the other page's waiting as well
            raise

    def _page(self, number: int, size: int) -> Page:
        asked = f"page {number} ({size} users) of {self.url}"
        parameters = self.parameters | {"results": str(size), "page": str(number)}
        begun = monotonic()
        body = self.client.get(self.url, parameters, asked)
        page = read_page(body, f"the answer to {asked}")
        expected = (self.seed, size, number, self.version)
        came = (page.info.seed, page.info.results, page.info.page, page.info.version)
        if came != expected:
            raise SourceError(
                f"asked for {asked}: expected (seed, users, page, version) {expected}, got {came}"
            )
        seconds = round(monotonic() - begun, 3)
        about = event("page", page=number, users=size, seconds=seconds)
        log.debug("received page %d", number, extra=about)
        return page


class _Different:
    """Counts users that differ, in 8 bytes each.

    It compares hashes, which are new in each process: among ten million different users two have
    the same one once in 400,000 runs, and then not in the next.
    """

    def __init__(self) -> None:
        self.hashes = [array("q") for _ in range(256)]

    def add(self, page: Page) -> Page:
        for user in page.users:
            mark = hash(bytes(user))
            self.hashes[mark & 255].append(mark)
        return page

    def count(self) -> int:
        return sum(len(set(some)) for some in self.hashes)  # a set of all would take much memory
