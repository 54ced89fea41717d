"""BigQuery refuses, fails or does not respond: the loader retries, or fails with nothing landed.

A proxy between Google's client and the embedded BigQuery injects the faults.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from google.api_core.exceptions import NotFound
from support.fault_proxy import ProxiedLoader
from support.load_checks import expected_load, finish, landed_loads, landing_tables
from support.log_lines import for_people
from support.proxy import CutError, Response, error_response
from support.reliability_page import Reliability
from support.warehouse import Warehouse

USERS = 50
ALWAYS = range(1, 1000)
TWICE = (1, 2)
QUERIED, MADE, UPLOAD = "the ledger is queried", "the landing table is made", "a part is uploaded"
MOVED, LEDGER = "the users are moved to raw", "the ledger is written"


def cut() -> Response:
    raise CutError


def fails_with(
    status: int, reason: str, message: str = "That did not work"
) -> Callable[[], Response]:
    return lambda: error_response(status, reason, message)


@dataclass
class Fault:
    """A fault at a step, and whether the loader recovers from it in the same run."""

    case: str
    step: str
    action: Callable[[], Response]
    recovers: bool
    after: bool = False
    times: "tuple[int, ...] | range" = (1,)


BUSY, BROKEN = fails_with(503, "backendError"), fails_with(500, "internalError")
FAST, SPENT = fails_with(403, "rateLimitExceeded"), fails_with(403, "quotaExceeded")
NOBODY = fails_with(401, "authError", "Invalid Credentials")
NOWHERE = fails_with(404, "notFound", "Not found: Dataset d")
FAULTS = [
    Fault("403 rateLimitExceeded, twice", MOVED, FAST, True, times=TWICE),
    Fault("403 rateLimitExceeded, twice", "an upload starts", FAST, True, times=TWICE),
    Fault("403 quotaExceeded", MOVED, SPENT, False),
    Fault("403 quotaExceeded", UPLOAD, SPENT, False),
    Fault("401", "the ledger is looked up", NOBODY, False),
    Fault("401", LEDGER, NOBODY, False),
    Fault("404: no dataset", MADE, NOWHERE, False),
    Fault("404: no dataset", MOVED, NOWHERE, False),
    *(
        Fault(f"{name}, twice, before the step took effect", step, do, True, times=TWICE)
        for name, do in (("500", BROKEN), ("503", BUSY), ("the connection cut", cut))
        for step in (MADE, UPLOAD, MOVED, LEDGER)
    ),
    *(
        Fault(f"{name}, after the step took effect", step, do, True, after=True)
        for name, do in (("500", BROKEN), ("503", BUSY), ("the connection cut", cut))
        for step in ("the ledger is made", MADE, UPLOAD, MOVED, LEDGER)
    ),
    Fault("503 for longer than RETRY_SECONDS", UPLOAD, BUSY, False, times=ALWAYS),
    Fault("503 for longer than RETRY_SECONDS", MOVED, BUSY, False, times=ALWAYS),
    Fault("503 for longer than RETRY_SECONDS", QUERIED, BUSY, False, times=ALWAYS),
]


# One of each kind; `make test-faults` runs the others.
QUICK = {
    ("403 rateLimitExceeded, twice", "an upload starts"),
    ("403 quotaExceeded", MOVED),
    ("401", LEDGER),
    ("404: no dataset", MADE),
    ("503, twice, before the step took effect", UPLOAD),
    ("the connection cut, twice, before the step took effect", MOVED),
    ("503, after the step took effect", UPLOAD),
    ("500, after the step took effect", MOVED),
    ("the connection cut, after the step took effect", LEDGER),
    ("503 for longer than RETRY_SECONDS", UPLOAD),
}


def case(fault: Fault) -> Any:
    marks = [] if (fault.case, fault.step) in QUICK else [pytest.mark.slow_fault]
    return pytest.param(fault, marks=marks, id=f"{fault.case}: {fault.step}")


@pytest.mark.parametrize("fault", [case(fault) for fault in FAULTS])
def test_loader_recovers_from_fault_or_fails_in_one_line(
    loader: ProxiedLoader, warehouse: Warehouse, reliability: Reliability, fault: Fault
) -> None:
    loader.act_at(fault.step, fault.action, after=fault.after, times=fault.times)
    seconds = "60" if fault.recovers else "2"
    flags = ("--users", str(USERS), "--load-id", "x")
    process = loader.start(*flags, RETRY_SECONDS=seconds)
    output, errors = process.communicate()
    assert loader.steps[fault.step] >= len(fault.times[:2]), "the fault did not occur"
    assert "Traceback" not in errors
    if fault.recovers:
        assert process.returncode == 0, errors
        assert output.startswith(f"Loaded {USERS} users into ")
        outcome = "the loader retried, then the load landed, once"
    else:
        assert process.returncode == 1 and not output
        outcome = one_line(errors)
        assert outcome.startswith("ingest: BigQuery refused or did not answer: ")
        assert raw(loader, warehouse) in ([], [("x", USERS, USERS, USERS, USERS - 1, 0, None)])
        loader.pass_everything()
        finish(loader.start(*flags))
    assert raw(loader, warehouse) == [expected_load(USERS, "x")]
    assert not landing_tables(loader.run, warehouse)
    left = "nothing" if fault.step != LEDGER or fault.recovers else "the users, in raw, once"
    reliability("Faults of BigQuery", f"{fault.case}: {fault.step}", outcome, left)


def one_line(errors: str) -> str:
    """Return the line for people, without what differs from run to run."""
    (line,) = for_people(errors)
    line = re.sub(r"http://\S*?/bigquery/v2/\S+?(?=:? )", "URL", line)
    return re.sub(r"(randomuser-\w+-)[0-9a-f]{32}", r"\1...", line)


def raw(loader: ProxiedLoader, warehouse: Warehouse) -> list[tuple[object, ...]]:
    try:
        return landed_loads(loader.run, warehouse)
    except NotFound:
        return []


@pytest.mark.parametrize(
    "step",
    [MOVED, *(pytest.param(step, marks=pytest.mark.slow_fault) for step in (UPLOAD, LEDGER))],
)
def test_next_run_takes_new_job_id_after_failed_job(
    loader: ProxiedLoader, warehouse: Warehouse, reliability: Reliability, step: str
) -> None:
    def fail() -> Response:
        return loader.bigquery.fail(loader.bigquery.requests[-1], "resourcesExceeded")

    loader.act_at(step, fail)
    flags = ("--users", str(USERS), "--load-id", "x")
    process = loader.start(*flags, RETRY_SECONDS="2")
    output, errors = process.communicate()
    assert process.returncode == 1 and not output and "Traceback" not in errors, errors
    outcome = one_line(errors)
    assert len(landed_loads(loader.run, warehouse)) == (step == LEDGER)
    loader.pass_everything()
    finish(loader.start(*flags))
    assert landed_loads(loader.run, warehouse) == [expected_load(USERS, "x")]
    left = "the users, in raw, once" if step == LEDGER else "nothing"
    case = f"a job that ends in an error: {step}"
    reliability("Faults of BigQuery", case, f"{outcome}. The next run took the next job id", left)
