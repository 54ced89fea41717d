"""Faults of the API: a load lands completely, or the loader fails in one line and lands nothing."""

import gzip
import json
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from email.utils import formatdate
from time import time
from typing import Any

import pytest
from support import faulty_api
from support.commands import ROOT, Run
from support.faulty_api import Fault, Handler, Query, change_bytes, change_json, send, send_status
from support.log_lines import for_people, log_lines
from support.reliability_page import Reliability
from support.warehouse import Warehouse

from ingest import api

PART = "Faults of the API"
LOAD = "faulty"
ALWAYS = float("inf")
RETRIED = "the loader retried, then the load landed, once"


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


def twice(fault: Fault, *, seconds: float = 3, is_slow: bool = False) -> Case:
    return Case(fault, times=2, seconds=seconds, is_slow=is_slow)


def once(fault: Fault, *, seconds: float = 3) -> Case:
    return Case(fault, times=1, seconds=seconds)


def always(fault: Fault, line: str, *, is_slow: bool = False) -> Case:
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


MISMATCH = (
    f"expected (seed, users, page, version) ('{api.derive_seed(LOAD)}', 20, 1, '1.4'), received "
)
CASES = {
    "429, twice": twice(send_status(429)),
    "429 with Retry-After in seconds": once(send_status(429, Retry_After=1), seconds=8),
    "503 with Retry-After as a date": once(send_retry_date(2), seconds=8),
    "429 with an invalid Retry-After": twice(send_status(429, Retry_After="soon"), is_slow=True),
    "500, twice": twice(send_status(500), is_slow=True),
    "502, twice": twice(send_status(502), is_slow=True),
    "503, twice": twice(send_status(503)),
    "504, twice": twice(send_status(504), is_slow=True),
    "connection reset, twice": twice(faulty_api.reset_connection),
    "connection closed without a response, twice": twice(faulty_api.close_connection, is_slow=True),
    "no response, twice": twice(faulty_api.stall),
    "a body that stalls, twice": twice(faulty_api.stall_in_body, is_slow=True),
    "a body of one byte per 20 ms, twice": twice(faulty_api.drip_body, is_slow=True),
    "a header of one byte per 20 ms, once": once(faulty_api.drip_header),
    "a body cut short, twice": twice(faulty_api.cut_body),
    "a chunked body without its last chunk, twice": twice(faulty_api.cut_last_chunk, is_slow=True),
    "429, always": always(
        send_status(429), "HTTP 429 Too Many Requests; read 20 bytes: error 'not now'"
    ),
    "429 with a Retry-After of an hour": always(
        send_status(429, Retry_After=3600),
        "HTTP 429 Too Many Requests; read 20 bytes: error 'not now'",
    ),
    "500, always": always(send_status(500), "HTTP 500 Internal Server Error; read ", is_slow=True),
    "503, always": always(send_status(503), "HTTP 503 Service Unavailable; read ", is_slow=True),
    "connection reset, always": always(
        faulty_api.reset_connection, "Connection reset by peer)", is_slow=True
    ),
    "no response, always": always(
        faulty_api.stall, "no complete response within 0.5 s", is_slow=True
    ),
    "a body of one byte per 20 ms, always": always(
        faulty_api.drip_body, "no complete response within 0.5 s"
    ),
    "a body cut short, always": always(
        faulty_api.cut_body, "no complete response (IncompleteRead", is_slow=True
    ),
    "another protocol": always(faulty_api.send_smtp, "no response (BadStatusLine)"),
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
    "no users, as in an outage": Case(
        change_json(lambda page: (page["results"].clear(), page["info"].update(results=0))),
        "holds no users, as in an outage of the API",
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
        repeat_page(1, at=2), "received 1000 distinct users", users=2000
    ),
    "the same user twice on a page": Case(
        change_json(lambda page: page["results"].__setitem__(1, page["results"][0])),
        "received 19 distinct users",
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


@dataclass
class RawTables:
    """Checks what a load left in the raw dataset."""

    raw: str
    warehouse: Warehouse

    def check_nothing_landed(self) -> None:
        """Check that there are no users, no row in the ledger and no staging table."""
        for table in ("users where loaded_at >= timestamp '1970-01-01'", "loads"):
            assert self.warehouse.rows(f"select count(*) from {self.raw}.{table}") == [(0,)]
        self.check_no_staging_table()

    def check_landed_once(self, count: int) -> None:
        """Check that the users of page 1 are in raw once, and the load in the ledger."""
        uuids = self.warehouse.rows(
            f"select json_value(payload, '$.login.uuid') from {self.raw}.users "
            "where loaded_at >= timestamp '1970-01-01'"
        )
        sent = faulty_api.make_users(api.derive_seed(LOAD), 1, count)
        assert sorted(str(row[0]) for row in uuids) == sorted(
            user["login"]["uuid"] for user in sent
        )
        ledger = f"select load_id, users_asked, users_received, users_landed from {self.raw}.loads"
        assert self.warehouse.rows(ledger) == [(LOAD, count, count, count)]
        self.check_no_staging_table()

    def check_no_staging_table(self) -> None:
        names = [table.table_id for table in self.warehouse.client.list_tables(self.raw)]
        assert sorted(names) == ["forgotten", "forgotten_key", "loads", "users"]


@pytest.fixture
def raw_tables(run: Run, warehouse: Warehouse) -> RawTables:
    return RawTables(run.raw, warehouse)


def read_failure(stderr: str) -> str:
    """Check that there is one line for people, and return it."""
    assert "Traceback" not in stderr
    (line,) = for_people(stderr)
    assert line.startswith("ingest: ") and line.endswith("; nothing was landed")
    return line


def normalize(line: str) -> str:
    """Return the loader's line without what differs from run to run."""
    line = line.removeprefix("ingest: ").removesuffix("; nothing was landed")
    line = re.sub(r"gave up after \d+ tries( in .*?\))?", "gave up after some tries", line)
    line = re.sub(r"\.{9,}", "...", line)
    return re.sub(r"127\.0\.0\.2:\d+", "another-host", line)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow_fault] * case.is_slow)
        for name, case in CASES.items()
    ],
)
def test_load_lands_completely_or_fails_in_one_line(
    name: str, run: Run, raw_tables: RawTables, reliability: Reliability
) -> None:
    case = CASES[name]
    load = ("ingest", "--users", str(case.users), "--load-id", LOAD)
    with faulty_api.serve(case.fault, case.times) as served:
        done = run(*load, RANDOMUSER_URL=served.url, RETRY_SECONDS=f"{case.seconds:g}")
        retries = [line for line in log_lines(done.stderr) if line.get("event") == "retry"]
        if case.line:
            assert done.returncode == 1 and not done.stdout
            line = read_failure(done.stderr)
            assert f"page {1 if case.users == 20 else 2}" in line or "distinct" in line
            assert case.line in line
            assert ("; gave up after " in line) is case.is_retried
            assert case.is_retried or not retries
            assert served.requests[-1][0] - served.requests[0][0] < case.seconds
            assert served.bytes_sent < 80 * 2**20
            raw_tables.check_nothing_landed()
            reliability(PART, name, normalize(line), "nothing")
        else:
            assert done.returncode == 0, done.stderr
            assert len(retries) == case.times == len(served.requests) - 1
            assert "Traceback" not in done.stderr
            raw_tables.check_landed_once(case.users)
            reliability(PART, name, RETRIED, f"{case.users} users, once")
        if "Retry-After in seconds" in name or "date" in name:
            assert served.requests[1][0] - served.requests[0][0] >= 1


class RunningLoader:
    """A loader whose log is read while it runs."""

    def __init__(self, run: Run, **extra: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ingest", "--users", "20", "--load-id", LOAD],
            cwd=ROOT,
            env=run.environment | extra,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait_for_log(self, text: str) -> None:
        assert self.process.stderr
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if text in line:
                return
        raise AssertionError(f"the loader ended without {text!r}: {lines}")


def test_loader_retries_until_api_is_up(
    run: Run, raw_tables: RawTables, reliability: Reliability
) -> None:
    with faulty_api.serve(faulty_api.send_page, listens=False) as served:
        loader = RunningLoader(run, RANDOMUSER_URL=served.url, RETRY_SECONDS="8")
        loader.wait_for_log("Connection refused); retrying in ")
        served.listen()
        _, stderr = loader.process.communicate(timeout=60)
    assert loader.process.returncode == 0, stderr
    raw_tables.check_landed_once(20)
    reliability(PART, "connection refused at first", RETRIED, "20 users, once")


def test_loader_gives_up_on_unreachable_api(
    run: Run, raw_tables: RawTables, reliability: Reliability
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/api/"
        done = run(
            "ingest", "--users", "20", "--load-id", LOAD, RANDOMUSER_URL=url, RETRY_SECONDS="1"
        )
        assert done.returncode == 1
        line = read_failure(done.stderr)
        assert "check that RANDOMUSER_URL is right and that this machine can reach it" in line
        raw_tables.check_nothing_landed()
        reliability(PART, "connection refused, always", normalize(line), "nothing")


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_wait_at_once(
    interrupt: signal.Signals, run: Run, raw_tables: RawTables, reliability: Reliability
) -> None:
    with faulty_api.serve(send_status(503, Retry_After=300)) as served:
        loader = RunningLoader(run, RANDOMUSER_URL=served.url)
        loader.wait_for_log(" retrying in 30")
        loader.process.send_signal(interrupt)
        _, stderr = loader.process.communicate(timeout=60)
    assert loader.process.returncode == 130
    (line,) = for_people(stderr)
    assert line.startswith("ingest: interrupted; to finish the load, run it again with --load-id ")
    raw_tables.check_nothing_landed()
    case = f"{'Ctrl-C' if interrupt == signal.SIGINT else interrupt.name} during a wait"
    reliability(PART, case, line.removeprefix("ingest: "), "nothing")
