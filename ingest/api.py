"""Requests users from the randomuser.me API, page by page, and compares each response with it.

The API answers an invalid request with HTTP 200 and other users than were requested: one user
for too many `results`, page 1 for a page past the last. So `info` in each response is compared
with the request. Facts: randomuser.me/documentation and the published code of the service.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from itertools import count
from time import monotonic
from urllib.parse import urlsplit

import msgspec

from ingest.fetcher import PageFetcher
from ingest.logs import event
from ingest.response import Page, SourceError
from ingest.settings import Settings

log = logging.getLogger(__name__)
PAGE_USERS = 1_000  # the API allows 5,000; smaller pages keep memory and retries small
HEX = re.compile(r"[0-9a-fx.-]{0,40}")  # seeds of the API and of loads; other text may be a user's


def derive_seed(load_id: str, users: int) -> str:
    """Return the API seed of a load, so that each run of a load requests the same users.

    The seed ends in a letter, because the API appends the page number ("abc" page 12 is "abc1"
    page 2), and is not 18 characters long, which the API reads as a seed and a nationality. The
    generator of a page starts from 32 bits of md5(seed + page), so a seed is left out if two pages
    of the load would be equal.
    """
    text, numbers = load_id, ["", *range(2, count_pages(users) + 1)]
    for attempt in count(2):
        seed = hashlib.sha256(text.encode()).hexdigest()[:20] + "x"
        pages = (hashlib.md5(f"{seed}{n}".encode(), usedforsecurity=False) for n in numbers)
        if len({page.digest()[:4] for page in pages}) == len(numbers):
            break
        text = f"{load_id} {attempt}"
    return seed


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
    with PageFetcher(url, settings.retry_seconds, settings.randomuser_contact) as fetcher:
        for number, first in enumerate(range(0, users, PAGE_USERS), start=1):
            started, size = monotonic(), min(PAGE_USERS, users - first)
            parameters = {"seed": seed, "results": str(size), "page": str(number)}
            page = fetcher.fetch(parameters | ({"password": password} if password else {}))
            expected = (seed, size, number, version[1] if version else page.info.version)
            if (received := msgspec.structs.astuple(page.info)) != expected:
                shown = tuple(v if HEX.fullmatch(str(v)) else "(not shown)" for v in received)
                mismatch = f"expected (seed, users, page, version) {expected}, received {shown}"
                raise SourceError(f"requested page {number} ({size} users) of {url}: {mismatch}")
            seconds = round(monotonic() - started, 3)
            fetched = event("fetched", page=number, users=size, seconds=seconds)
            log.debug("fetched page %d", number, extra=fetched)
            yield page
