"""Requests of the API: the waits between two tries, and how a request names itself."""

import re
import socket
from contextlib import ExitStack
from email.utils import formatdate
from time import time

import pytest
from support import faulty_api
from support.faulty_api import fail, fetch, send_status

from ingest import __version__, fetcher


def test_waits_grow_to_a_minute_and_are_random(
    waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    with faulty_api.serve(send_status(503), times=8) as served:
        fetch(served.url)
    for least, wait in zip([2, 4, 8, 16, 32, 60, 60, 60], waits, strict=True):
        assert least <= wait <= least + 2 and wait != least
    error = "page 1: HTTP 503 Service Unavailable"
    assert caplog.messages[0] == f"{error}; retrying in {waits[0]:.1f} s"


@pytest.mark.parametrize("seconds", [20, 600])
def test_retries_use_most_of_retry_seconds(waits: list[float], seconds: float) -> None:
    with faulty_api.serve(send_status(429)) as served:
        line = fail(served.url, retry_seconds=seconds)
    assert re.search(rf" in \d+ s \(RETRY_SECONDS is {seconds}\)$", line)
    assert 0.7 * seconds < sum(waits) <= seconds


def test_retry_after_sets_least_wait(waits: list[float]) -> None:
    date, past_date = (formatdate(time() + seconds, usegmt=True) for seconds in (120, -120))
    headers = {"120": 120, date: 118, past_date: 2, "soon": 2, "9" * 5000: 2}
    for header, least in headers.items():
        with faulty_api.serve(send_status(429, Retry_After=header), times=1) as served:
            fetch(served.url)
        assert least <= waits.pop() <= least + 5 and not waits


def test_longer_retry_after_is_named_at_once(waits: list[float]) -> None:
    with faulty_api.serve(send_status(429, Retry_After=86_400)) as served:
        line = fail(served.url)
    assert line.endswith("; the API requests a wait of 86400 s (Retry-After)") and not waits


def test_unreached_api_is_retried_for_30_seconds_or_until_it_is_up(
    monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port: int = closed.getsockname()[1]
        assert "check that RANDOMUSER_URL is right" in fail(f"http://127.0.0.1:{port}/api/")
        assert len(waits) == 4  # 2, 4, 8 and 16 seconds; 32 more would exceed 30
    with ExitStack() as until_up:
        start = faulty_api.serve(faulty_api.send_page, port=port)
        monkeypatch.setattr(fetcher, "sleep", lambda _: until_up.enter_context(start))
        fetch(f"http://127.0.0.1:{port}/api/")


def test_requests_name_themselves() -> None:
    with faulty_api.serve(faulty_api.send_page) as served:
        fetch(served.url)
        fetch(served.url, randomuser_contact="https://example.com/data")
    agent = f"randomuser-pipeline/{__version__}"
    assert served.agents == [agent, f"{agent} (+https://example.com/data)"]
