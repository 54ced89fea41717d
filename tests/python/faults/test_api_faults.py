"""Whatever the API does, a load lands right or not at all, and says in one line why not."""

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
from support.faulty_api import Fault, Handler, Query, altered, changed, said, status
from support.log_lines import for_people, log_lines
from support.reliability_page import Reliability
from support.warehouse import Warehouse

from ingest import api

PART = "Faults of the API"
LOAD = "faulty"
ALWAYS = float("inf")


@dataclass
class Case:
    """A fault, and how it ends."""

    fault: Fault
    line: str = ""
    """What the loader says in the end; empty: the load lands."""
    times: float = ALWAYS
    """How often the fault comes before right answers do."""
    users: int = 20
    seconds: float = 60
    """RETRY_SECONDS."""
    gives_up: bool = False
    """Whether the line comes after some tries."""
    slow: bool = False
    """Left to `make test-faults`."""


def twice(fault: Fault, *, seconds: float = 5, slow: bool = False) -> Case:
    return Case(fault, times=2, seconds=seconds, slow=slow)


def once(fault: Fault, *, seconds: float = 5) -> Case:
    return Case(fault, times=1, seconds=seconds)


def for_good(fault: Fault, line: str, *, slow: bool = False) -> Case:
    return Case(fault, line=line, gives_up=True, seconds=4, slow=slow)


def info(**values: object) -> Fault:
    return changed(lambda body: body["info"].update(values))


def without(key: str) -> Fault:
    return changed(lambda body: body.pop(key))


def as_page(number: int, *, of: int) -> Fault:
    """Page `of` holds the users of page `number`, and says that they are its own."""

    def change(body: dict[str, Any]) -> None:
        body["results"] = faulty_api.users(body["info"]["seed"], number, len(body["results"]))

    return changed(change, only=of)


def elsewhere(handler: Handler, _: Query) -> None:
    """A redirect to the same server under another name; its body has no end."""
    port = handler.connection.getsockname()[1]
    handler.head(302, Location=f"http://127.0.0.2:{port}/api/", Content_Length=10_000)


def in_seconds(seconds: int) -> Fault:
    """Come back at a date."""

    def fault(handler: Handler, query: Query) -> None:
        status(503, Retry_After=formatdate(time() + seconds, usegmt=True))(handler, query)

    return fault


GOT = f"expected (seed, users, page, version) ('{api.seed_of(LOAD)}', 20, 1, '1.4'), got "
CASES = {
    "429, twice": twice(status(429)),
    "429 with Retry-After in seconds": once(status(429, Retry_After=1), seconds=8),
    "503 with Retry-After as a date": once(in_seconds(2), seconds=8),
    "429 with a Retry-After that is neither": twice(status(429, Retry_After="soon"), slow=True),
    "500, twice": twice(status(500), slow=True),
    "502, twice": twice(status(502), slow=True),
    "503, twice": twice(status(503)),
    "504, twice": twice(status(504), slow=True),
    "connection reset, twice": twice(faulty_api.reset),
    "connection closed without an answer, twice": twice(faulty_api.closed, slow=True),
    "a stall before the answer, twice": twice(faulty_api.stalled),
    "a stall inside the answer, twice": twice(faulty_api.stalled_inside, slow=True),
    "a slow drip, twice": twice(faulty_api.drip, slow=True),
    "a slow drip of headers, once": once(faulty_api.drip_of_headers),
    "a body cut short, twice": twice(faulty_api.cut_short),
    "a body in chunks without the last, twice": twice(faulty_api.cut_between_chunks, slow=True),
    "429 for good": for_good(status(429), 'HTTP 429 Too Many Requests, \'{"error": "not now"}\''),
    "429 with a Retry-After of an hour": for_good(
        status(429, Retry_After=3600), 'HTTP 429 Too Many Requests, \'{"error": "not now"}\''
    ),
    "500 for good": for_good(status(500), "HTTP 500 Internal Server Error, ", slow=True),
    "503 for good": for_good(status(503), "HTTP 503 Service Unavailable, ", slow=True),
    "connection reset for good": for_good(faulty_api.reset, "Connection reset by peer)", slow=True),
    "a stall for good": for_good(faulty_api.stalled, "no whole answer within 1 s", slow=True),
    "a slow drip for good": for_good(faulty_api.drip, "no whole answer within 1 s"),
    "a body cut short for good": for_good(
        faulty_api.cut_short, "no whole answer (IncompleteRead", slow=True
    ),
    "another protocol": for_good(faulty_api.garbage, "no answer (220 mail.example.com)"),
    "HTML with status 200": Case(said(b"<html>down</html>"), "is not JSON: "),
    "an empty body": Case(said(b""), "is not JSON: "),
    "JSON cut short, its length rightly said": Case(
        altered(lambda body: body[:-9]), "is not JSON: "
    ),
    "not UTF-8": Case(altered(lambda body: body.replace(b"uuid", b"\xff")), "is not JSON: 'utf-8'"),
    "half a character in a user": Case(
        altered(lambda body: body.replace(b'"uuid": "', rb'"uuid": "\ud800')), "is not JSON: "
    ),
    "a user nested 2,000 deep": Case(
        altered(
            lambda body: body.replace(
                b'"uuid": ', b'"a": ' + b"[" * 2000 + b"]" * 2000 + b', "uuid": '
            )
        ),
        "is nested too deep to be read",
    ),
    "an `error` object": Case(said(b'{"error": "Uh oh"}'), """it begins b'{"error": "Uh oh"}'"""),
    "an `error` of three lines and a megabyte": Case(
        said(json.dumps({"error": "Uh\n\x1b[31m\noh" + "." * 10**6}).encode()),
        r"""it begins b'{"error": "Uh\\n\\u001b[31m\\noh....""",
    ),
    "the empty answer of an outage": Case(
        changed(lambda body: (body["results"].clear(), body["info"].update(results=0))),
        "holds no users: the API answers so in an outage",
    ),
    "too few users": Case(
        changed(lambda body: body["results"].pop()), "says that it holds 20 users and holds 19"
    ),
    "too many users": Case(
        changed(lambda body: body["results"].append(1)), "says that it holds 20 users and holds 21"
    ),
    "one user for too many": Case(
        changed(lambda body: (body["info"].update(results=1), body.update(results=[1]))),
        GOT,
    ),
    "another page": Case(info(page=7), GOT),
    "another seed": Case(info(seed="abc"), GOT),
    "another version": Case(info(version="1.3"), GOT),
    "no `info`": Case(without("info"), "Object missing required field `info`"),
    "no `results`": Case(without("results"), "Object missing required field `results`"),
    "`results` not a list": Case(
        changed(lambda body: body.update(results={})), "Expected `array`, got `object`"
    ),
    "page 2 answered as page 1": Case(
        changed(lambda body: body["info"].update(page=1), only=2), ", got (", users=2500
    ),
    "the same users on two pages": Case(
        as_page(1, of=2), "only 1000 of those that came differ", users=2000
    ),
    "the same user twice on a page": Case(
        changed(lambda body: body["results"].__setitem__(1, body["results"][0])),
        "only 19 of those that came differ",
    ),
    "404": Case(status(404), "HTTP 404 Not Found"),
    "a redirect to another host": Case(elsewhere, "HTTP 302 Found"),
    "a body of 200 MB": Case(faulty_api.large(chunked=False), "more than 67,108,864 bytes"),
    "a body of 200 MB that says no length": Case(
        faulty_api.large(chunked=True), "more than 67,108,864 bytes"
    ),
    "gzip, which was not asked for": Case(
        altered(gzip.compress, Content_Encoding="gzip"), "an answer in 'gzip', which was not asked"
    ),
}


@dataclass
class Landed:
    """Looks at what a load left behind."""

    raw: str
    warehouse: Warehouse

    def nothing(self) -> None:
        """Check that no user, no line of the ledger and no table of parts is left."""
        for table in ("users where loaded_at >= timestamp '1970-01-01'", "loads"):
            assert self.warehouse.rows(f"select count(*) from {self.raw}.{table}") == [(0,)]
        self.no_parts()

    def once(self, count: int) -> None:
        """Check that the users of page 1 are in raw and in the ledger, each once."""
        uuids = self.warehouse.rows(
            f"select json_value(payload, '$.login.uuid') from {self.raw}.users "
            "where loaded_at >= timestamp '1970-01-01'"
        )
        sent = faulty_api.users(api.seed_of(LOAD), 1, count)
        assert sorted(str(row[0]) for row in uuids) == sorted(u["login"]["uuid"] for u in sent)
        ledger = f"select load_id, users_asked, users_received, users_landed from {self.raw}.loads"
        assert self.warehouse.rows(ledger) == [(LOAD, count, count, count)]
        self.no_parts()

    def no_parts(self) -> None:
        left = [table.table_id for table in self.warehouse.client.list_tables(self.raw)]
        assert sorted(left) == ["loads", "users"]


@pytest.fixture
def landed(run: Run, warehouse: Warehouse) -> Landed:
    return Landed(run.raw, warehouse)


def failure(stderr: str) -> str:
    """Check that there is one line but for the log's, and return it."""
    assert "Traceback" not in stderr
    (line,) = for_people(stderr)
    assert line.startswith("ingest: ") and line.endswith("; nothing was landed")
    return line


def alike(line: str) -> str:
    """Return the loader's line without what differs from run to run."""
    line = line.removeprefix("ingest: ").removesuffix("; nothing was landed")
    line = re.sub(r"given up after \d+ tries( in .*?\))?", "given up after some tries", line)
    line = re.sub(r"\.{9,}", "...", line)
    return re.sub(r"127\.0\.0\.2:\d+", "elsewhere", line)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow_fault] * case.slow) for name, case in CASES.items()],
)
def test_a_load_lands_right_or_ends_in_one_line_with_nothing_landed(
    name: str, run: Run, landed: Landed, reliability: Reliability
) -> None:
    case = CASES[name]
    load = ("ingest", "--users", str(case.users), "--load-id", LOAD)
    with faulty_api.faulty_api(case.fault, case.times) as served:
        done = run(*load, RANDOMUSER_URL=served.url, RETRY_SECONDS=f"{case.seconds:g}")
        asked_again = [it for it in log_lines(done.stderr) if it.get("event") == "retry"]
        if case.line:
            assert done.returncode == 1 and not done.stdout
            line = failure(done.stderr)
            assert f"page {1 if case.users == 20 else 2}" in line or "differ" in line
            assert case.line in line
            assert ("; given up after " in line) is case.gives_up
            assert case.gives_up or not asked_again
            assert served.asked[-1][0] - served.asked[0][0] < case.seconds
            assert served.sent < 80 * 2**20
            landed.nothing()
            reliability(PART, name, alike(line), "nothing")
        else:
            assert done.returncode == 0, done.stderr
            assert len(asked_again) == case.times == len(served.asked) - 1
            assert "Traceback" not in done.stderr
            landed.once(case.users)
            reliability(PART, name, "asked again, then right", f"{case.users} users, once")
        if "Retry-After in seconds" in name or "date" in name:
            assert served.asked[1][0] - served.asked[0][0] >= 1


class Watched:
    """The loader, whose log is read while it runs."""

    def __init__(self, run: Run, **extra: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ingest", "--users", "20", "--load-id", LOAD],
            cwd=ROOT,
            env=run.environment | extra,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def until(self, text: str) -> None:
        assert self.process.stderr
        seen = []
        for line in self.process.stderr:
            seen.append(line)
            if text in line:
                return
        raise AssertionError(f"the loader ended without {text!r}: {seen}")


def test_a_service_that_is_not_up_yet_is_asked_again(
    run: Run, landed: Landed, reliability: Reliability
) -> None:
    with faulty_api.faulty_api(faulty_api.right, listens=False) as served:
        loader = Watched(run, RANDOMUSER_URL=served.url, RETRY_SECONDS="8")
        loader.until("Connection refused); asking again in ")
        served.listen()
        _, stderr = loader.process.communicate(timeout=60)
    assert loader.process.returncode == 0, stderr
    landed.once(20)
    reliability(PART, "connection refused at first", "asked again, then right", "20 users, once")


def test_a_service_that_is_never_reached_is_asked_no_more_in_the_end(
    run: Run, landed: Landed, reliability: Reliability
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/api/"
        done = run(
            "ingest", "--users", "20", "--load-id", LOAD, RANDOMUSER_URL=url, RETRY_SECONDS="2"
        )
        assert done.returncode == 1
        line = failure(done.stderr)
        assert "is RANDOMUSER_URL right, and can this machine reach it?" in line
        landed.nothing()
        reliability(PART, "connection refused for good", alike(line), "nothing")


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_waiting_at_once(
    by: signal.Signals, run: Run, landed: Landed, reliability: Reliability
) -> None:
    with faulty_api.faulty_api(status(503, Retry_After=300)) as served:
        loader = Watched(run, RANDOMUSER_URL=served.url)
        loader.until(" asking again in 30")
        loader.process.send_signal(by)
        _, stderr = loader.process.communicate(timeout=60)
    assert loader.process.returncode == 130
    (line,) = for_people(stderr)
    assert line.startswith("ingest: interrupted; to finish the load run it again with --load-id ")
    landed.nothing()
    case = f"{'Ctrl-C' if by == signal.SIGINT else by.name} while waiting"
    reliability(PART, case, line.removeprefix("ingest: "), "nothing")
