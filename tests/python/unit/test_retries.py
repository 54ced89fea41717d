"""How long the client waits before it asks the API again."""

import json
import logging
import re
import socket
from collections.abc import Callable
from email.utils import formatdate
from time import monotonic, time

import pytest
from support import faulty_api
from support.faulty_api import Fault, status

from ingest import api
from ingest.answers import SourceError


def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Take down the waits, and let the clock go on as if each had been waited for."""
    waits: list[float] = []
    monkeypatch.setattr(api, "sleep", waits.append)
    monkeypatch.setattr(api, "monotonic", lambda: monotonic() + sum(waits))
    return waits


def ask(url: str, retry_seconds: float, users: int = 1) -> None:
    list(api.pages(url, users, "seedx", "", retry_seconds))


def waits_of(monkeypatch: pytest.MonkeyPatch, fault: Fault, times: int) -> list[float]:
    waits = waited(monkeypatch)
    with faulty_api.faulty_api(fault, times) as served:
        ask(served.url, 600)
    return waits


def test_waits_grow_up_to_a_minute_and_differ_from_run_to_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        first, second = (waits_of(monkeypatch, status(503), 8) for _ in range(2))
    assert first != second
    for least, wait in zip([2, 4, 8, 16, 32, 60, 60, 60], first, strict=True):
        assert least <= wait <= least + 2
    came = "page 1: HTTP 503 Service Unavailable"
    assert caplog.messages[0] == f"{came}; asking again in {first[0]:.1f} s"


@pytest.mark.parametrize("seconds", [20, 60, 600])
def test_a_service_that_stays_busy_is_asked_for_most_of_the_time_that_is_stated(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    waits = waited(monkeypatch)
    with (
        faulty_api.faulty_api(status(429)) as served,
        pytest.raises(SourceError, match=rf" in \d+ s \(RETRY_SECONDS is {seconds}\)$"),
    ):
        ask(served.url, seconds)
    assert 0.74 * seconds < sum(waits) <= seconds


def test_of_two_pages_that_are_refused_for_good_one_is_named_and_the_other_not_asked_for() -> None:
    with faulty_api.faulty_api(status(429)) as served, pytest.raises(SourceError) as refused:
        ask(served.url, 1, users=2000)
    assert str(refused.value).count("page ") == str(refused.value).count("429") == 1
    assert {query["page"] for _, query in served.asked} == {"1"}


@pytest.mark.parametrize(
    ("header", "least"),
    [
        (lambda: "120", 120),
        (lambda: formatdate(time() + 120, usegmt=True), 118),
        (lambda: formatdate(time() - 120, usegmt=True), 2),
        (lambda: "-7", 2),
        (lambda: "9" * 5000, 2),
    ],
    ids=["seconds", "a date", "a date that is past", "a negative number", "no number"],
)
def test_retry_after_is_waited_for_in_either_form(
    monkeypatch: pytest.MonkeyPatch, header: Callable[[], str], least: float
) -> None:
    (wait,) = waits_of(monkeypatch, status(429, Retry_After=header()), 1)
    assert least <= wait <= least + 5


def test_a_right_answer_passes_and_the_url_says_which_version_is_right() -> None:
    with faulty_api.faulty_api(faulty_api.right) as served:
        (page,) = api.pages(served.url, 3, "0123x", "", 60)
        sent = faulty_api.users("0123x", 1, 3)
        assert [json.loads(bytes(user)) for user in page.users] == sent
        with pytest.raises(SourceError, match=re.escape("('0123x', 3, 1, '1.3'), got")):
            list(api.pages(f"{served.url}1.3/", 3, "0123x", "", 60))


def test_a_service_that_was_never_reached_is_not_asked_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = waited(monkeypatch)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/api/"
        with pytest.raises(SourceError, match="is RANDOMUSER_URL right"):
            ask(url, 600)
    assert len(waits) == 4  # 2, 4, 8 and 16 seconds; 32 more would pass 30
