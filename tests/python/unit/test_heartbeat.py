"""A good run requests HEARTBEAT_URL; no other run does, and no message shows the URL."""

import logging
import os
import subprocess
import time
from pathlib import Path

import pytest
from pydantic import SecretStr
from support import faulty_api
from support.commands import ROOT

from publish.heartbeat import send_heartbeat

SECRET = "XoXoSecretOfTheHeartbeat"  # noqa: S105
REFUSED = "WARNING the run was good, but not its heartbeat (HTTPError, {}): is HEARTBEAT_URL right?"


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    caplog.set_level(logging.DEBUG, "publish")


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([500, 503, 200], "INFO sent a heartbeat"),
        ([429], REFUSED.format(429)),  # too long to wait
        ([503] * 4, REFUSED.format(503)),
    ],
)
def test_outage_is_retried_and_refusal_is_a_warning(
    caplog: pytest.LogCaptureFixture, statuses: list[int], expected: str
) -> None:
    responses = [faulty_api.send(b"", status, Retry_After=86_400) for status in statuses]
    with faulty_api.serve(faulty_api.in_turn(*responses)) as api:
        send_heartbeat(SecretStr(f"{api.url}{SECRET}"))
    ((_, level, text),) = caplog.record_tuples
    assert f"{logging.getLevelName(level)} {text}" == expected
    assert len(api.requests) == len(statuses)


@pytest.mark.parametrize("url", ["", "nonsense", f"http://[{SECRET}", f"http://:1/{SECRET}"])
def test_unusable_url_is_one_line(caplog: pytest.LogCaptureFixture, url: str) -> None:
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
    variables = os.environ | {"MAKEFLAGS": "", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["make", "pipeline", "BIN=none"], cwd=ROOT, env=variables, check=False)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert (done.returncode == 0) is (calls[-1] == "-m publish heartbeat") is (not failing)
