"""Faults of the API: a load lands completely, or the loader fails in one line and lands nothing."""

import gzip
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from email.utils import formatdate
from time import time
from typing import Any

import pytest
from support import faulty_api
from support.commands import ROOT, Run
from support.faulty_api import (
    Fault,
    Handler,
    Query,
    change_bytes,
    change_json,
    in_turn,
    send,
    send_status,
)
from support.load_checks import expected_load, landed_loads
from support.log_lines import for_people, log_lines
from support.warehouse import Warehouse

from ingest import api

LOAD = "faulty"
ALWAYS = float("inf")


@dataclass
class Case:
    """A fault and its expected outcome."""

    fault: Fault
    line: str = ""
    """A part of the loader's last line; empty: the load lands."""
    times: float = ALWAYS
    """How many responses have the fault; later responses are correct."""
    users: int = 20
    seconds: float = 60
    """RETRY_SECONDS."""
    is_retried: bool = False
    """The loader retries before it fails."""
    is_slow: bool = False
    """Only `make test-faults` runs it."""


def retried(*faults: Fault, seconds: float = 3, is_slow: bool = False) -> Case:
    return Case(in_turn(*faults), times=len(faults), seconds=seconds, is_slow=is_slow)


def fails(fault: Fault, line: str, *, is_slow: bool = False) -> Case:
    return Case(fault, line=line, is_retried=True, seconds=2, is_slow=is_slow)


def change_info(**values: object) -> Fault:
    return change_json(lambda page: page["info"].update(values))


def drop_field(key: str) -> Fault:
    return change_json(lambda page: page.pop(key))


def repeat_page(number: int, *, at: int) -> Fault:
    """Send the users of page `number` as page `at` too."""

    def change(page: dict[str, Any]) -> None:
        page["results"] = faulty_api.make_users(page["info"]["seed"], number, len(page["results"]))

    return change_json(change, only=at)


def redirect(handler: Handler, _: Query) -> None:
    """Redirect to the same server under another host, and send no body."""
    port = handler.connection.getsockname()[1]
    handler.send_head(302, Location=f"http://127.0.0.2:{port}/api/", Content_Length=10_000)


def send_retry_date(seconds: int) -> Fault:
    """Send HTTP 503 with the date in `seconds` as Retry-After."""

    def fault(handler: Handler, query: Query) -> None:
        send_status(503, Retry_After=formatdate(time() + seconds, usegmt=True))(handler, query)

    return fault


SEED = api.derive_seed(LOAD, 1)
MISMATCH = f"expected (seed, users, page, version) ('{SEED}', 20, 1, '1.4'), received "
OUTAGE = "received a response without users; gave up after "
REPEATED = "the API sent some users twice; use another --load-id"
CASES = {
    "403, 429 and 500, once each": retried(*map(send_status, (403, 429, 500)), seconds=8),
    "502, 503 and 504, once each": retried(*map(send_status, (502, 503, 504)), seconds=8),
    "200 without users, as in an outage, twice": retried(*[faulty_api.send_nobody] * 2),
    "429 with Retry-After in seconds": retried(send_status(429, Retry_After=1), seconds=8),
    "503 with Retry-After as a date": retried(send_retry_date(2), seconds=8),
    "429 with an invalid Retry-After": retried(send_status(429, Retry_After="soon"), is_slow=True),
    "a connection that is reset, closed, or cut in a body or before its last chunk": retried(
        faulty_api.reset_connection,
        faulty_api.close_connection,
        faulty_api.cut_body,
        faulty_api.cut_last_chunk,
        seconds=8,
    ),
    "no response, then half of a body": retried(
        faulty_api.stall, faulty_api.stall_in_body, seconds=4, is_slow=True
    ),
    "a header, then a body of one byte per 20 ms": retried(
        faulty_api.drip_header, faulty_api.drip_body, seconds=4
    ),
    "429, always": fails(send_status(429), "HTTP 429 Too Many Requests; read 20 bytes: error 'not"),
    "403, always": fails(send_status(403), "HTTP 403 Forbidden; read 20 bytes: error 'not now'"),
    "429 with a Retry-After of an hour": fails(
        send_status(429, Retry_After=3600), "the API requests a wait of 3600 s (Retry-After)"
    ),
    "200 without users, as in an outage, always": fails(faulty_api.send_nobody, OUTAGE),
    "connection reset, always": fails(
        faulty_api.reset_connection, "Connection reset by peer)", is_slow=True
    ),
    "a body of one byte per 20 ms, always": fails(
        faulty_api.drip_body, "no complete response within 0.5 s"
    ),
    "another protocol": fails(faulty_api.send_smtp, "no response (BadStatusLine)"),
    "HTML with status 200": Case(send(b"<html>down</html>"), "is not JSON: "),
    "an empty body": Case(send(b""), "is not JSON: "),
    "truncated JSON with its right Content-Length": Case(
        change_bytes(lambda body: body[:-9]), "is not JSON: "
    ),
    "not UTF-8": Case(
        change_bytes(lambda body: body.replace(b"uuid", b"\xff")), "is not JSON: 'utf-8'"
    ),
    "a lone surrogate in a user": Case(
        change_bytes(lambda body: body.replace(b'"uuid": "', rb'"uuid": "\ud800')), "is not JSON: "
    ),
    "a user nested 100,000 levels deep": Case(
        change_bytes(
            lambda body: body.replace(
                b'"uuid": ', b'"a": ' + b"[" * 10**5 + b"]" * 10**5 + b', "uuid": '
            )
        ),
        "is nested too deeply to be parsed",
    ),
    "an `error` object": Case(send(b'{"error": "Uh oh"}'), "read 18 bytes: error 'Uh oh'"),
    "an `error` of three lines and a megabyte": Case(
        send(json.dumps({"error": "Uh\n\x1b[31m\noh" + "." * 10**6}).encode()),
        "Object missing required field `info`; read 1,000,031 bytes",
    ),
    "too few users": Case(
        change_json(lambda page: page["results"].pop()), "reports 20 users and holds 19"
    ),
    "too many users": Case(
        change_json(lambda page: page["results"].append(1)), "reports 20 users and holds 21"
    ),
    "one user instead of 20": Case(
        change_json(lambda page: (page["info"].update(results=1), page.update(results=[1]))),
        MISMATCH,
    ),
    "another page": Case(change_info(page=7), MISMATCH),
    "another seed": Case(change_info(seed="abc"), MISMATCH),
    "another version": Case(change_info(version="1.3"), MISMATCH),
    "no `info`": Case(drop_field("info"), "Object missing required field `info`"),
    "no `results`": Case(drop_field("results"), "Object missing required field `results`"),
    "`results` not a list": Case(
        change_json(lambda page: page.update(results={})), "Expected `array`, got `object`"
    ),
    "page 1 instead of page 2": Case(
        change_json(lambda page: page["info"].update(page=1), only=2), ", received (", users=2500
    ),
    "the same users on two pages": Case(
        repeat_page(1, at=2), f"is equal to an earlier page: {REPEATED}", users=2000
    ),
    "the same user twice on a page": Case(
        change_json(lambda page: page["results"].__setitem__(1, page["results"][0])),
        f"holds a user twice: {REPEATED}",
    ),
    "404": Case(send_status(404), "HTTP 404 Not Found"),
    "a redirect to another host": Case(redirect, "HTTP 302 Found"),
    "a body of 200 MB": Case(
        faulty_api.send_large_body(chunked=False), "more than 67,108,864 bytes"
    ),
    "a body of 200 MB without Content-Length": Case(
        faulty_api.send_large_body(chunked=True), "more than 67,108,864 bytes"
    ),
    "gzip, which was not requested": Case(
        change_bytes(gzip.compress, Content_Encoding="gzip"),
        "a response in 'gzip', which was not requested",
    ),
}


def read_failure(stderr: str) -> str:
    """Check that there is one line for people, and return it."""
    assert "Traceback" not in stderr
    (line,) = for_people(stderr)
    assert line.startswith("ingest: ") and line.endswith("; nothing was landed")
    return line


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow_fault] * case.is_slow)
        for name, case in CASES.items()
    ],
)
def test_load_lands_completely_or_fails_in_one_line(
    name: str, run: Run, warehouse: Warehouse
) -> None:
    case = CASES[name]
    load = ("ingest", "--users", str(case.users), "--load-id", LOAD)
    with faulty_api.serve(case.fault, case.times) as served:
        done = run(*load, RANDOMUSER_URL=f"{served.url}1.4/", RETRY_SECONDS=f"{case.seconds:g}")
    retries = [line for line in log_lines(done.stderr) if line.get("event") == "retry"]
    if case.line:
        assert done.returncode == 1 and not done.stdout
        line = read_failure(done.stderr)
        assert f"page {1 if case.users == 20 else 2}" in line and case.line in line
        assert ("; gave up after " in line) is case.is_retried
        assert case.is_retried or not retries
        assert name != "403, always" or len(served.requests) == 2
        assert served.requests[-1][0] - served.requests[0][0] < case.seconds
        assert served.bytes_sent < 80 * 2**20
        assert landed_loads(run, warehouse) == []
    else:
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        assert len(retries) == case.times == len(served.requests) - 1
        assert landed_loads(run, warehouse) == [expected_load(case.users, LOAD)]
        if "Retry-After in seconds" in name or "date" in name:
            assert served.requests[1][0] - served.requests[0][0] >= 1


def test_users_land_byte_for_byte_as_sent(run: Run, warehouse: Warehouse) -> None:
    users = [
        b'{"z": 1.0, "a": 1E2, "a" : -0, "": null}',
        rb'{"login":{"uuid":"\u00e9\ud83d\ude00\/\u0000"}}',
        '[ 1 ,\n\t"é👩‍🚀" ]'.encode(),
        b"123456789012345678901234567890.10",
    ]
    body = b'{"results": [%s], "info": {"seed": "%s", "results": 4, "page": 1, "version": "1.4"}}'
    with faulty_api.serve(send(body % (b",".join(users), SEED.encode()))) as served:
        done = run("ingest", "--users", "4", "--load-id", LOAD, RANDOMUSER_URL=served.url)
    assert done.returncode == 0, done.stderr
    landed = warehouse.rows(
        f"select payload from {run.raw}.users "
        "where loaded_at >= timestamp '1970-01-01' order by record_index"
    )
    assert [str(payload).encode() for (payload,) in landed] == users


def start_loader(run: Run, url: str, **extra: str) -> "subprocess.Popen[str]":
    """Start the loader as a process of its own, which gets signals and whose log can be read."""
    return subprocess.Popen(
        [sys.executable, "-m", "ingest", "--users", "20", "--load-id", LOAD],
        cwd=ROOT,
        env=run.environment | {"RANDOMUSER_URL": url} | extra,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_loader_retries_until_api_is_up(run: Run, warehouse: Warehouse) -> None:
    with faulty_api.serve(faulty_api.send_page, listens=False) as served:
        loader = start_loader(run, served.url, RETRY_SECONDS="8")
        assert loader.stderr
        assert any("Connection refused); retrying in " in line for line in loader.stderr)
        served.listen()
        _, stderr = loader.communicate(timeout=60)
    assert loader.returncode == 0, stderr
    assert landed_loads(run, warehouse) == [expected_load(20, LOAD)]


def test_loader_gives_up_on_unreachable_api(run: Run, warehouse: Warehouse) -> None:
    load = ("ingest", "--users", "20", "--load-id", LOAD)
    with faulty_api.serve(faulty_api.send_page, listens=False) as closed:
        done = run(*load, RANDOMUSER_URL=closed.url, RETRY_SECONDS="1")
    assert done.returncode == 1
    line = read_failure(done.stderr)
    assert "check that RANDOMUSER_URL is right and that this machine can reach it" in line
    assert landed_loads(run, warehouse) == []


@pytest.mark.parametrize(
    ("name", "fault"),
    [("a wait", send_status(503, Retry_After=300)), ("a page without an end", faulty_api.stall)],
    ids=["wait", "page"],
)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_loader_at_once(
    *,
    name: str,
    fault: Fault,
    sent: signal.Signals,
    run: Run,
    warehouse: Warehouse,
) -> None:
    with faulty_api.serve(fault) as served:
        loader = start_loader(run, served.url)
        assert served.requested.wait(60) and loader.stderr
        if name == "a wait":
            assert any(" retrying in 30" in line for line in loader.stderr)
        loader.send_signal(sent)
        _, stderr = loader.communicate(timeout=30)  # a page may take 60 seconds
    assert loader.returncode == 130
    line = stderr.partition("ingest: ")[2].strip()
    assert for_people(stderr) == [f"ingest: {line}"]
    assert line.startswith("interrupted; to finish the load, run it again with --load-id ")
    assert landed_loads(run, warehouse) == []
