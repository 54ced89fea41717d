"""Logs: one JSON line per event."""

import os
import pty
import re
import subprocess
import sys
import termios
from collections import defaultdict
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from support import faulty_api
from support.commands import ROOT, Run
from support.log_lines import for_people, log_lines

from ingest import logs


def read_events(stderr: str, load_id: str) -> dict[str, list[dict[str, Any]]]:
    """Check the fields of each log line and return the lines by event name."""
    events = defaultdict[str, list[dict[str, Any]]](list)
    for line in log_lines(stderr):
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)
        assert line["level"] in ("DEBUG", "INFO", "WARNING", "ERROR")
        assert line["load_id"] == load_id and line["message"]
        events[line["event"]].append(line)
    return events


def test_load_logs_each_step(run: Run, api_url: str) -> None:
    load = ("ingest", "--users", "2500", "--load-id", 'a "load" of ż')
    done = run(*load, LOG_LEVEL="DEBUG")
    assert done.returncode == 0 and not for_people(done.stderr)
    events = read_events(done.stderr, load[-1])
    assert list(events) == ["started", "fetched", "received", "written", "landed"]
    assert (events["started"][0]["users"], events["started"][0]["source"]) == (2500, api_url)
    pages = {line["page"]: line["users"] for line in events["fetched"]}
    assert pages == {1: 1000, 2: 1000, 3: 500}
    assert all(line["seconds"] > 0 for line in [*events["fetched"], *events["landed"]])
    for name in ("received", "landed"):
        assert [line["users"] for line in events[name]] == [2500]
    assert [line["table"] for line in events["written"]] == ["users", "ledger"]

    again = run(*load)
    assert list(read_events(again.stderr, load[-1])) == ["started", "already_loaded"]


def test_failure_is_logged_and_printed_in_one_line(run: Run) -> None:
    with faulty_api.serve(faulty_api.send(b"no such page", 404)) as served:
        done = run("ingest", "--users", "20", "--load-id", "x", RANDOMUSER_URL=served.url)
    assert done.returncode == 1
    (line,) = for_people(done.stderr)
    (failed,) = read_events(done.stderr, "x")["failed"]
    assert (failed["level"], failed["status"]) == ("ERROR", 1)
    assert line == f"ingest: {failed['message']}" and "HTTP 404" in line


def test_terminal_shows_text_and_progress_bar_keeps_lines_whole(run: Run) -> None:
    busy = faulty_api.send(b"<html>" + b"busy " * 100, 503)
    wrong = faulty_api.send(b"no such page", 404)
    with faulty_api.serve(faulty_api.in_turn(busy, busy, faulty_api.send_page, wrong)) as served:
        settings = {"RANDOMUSER_URL": served.url, "RETRY_SECONDS": "4"}
        status, screen_text = run_on_terminal(run, "--users", "2500", **settings)
    assert status == 1 and "page/s" in screen_text and '{"' not in screen_text
    assert screen_text.splitlines()[-1].startswith("ingest: requested page 2 (1000 users) of ")
    assert screen_text.count("HTTP 404") == 1
    retries = [line for line in screen_text.split("\n") if "retrying" in line]
    assert len(retries) == 2
    for line in retries:
        visible = line.rstrip("\r").split("\r")[-1]  # the text before it was overwritten
        start = r"\d\d:\d\d:\d\d WARNING page 1: HTTP 503 "
        assert re.match(start, visible) and len(visible) <= 80, screen_text


def run_on_terminal(run: Run, *flags: str, **extra: str) -> tuple[int, str]:
    """Run the loader on a terminal; return its exit status and its output."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    program, settings = [sys.executable, "-m", "ingest", *flags], run.environment | extra
    process = subprocess.Popen(program, cwd=ROOT, env=settings, stdout=terminal, stderr=terminal)
    os.close(terminal)
    output = b""
    with suppress(OSError):  # on Linux: the other end is closed
        while chunk := os.read(controller, 65_536):
            output += chunk
    os.close(controller)
    return process.wait(), output.decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from http://me:pass@host/path?a=b@c: no", "from http://host/path?a=b@c: no"),
        ("https://token@host", "https://host"),
        ("http://host/a@b and me@example.com", "http://host/a@b and me@example.com"),
    ],
)
def test_redact_removes_credentials_of_urls(text: str, expected: str) -> None:
    assert logs.redact(text) == expected
