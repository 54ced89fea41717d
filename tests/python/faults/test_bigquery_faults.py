"""BigQuery refuses, fails or does not respond: the loader retries, or fails with nothing landed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from google.cloud.bigquery import QueryJob
from support.commands import Run
from support.fault_proxy import LEDGER, TABLE, UPLOADED, ProxiedCommand
from support.load_checks import expected_load, landed_loads, open_raw
from support.log_lines import for_people
from support.proxy import CutError, Proxy, Request, Response, error_response
from support.warehouse import Warehouse

LOAD = ("--users", "50", "--load-id", "x")
ONCE, TWICE, ALWAYS = (1,), (1, 2), range(1, 1000)

Action = Callable[[Proxy, Request], Response]


def refuses(status: int, reason: str) -> Action:
    return lambda _proxy, _request: error_response(status, reason, "That did not work")


def fails_job(reason: str) -> Action:
    return lambda proxy, request: proxy.fail(request, reason)


def cut(_proxy: Proxy, _request: Request) -> Response:
    raise CutError


class Fault(NamedTuple):
    """What BigQuery does at a step, `after` what was requested or instead of it."""

    step: str
    action: Action
    line: str = ""
    """A part of the line with which the loader fails; empty if it recovers."""
    after: bool = False
    times: Sequence[int] = ONCE


TEMPORARY = {"500": refuses(500, "internalError"), "503": refuses(503, "backendError"), "cut": cut}
FAST, SPENT = "rateLimitExceeded", "resourcesExceeded"
FAULTS = {
    "rate limit": Fault("an upload starts", refuses(403, FAST)),
    "no quota": Fault(UPLOADED, refuses(403, "quotaExceeded"), "wait until the quota is free"),
    "no login": Fault(LEDGER, refuses(401, "authError"), "gcloud auth application-default login"),
    "503 for long": Fault(UPLOADED, TEMPORARY["503"], "Timeout of 2.0s exceeded", times=ALWAYS),
    "load job fails, passing": Fault(UPLOADED, fails_job(FAST)),
    "load job fails, passing, twice": Fault(UPLOADED, fails_job(FAST), times=TWICE),
    "load job fails, passing, for long": Fault(
        UPLOADED, fails_job(FAST), "wait a minute", times=ALWAYS
    ),
    "load job fails": Fault(UPLOADED, fails_job(SPENT), "fix what the error names"),
    "ledger job fails, passing, twice": Fault(LEDGER, fails_job("backendError"), times=TWICE),
    "ledger job fails": Fault(LEDGER, fails_job(SPENT), "fix what the error names"),
}
for step in (TABLE, UPLOADED, LEDGER):
    for name, action in TEMPORARY.items():
        FAULTS[f"{name}, twice before {step}"] = Fault(step, action, times=TWICE)
        FAULTS[f"{name}, after {step}"] = Fault(step, action, after=True)
# One of each kind; `make test-faults` runs the others.
QUICK = {
    "rate limit",
    "no quota",
    "no login",
    "503 for long",
    "load job fails, passing",
    "load job fails",
    f"503, twice before {UPLOADED}",
    f"503, after {UPLOADED}",
    f"cut, after {LEDGER}",
}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=name, marks=[] if name in QUICK else pytest.mark.slow_fault)
        for name, fault in FAULTS.items()
    ],
)
def test_loader_recovers_from_fault_or_fails_in_one_line(
    loader: ProxiedCommand, warehouse: Warehouse, fault: Fault
) -> None:
    """A failed job is run again under the next id, by this run or by the next."""
    proxy = loader.proxy
    reached = loader.act_at(
        fault.step, lambda each: fault.action(proxy, each), after=fault.after, times=fault.times
    )
    process = loader.start(*LOAD, RETRY_SECONDS="2" if fault.line else "60")
    output, errors = process.communicate()
    assert "Traceback" not in errors
    if fault.line:
        (line,) = for_people(errors)
        assert process.returncode == 1 and not output
        assert line.startswith("ingest: BigQuery refused or did not answer: ")
        assert fault.line in line and line.endswith(" run the load again with --load-id x")
        assert (len(reached) > 1) is (fault.times == ALWAYS)
        left = [expected_load(50, "x", ledger_rows=0)] if fault.step == LEDGER else []
        assert landed_loads(loader.run, warehouse) == left
        loader.finish(*LOAD)
    else:
        assert process.returncode == 0, errors
        assert output.startswith("Loaded 50 users into ")
        assert len(reached) > len(fault.times)
    assert landed_loads(loader.run, warehouse) == [expected_load(50, "x")]
    numbers = [job_id.rpartition("-")[2] for job_id in proxy.failed]
    assert numbers == [str(number + 1) for number in range(len(numbers))]


def test_job_of_earlier_run_is_run_again_if_it_ended_before(run: Run, warehouse: Warehouse) -> None:
    raw = open_raw(run, warehouse)

    def start(job_id: str) -> QueryJob:
        return raw.client.query("select 1", job_id=job_id, job_retry=None)

    first = raw.run_once("users", datetime.now(UTC), start)
    just_after = first.ended + timedelta(microseconds=900)  # the end is in whole milliseconds
    assert raw.run_once("users", just_after, start) is None
    later = raw.run_once("users", first.ended + timedelta(seconds=1), start)
    assert (first.job_id[-2:], later.job_id[-2:]) == ("-1", "-2")
