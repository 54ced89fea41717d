"""Requests users from the randomuser.me API, page by page, and compares each response with it.

The API answers an invalid request with HTTP 200 and other users than were requested: one user
for too many `results`, page 1 for a page past the last. So `info` in each response is compared
with the request. Facts: randomuser.me/documentation and the published code of the service.
"""

import hashlib
import re
from collections.abc import Iterator
from itertools import count
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from pydantic import Field

from ingest.fetcher import PageFetcher
from ingest.response import OutageError, SourceError
from ingest.settings import Settings, Url
from ingest.source import Load, Page, Source, hash_request

PAGE_USERS = 1_000  # the API allows 5,000; smaller pages keep memory and retries small
HEX = re.compile(r"[0-9a-fx.-]{0,40}")  # seeds of the API and of loads; other text may be a user's


class RandomuserSettings(Settings):
    """The settings of this source; docs/settings.md explains each setting."""

    randomuser_url: Url = "https://randomuser.me/api/1.4/"
    randomuser_users: int = Field(1_000, ge=1, le=10_000_000)
    randomuser_contact: str = ""
    randomuser_password: str = "special,upper,lower,number,24-32"  # noqa: S105


class Info(msgspec.Struct):
    """What the API reports about a response; a mismatch with the request shows a wrong response."""

    seed: str
    results: int
    page: int
    version: str


class Users(Page):
    """A response: randomuser.me/documentation#format."""

    records: list[msgspec.Raw] = msgspec.field(name="results")
    info: Info

    def __post_init__(self) -> None:
        """Raise SourceError if the response holds no users, or not as many as it reports."""
        reported, held = self.info.results, len(self.records)
        if not held:
            raise OutageError("holds no users, as in an outage of the API")
        if reported != held:
            raise SourceError(f"reports {reported} users and holds {held}")

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of raw that the response has."""
        info = self.info
        return {"page": info.page, "api_version": info.version, "seed": info.seed}


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


def request(settings: RandomuserSettings, load_id: str) -> Load:
    """Return a load, the same from any host: path of the URL, users, passwords."""
    url, users = settings.randomuser_url, settings.randomuser_users
    key = hash_request(urlsplit(url).path, users, settings.randomuser_password)
    pages = fetch_pages(settings, users, derive_seed(load_id, users))
    return Load(load_id, url, key, pages, users, count_pages(users))


def count_pages(users: int) -> int:
    """Return how many pages are requested for `users`."""
    return -(-users // PAGE_USERS)


def fetch_pages(settings: RandomuserSettings, users: int, seed: str) -> Iterator[Page]:
    """Yield the pages of `users` users; raise SourceError if a page is wrong or missing."""
    url, password = settings.randomuser_url, settings.randomuser_password
    version = re.search(r"/(\d+\.\d+)/?$", url)
    with PageFetcher(SOURCE, url, settings, settings.randomuser_contact) as fetcher:
        for number, first in enumerate(range(0, users, PAGE_USERS), start=1):
            size = min(PAGE_USERS, users - first)
            parameters = {"seed": seed, "results": str(size), "page": str(number)}
            parameters |= {"password": password} if password else {}
            page = fetcher.fetch(parameters, size)
            expected = (seed, size, number, version[1] if version else page.info.version)
            if (received := msgspec.structs.astuple(page.info)) != expected:
                shown = tuple(v if HEX.fullmatch(str(v)) else "(not shown)" for v in received)
                mismatch = f"expected (seed, users, page, version) {expected}, received {shown}"
                raise SourceError(f"requested page {number} ({size} users) of {url}: {mismatch}")
            yield page


SOURCE = Source(
    name="randomuser",
    records="users",
    settings=RandomuserSettings,
    page=Users,
    person=("login", "uuid"),
    request=request,
    error=dict[Literal["error"], Annotated[str, msgspec.Meta(max_length=200)]],
)
