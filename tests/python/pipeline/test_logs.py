"""What the programs log: a line of JSON an event, and never a secret."""

import json
import os
import pty
import re
import subprocess
import sys
import termios
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import faulty_api
from support.commands import ROOT, Run
from support.fake_slack import Answer, fake_slack
from support.log_lines import for_people, log_lines
from support.warehouse import Warehouse

from ingest import logs

WEBHOOK, TOKEN, PASSWORD = "WebhookSecretXoXo", "TokenSecretXoXo", "PasswordSecretXoXo"
EVER = "loaded_at >= timestamp '1970-01-01'"


def events(stderr: str, load_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return what was logged by the event's name, after a look at what each line must have."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in log_lines(stderr):
        at = datetime.fromisoformat(line["at"])
        assert at.utcoffset() == timedelta(0) and datetime.now(UTC) - at < timedelta(minutes=10)
        assert line["level"] in ("DEBUG", "INFO", "WARNING", "ERROR")
        assert line["load_id"] == load_id and line["message"]
        found.setdefault(line["event"], []).append(line)
    return found


def test_a_load_logs_each_step_with_its_load_id_users_and_seconds(run: Run, api_url: str) -> None:
    load = ("ingest", "--users", "2500", "--load-id", 'a "load" of ż')
    done = run(*load, LOG_LEVEL="DEBUG")
    assert done.returncode == 0 and not for_people(done.stderr)
    seen = events(done.stderr, load[-1])
    assert list(seen) == ["begun", "page", "sent", "staged", "written", "landed"]
    assert (seen["begun"][0]["users"], seen["begun"][0]["source"]) == (2500, api_url)
    pages = {it["page"]: it["users"] for it in seen["page"]}
    assert pages == {1: 1000, 2: 1000, 3: 500}
    assert all(it["seconds"] > 0 for it in [*seen["page"], *seen["landed"]])
    for event in ("sent", "staged", "landed"):
        assert [it["users"] for it in seen[event]] == [2500]
    assert [it["table"] for it in seen["written"]] == ["users", "ledger"]

    again = run(*load)
    assert list(events(again.stderr, load[-1])) == ["begun", "already_loaded"]


def test_a_retry_is_logged_with_its_page_and_reason_and_pages_only_on_demand(run: Run) -> None:
    with faulty_api.faulty_api(faulty_api.said(b"later", 503), times=1) as served:
        done = run("ingest", "--users", "20", "--load-id", "x", RANDOMUSER_URL=served.url)
    assert done.returncode == 0
    seen = events(done.stderr, "x")
    (retry,) = seen["retry"]
    assert (retry["level"], retry["page"], retry["tries"]) == ("WARNING", 1, 1)
    assert retry["came"].startswith("HTTP 503") and retry["seconds"] > 0
    assert "page" not in seen


def test_a_failure_is_logged_as_an_error_and_said_in_one_line_for_people(run: Run) -> None:
    with faulty_api.faulty_api(faulty_api.said(b"no such page", 404)) as served:
        done = run("ingest", "--users", "20", "--load-id", "x", RANDOMUSER_URL=served.url)
    assert done.returncode == 1
    (line,) = for_people(done.stderr)
    (failed,) = events(done.stderr, "x")["failed"]
    assert (failed["level"], failed["status"]) == ("ERROR", 1)
    assert line == f"ingest: {failed['message']}" and "HTTP 404" in line


def test_a_wrong_level_is_wrong_use(run: Run) -> None:
    done = run("ingest", LOG_LEVEL="loud")
    assert done.returncode == 2
    (line,) = for_people(done.stderr)
    assert "LOG_LEVEL: Input should be 'DEBUG', 'INFO'" in line


def test_on_a_terminal_the_lines_are_for_people(run: Run) -> None:
    status, shown = on_a_terminal(run, "--from-file", "no-such-file")
    assert status == 1
    assert shown.splitlines() == [
        "ingest: cannot read no-such-file: No such file or directory; nothing was landed"
    ]


def test_on_a_terminal_no_log_line_is_torn_by_the_progress_bar_or_longer_than_a_line(
    run: Run,
) -> None:
    fault = faulty_api.said(b"<html>" + b"busy " * 100, 503)
    with faulty_api.faulty_api(fault, times=2) as served:
        flags = ("--users", "2500", "--load-id", "x")
        status, shown = on_a_terminal(run, *flags, RANDOMUSER_URL=served.url, RETRY_SECONDS="9")
    assert status == 0 and "page/s" in shown
    retries = [line for line in shown.split("\n") if "asking again" in line]
    assert len(retries) == 2
    for line in retries:
        last = line.rstrip("\r").split("\r")[-1]  # what is seen: a bar before it was wiped
        begins = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING page [12]: HTTP 503 "
        assert re.match(begins, last) and len(last) < 110, shown


def on_a_terminal(run: Run, *flags: str, **extra: str) -> tuple[int, str]:
    """Run the loader on a terminal; return its status and all that was shown."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    with os.fdopen(controller, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [sys.executable, "-m", "ingest", *flags],
            cwd=ROOT,
            env=run.environment | extra,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        shown = b""
        while part := _read(screen.fileno()):
            shown += part
        return process.wait(), shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux's way to say that nobody writes any more
        return b""


def test_no_password_token_or_webhook_is_printed_or_logged_by_a_run_that_goes_wrong_at_times(
    run: Run, warehouse: Warehouse, api_url: str, tmp_path: Path
) -> None:
    with fake_slack(WEBHOOK) as slack:
        with_credentials = api_url.replace("://", f"://me:{PASSWORD}@")
        secrets = {
            "SLACK_WEBHOOK_URL": slack.url,
            "DBT_ENV_SECRET_BIGQUERY_TOKEN": TOKEN,
            "RANDOMUSER_URL": with_credentials,
            "LOG_LEVEL": "DEBUG",
        }
        nobody = with_credentials.replace(api_url.split("/")[2], "127.0.0.1:1")
        slack.answers = [Answer(429, "rate_limited", 0), Answer(404, "no_service")]
        runs = [
            run("ingest", "--check", **secrets),
            run("ingest", "--users", "300", **secrets),
            run("ingest", **secrets | {"RANDOMUSER_URL": nobody, "RETRY_SECONDS": "1"}),
            run("dbt", "--debug", "source", "freshness", **secrets),
            run("dbt", "build", "--exclude-resource-type", "unit_test", **secrets),
            run("publish", "alert", ALERT_FAILED_TASKS="ingest", **secrets),
            run("publish", "alert", ALERT_FAILED_TASKS="ingest", **secrets),
            run("publish", "report", **secrets),
        ]
    assert [it.returncode for it in runs] == [0, 0, 1, 0, 0, 1, 0, 0]
    assert len(slack.came) == 3 and len(slack.taken) == 1
    texts = [it.stdout + it.stderr for it in runs]
    texts += [file.read_text("utf-8") for file in (tmp_path / "logs").rglob("*") if file.is_file()]
    assert "select" in texts[-1]  # dbt's log, that holds every statement
    texts += slack.taken
    texts += map(str, warehouse.rows(f"select * from {run.raw}.loads"))
    passwords = warehouse.rows(
        f"select json_value(payload, '$.login.password') from {run.raw}.users where {EVER}"
    )
    landed = {str(password) for (password,) in passwords}
    assert len(landed) == 300
    written = {json.dumps(password)[1:-1] for password in landed}
    for text in texts:
        for secret in (WEBHOOK, TOKEN, PASSWORD, *landed, *written):
            assert secret not in text
    assert any(re.search(r"https?://127\.0\.0\.1:1/", text) for text in texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("of http://me:pass@host/path?a=b@c: no", "of http://host/path?a=b@c: no"),
        ("https://token@host", "https://host"),
        ("http://host/a@b and me@example.com", "http://host/a@b and me@example.com"),
    ],
)
def test_the_credentials_of_a_url_are_left_out(text: str, expected: str) -> None:
    assert logs.public(text) == expected
