"""A good run requests HEARTBEAT_URL; no other run does, and no message shows the URL."""

import logging
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from support import faulty_api
from support.commands import ROOT
from support.faulty_api import Handler, Query

from publish.heartbeat import send_heartbeat

SECRET = "XoXoSecretOfTheHeartbeat"  # noqa: S105
SendHeartbeat = Callable[..., tuple[int, str]]


@pytest.fixture
def send(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> SendHeartbeat:
    """Send a heartbeat to a service that responds so; return its requests and what was logged."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    caplog.set_level(logging.DEBUG, "publish")

    def send(*statuses: int) -> tuple[int, str]:
        def respond(handler: Handler, _: Query) -> None:
            status = statuses[min(len(api.requests), len(statuses)) - 1]
            handler.send_head(status, Content_Length=0, Retry_After=86_400)

        with faulty_api.serve(respond) as api:
            send_heartbeat(SecretStr(f"{api.url}{SECRET}"))
        ((_, level, text),) = caplog.record_tuples
        assert SECRET not in text
        return len(api.requests), f"{logging.getLevelName(level)} {text}"

    return send


@pytest.mark.parametrize(("statuses", "requests"), [([200], 1), ([500, 503, 204], 3)])
def test_heartbeat_is_sent(send: SendHeartbeat, statuses: list[int], requests: int) -> None:
    assert send(*statuses) == (requests, "INFO sent a heartbeat")


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (429, 1), (503, 4)])
def test_refused_heartbeat_is_a_warning(send: SendHeartbeat, status: int, requests: int) -> None:
    sent, line = send(status)
    assert sent == requests
    assert line.startswith("WARNING the run was good, but not its heartbeat")
    assert f"{status}" in line


@pytest.mark.parametrize("url", ["", "nonsense", f"http://[{SECRET}", f"http://:1/{SECRET}"])
def test_unusable_url_is_one_line(caplog: pytest.LogCaptureFixture, url: str) -> None:
    caplog.set_level(logging.DEBUG, "publish")
    send_heartbeat(SecretStr(url))
    ((_, level, text),) = caplog.record_tuples
    assert level == (logging.WARNING if url else logging.INFO) and SECRET not in text


@pytest.mark.parametrize(
    "failing", ["", "ingest", "source freshness", "build", "publish csv", "publish report"]
)
def test_only_a_good_pipeline_sends_a_heartbeat(tmp_path: Path, failing: str) -> None:
    """The commands of `make pipeline` are replaced by stubs, of which one fails."""
    stub = f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\n'
    stub += 'case "$*" in *--exit-status*) shift $(($# - 1)); exit $1;; esac\n'
    stub += f'case "$*" in *"{failing or "nothing"}"*) exit 1;; esac\n'
    for program in ("python", "dbt"):
        (tmp_path / program).write_text(stub)
        (tmp_path / program).chmod(0o700)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["make", "pipeline", "BIN=none"],
        cwd=ROOT,
        env=os.environ | {"MAKEFLAGS": "", "PATH": path},
        capture_output=True,
        check=False,
    )
    calls = (tmp_path / "calls").read_text().splitlines()
    assert (done.returncode == 0) is (calls[-1] == "-m publish heartbeat") is (not failing)
