"""Requests of the page fetcher: seeds, the waits between two tries, and their headers."""

import hashlib
import json
import logging
import re
import socket
from collections.abc import Callable
from email.utils import formatdate
from time import time

import pytest
from support import faulty_api
from support.faulty_api import Fault, record_waits, send_status

from ingest import __version__, api
from ingest.response import Page, SourceError
from ingest.settings import Settings
from local.api.request import Request
from local.api.user_generator import generate_page


def fetch(url: str, retry_seconds: float, users: int = 1, **others: str) -> list[Page]:
    settings = Settings.read(
        randomuser_url=url,
        google_cloud_project="p",
        randomuser_password="",
        retry_seconds=retry_seconds,
        **others,
    )
    return list(api.fetch_pages(settings, users, "0123x"))


def fetch_with_fault(monkeypatch: pytest.MonkeyPatch, fault: Fault, times: int) -> list[float]:
    waits = record_waits(monkeypatch)
    with faulty_api.serve(fault, times) as served:
        fetch(served.url, 600)
    return waits


def test_waits_grow_to_a_minute_and_are_random(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        first, second = (fetch_with_fault(monkeypatch, send_status(503), 8) for _ in range(2))
    assert first != second
    for least, wait in zip([2, 4, 8, 16, 32, 60, 60, 60], first, strict=True):
        assert least <= wait <= least + 2
    error = "page 1: HTTP 503 Service Unavailable"
    assert caplog.messages[0] == f"{error}; retrying in {first[0]:.1f} s"


@pytest.mark.parametrize("seconds", [20, 60, 600])
def test_retries_use_most_of_retry_seconds(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    waits = record_waits(monkeypatch)
    with (
        faulty_api.serve(send_status(429)) as served,
        pytest.raises(SourceError, match=rf" in \d+ s \(RETRY_SECONDS is {seconds}\)$"),
    ):
        fetch(served.url, seconds)
    assert 0.7 * seconds < sum(waits) <= seconds


def test_failed_page_ends_load_before_next_page() -> None:
    with faulty_api.serve(send_status(429)) as served, pytest.raises(SourceError) as error:
        fetch(served.url, 1, users=2000)
    assert str(error.value).count("page ") == str(error.value).count("HTTP 429") == 1
    assert {query["page"] for _, query in served.requests} == {"1"}


@pytest.mark.parametrize(
    ("header", "least"),
    [
        (lambda: "120", 120),
        (lambda: formatdate(time() + 120, usegmt=True), 118),
        (lambda: formatdate(time() - 120, usegmt=True), 2),
        (lambda: "-7", 2),
        (lambda: "9" * 5000, 2),
    ],
    ids=["seconds", "date", "past date", "negative number", "too large number"],
)
def test_retry_after_sets_least_wait(
    monkeypatch: pytest.MonkeyPatch, header: Callable[[], str], least: float
) -> None:
    (wait,) = fetch_with_fault(monkeypatch, send_status(429, Retry_After=header()), 1)
    assert least <= wait <= least + 5


def test_long_retry_after_is_named_as_sent() -> None:
    with (
        faulty_api.serve(send_status(429, Retry_After=86_400)) as served,
        pytest.raises(SourceError, match=r"requests a wait of 86400 s \(Retry-After\)"),
    ):
        fetch(served.url, 600)


def test_identity_is_no_encoding() -> None:
    page = faulty_api.change_bytes(bytes, Content_Encoding="Identity")
    with faulty_api.serve(page) as served:
        fetch(served.url, 60)


def test_url_sets_expected_version() -> None:
    with faulty_api.serve(faulty_api.send_page) as served:
        (page,) = fetch(served.url, 60, users=3)
        sent = faulty_api.make_users("0123x", 1, 3)
        assert [json.loads(bytes(user)) for user in page.users] == sent
        with pytest.raises(SourceError, match=re.escape("('0123x', 3, 1, '1.3'), received")):
            fetch(f"{served.url}1.3/", 60, users=3)


def test_unreached_api_is_retried_for_30_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = record_waits(monkeypatch)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/api/"
        with pytest.raises(SourceError, match="check that RANDOMUSER_URL is right"):
            fetch(url, 600)
    assert len(waits) == 4  # 2, 4, 8 and 16 seconds; 32 more would exceed 30


def test_requests_name_themselves() -> None:
    with faulty_api.serve(faulty_api.send_page) as served:
        fetch(served.url, 60)
        fetch(served.url, 60, randomuser_contact="https://example.com/data")
    agent = f"randomuser-pipeline/{__version__}"
    assert served.agents == {agent, f"{agent} (+https://example.com/data)"}


def find_starts(seed: str, pages: int) -> set[bytes]:
    seeds = (f"{seed}{page}" if page > 1 else seed for page in range(1, pages + 1))
    return {hashlib.md5(text.encode(), usedforsecurity=False).digest()[:4] for text in seeds}


@pytest.mark.parametrize(("load_id", "pages"), [("load-702", 2_000), ("load-52", 10_000)])
def test_seed_gives_no_two_pages_from_one_start(load_id: str, pages: int) -> None:
    plain, seed = api.derive_seed(load_id, 1_000), api.derive_seed(load_id, pages * 1_000)
    assert plain == hashlib.sha256(load_id.encode()).hexdigest()[:20] + "x"
    assert len(find_starts(plain, pages)) == pages - 1
    assert len(find_starts(seed, pages)) == pages


def test_plain_seed_gives_equal_pages() -> None:
    """Of the fake API, which seeds its generator as the service does."""

    def read_page(seed: str, page: int) -> object:
        request = Request.parse(f"seed={seed}&results=2&page={page}")
        return json.loads(generate_page(request))["results"]

    for users, is_equal in ((1_000, True), (2_000_000, False)):
        seed = api.derive_seed("load-702", users)
        assert (read_page(seed, 1187) == read_page(seed, 1781)) is is_equal
