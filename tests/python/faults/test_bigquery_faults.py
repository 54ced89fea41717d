"""BigQuery refuses, fails or falls silent: the loader tries again, or says so with nothing landed.

A proxy plays the fault between Google's client and the embedded BigQuery.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from google.api_core.exceptions import NotFound
from support.fault_proxy import Wires
from support.load_checks import ends_well, exactly, landed, landing_tables
from support.log_lines import for_people
from support.proxy import Answer, CutError, refusal
from support.reliability_page import Reliability
from support.warehouse import Warehouse

USERS = 50
ALWAYS = range(1, 1000)
TWICE = (1, 2)
ASKED, MADE, UPLOAD = "the ledger is asked", "the landing table is made", "a part is uploaded"
MOVED, LEDGER = "the users are moved to raw", "the ledger is written"


def cut() -> Answer:
    raise CutError


def says(status: int, reason: str, message: str = "That did not work") -> Callable[[], Answer]:
    return lambda: refusal(status, reason, message)


@dataclass
class Fault:
    """What goes wrong at which step, and whether the load is to come right in the same run."""

    case: str
    step: str
    do: Callable[[], Answer]
    comes_right: bool
    after: bool = False
    times: "tuple[int, ...] | range" = (1,)


BUSY, BROKEN = says(503, "backendError"), says(500, "internalError")
FAST, SPENT = says(403, "rateLimitExceeded"), says(403, "quotaExceeded")
NOBODY = says(401, "authError", "Invalid Credentials")
NOWHERE = says(404, "notFound", "Not found: Dataset d")
FAULTS = [
    Fault("403 rateLimitExceeded, twice", MOVED, FAST, True, times=TWICE),
    Fault("403 rateLimitExceeded, twice", "an upload begins", FAST, True, times=TWICE),
    Fault("403 quotaExceeded", MOVED, SPENT, False),
    Fault("403 quotaExceeded", UPLOAD, SPENT, False),
    Fault("401", "the ledger is looked for", NOBODY, False),
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
    Fault("503 for longer than RETRY_SECONDS", ASKED, BUSY, False, times=ALWAYS),
]


# One of a kind; the others take `make test-faults`.
QUICK = {
    ("403 rateLimitExceeded, twice", "an upload begins"),
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
def test_a_fault_is_outlasted_or_ends_in_one_clear_line_and_the_next_run_lands_the_users_once(
    loader: Wires, warehouse: Warehouse, reliability: Reliability, fault: Fault
) -> None:
    loader.at(fault.step, fault.do, after=fault.after, times=fault.times)
    seconds = "60" if fault.comes_right else "2"
    flags = ("--users", str(USERS), "--load-id", "x")
    process = loader.start(*flags, RETRY_SECONDS=seconds)
    output, errors = process.communicate()
    assert loader.steps[fault.step] >= len(fault.times[:2]), "the fault did not come about"
    assert "Traceback" not in errors
    if fault.comes_right:
        assert process.returncode == 0, errors
        assert output.startswith(f"Loaded {USERS} users into ")
        happened = "tried again, then the load landed, once"
    else:
        assert process.returncode == 1 and not output
        happened = one_line(errors)
        assert happened.startswith("ingest: BigQuery refused or did not answer: ")
        assert raw(loader, warehouse) in ([], [("x", USERS, USERS, USERS, USERS - 1, 0, None)])
        loader.be_well()
        ends_well(loader.start(*flags))
    assert raw(loader, warehouse) == [exactly(USERS, "x")]
    assert not landing_tables(loader.run, warehouse)
    left = "nothing" if fault.step != LEDGER or fault.comes_right else "the users, in raw, once"
    reliability("Faults of BigQuery", f"{fault.case}: {fault.step}", happened, left)


def one_line(errors: str) -> str:
    """Return what was said, log lines aside, without what differs from run to run."""
    (line,) = for_people(errors)
    line = re.sub(r"http://\S*?/bigquery/v2/\S+?(?=:? )", "URL", line)
    return re.sub(r"(randomuser-\w+-)[0-9a-f]{32}", r"\1...", line)


def raw(loader: Wires, warehouse: Warehouse) -> list[tuple[object, ...]]:
    try:
        return landed(loader.run, warehouse)
    except NotFound:
        return []


@pytest.mark.parametrize(
    "step", [MOVED, *(pytest.param(step, marks=pytest.mark.slow_fault) for step in (UPLOAD, LEDGER))]
)
def test_a_job_that_failed_has_used_up_its_id_and_the_next_run_takes_another(
    loader: Wires, warehouse: Warehouse, reliability: Reliability, step: str
) -> None:
    def fail() -> Answer:
        return loader.bigquery.fail(loader.bigquery.requests[-1], "resourcesExceeded")

    loader.at(step, fail)
    flags = ("--users", str(USERS), "--load-id", "x")
    process = loader.start(*flags, RETRY_SECONDS="2")
    output, errors = process.communicate()
    assert process.returncode == 1 and not output and "Traceback" not in errors, errors
    happened = one_line(errors)
    assert len(landed(loader.run, warehouse)) == (step == LEDGER)
    loader.be_well()
    ends_well(loader.start(*flags))
    assert landed(loader.run, warehouse) == [exactly(USERS, "x")]
    left = "the users, in raw, once" if step == LEDGER else "nothing"
    case = f"a job that ends in an error: {step}"
    reliability("Faults of BigQuery", case, f"{happened}. The next run took the next job id", left)
