"""Faults of the API: a load lands completely, or the loader fails in one line and lands nothing.

Each fault by itself is in tests/python/unit/test_fetcher.py.
"""

import json
import signal
import subprocess
import sys

import pytest
from support import faulty_api
from support.commands import ROOT, Run
from support.faulty_api import Fault, Handler, Query, make_page, send, send_raw, send_status
from support.load_checks import expected_load, landed_loads
from support.log_lines import for_people, log_lines
from support.warehouse import Warehouse

LOAD = "faulty"
INGEST = ("ingest", "--load-id", LOAD, "--users")


def repeat_page_1(handler: Handler, query: Query) -> None:
    page = make_page(query) | {"results": make_page(query | {"page": "1"})["results"]}
    handler.send_body(json.dumps(page).encode())


def repeat_user(handler: Handler, query: Query) -> None:
    page = make_page(query)
    page["results"][1] = page["results"][0]
    handler.send_body(json.dumps(page).encode())


def test_load_lands_once_after_retries(run: Run, warehouse: Warehouse) -> None:
    faults = send_status(503, Retry_After=1), send_raw(b""), send(b"down", 500)
    with faulty_api.serve(faulty_api.in_turn(*faults), times=3) as served:
        done = run(*INGEST, "20", RANDOMUSER_URL=served.url, RETRY_SECONDS="4")
    assert done.returncode == 0, done.stderr
    retries = [line for line in log_lines(done.stderr) if line["event"] == "retry"]
    assert {(retry["level"], retry["page"]) for retry in retries} == {("WARNING", 1)}
    assert [retry["tries"] for retry in retries] == [1, 2, 3] and retries[0]["seconds"] >= 1
    assert retries[0]["error"] == "HTTP 503 Service Unavailable; read 20 bytes: error 'not now'"
    assert landed_loads(run, warehouse) == [expected_load(20, LOAD)]


@pytest.mark.parametrize(
    ("fault", "users", "message"),
    [
        (send_status(429), 20, "HTTP 429 Too Many Requests; read 20 bytes: error 'not now'; gave"),
        (send_status(404), 2020, "requested page 2 (1000 users)"),
        (repeat_page_1, 2000, "page 2 of {} is equal to an earlier page: "),
        (repeat_user, 1020, "page 2 of {} holds some users twice: "),
    ],
    ids=["retried", "page 2 is refused", "page 2 is page 1", "a user twice"],
)
def test_failed_load_is_one_line_and_lands_nothing(
    run: Run, warehouse: Warehouse, fault: Fault, users: int, message: str
) -> None:
    pages = [faulty_api.send_page] * (users > 1000)
    with faulty_api.serve(faulty_api.in_turn(*pages, *[fault] * 20)) as served:
        done = run(*INGEST, str(users), RANDOMUSER_URL=served.url, RETRY_SECONDS="0.5")
    assert done.returncode == 1 and not done.stdout and "Traceback" not in done.stderr
    (line,) = for_people(done.stderr)
    assert message.format(served.url) in line
    assert line.startswith("ingest: ") and line.endswith("; nothing was landed")
    assert {query["page"] for query in served.requests} <= {"1", "2"}
    assert landed_loads(run, warehouse) == []


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (signal.SIGTERM, send_status(503, Retry_After=300)),
        (signal.SIGINT, send_raw(b"", waits=True)),
    ],
    ids=["SIGTERM in a wait", "Ctrl-C in a page"],
)
def test_signal_ends_loader_at_once(
    run: Run, warehouse: Warehouse, sent: signal.Signals, fault: Fault
) -> None:
    with faulty_api.serve(fault) as served:
        loader = subprocess.Popen(
            [sys.executable, "-m", *INGEST, "20"],
            cwd=ROOT,
            env=run.environment | {"RANDOMUSER_URL": served.url},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert served.requested.wait(60) and loader.stderr
        if sent == signal.SIGTERM:
            assert any(" retrying in 30" in line for line in loader.stderr)
        loader.send_signal(sent)
        _, stderr = loader.communicate(timeout=30)  # a page may take 60 seconds
    assert loader.returncode == 130
    (line,) = for_people(stderr)
    assert line == f"ingest: interrupted; to finish the load, run it again with --load-id {LOAD}"
    assert landed_loads(run, warehouse) == []
