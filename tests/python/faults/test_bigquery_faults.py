"""BigQuery refuses, fails or does not respond: the loader retries, or fails with nothing landed.

A proxy between Google's client and the embedded BigQuery injects the faults.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from google.api_core.exceptions import Conflict, GoogleAPICallError
from google.cloud.bigquery import LoadJobConfig, QueryJob
from support.commands import Run
from support.fault_proxy import LEDGER, UPLOADED, ProxiedLoader
from support.load_checks import expected_load, finish, landed_loads
from support.log_lines import for_people
from support.proxy import CutError, Response, error_response
from support.reliability_page import Reliability
from support.warehouse import Warehouse

from ingest.settings import Settings
from ingest.warehouse import Warehouse as Raw

PART = "Faults of BigQuery"
USERS = 50
ALWAYS = range(1, 1000)
TWICE = (1, 2)
LOOK_UP, TABLE = "the load is looked up", "the ledger is made"
STARTED, STEPS = "an upload starts", (TABLE, UPLOADED, LEDGER)


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
    times: Sequence[int] = (1,)


BUSY, BROKEN = fails_with(503, "backendError"), fails_with(500, "internalError")
FAST, SPENT = fails_with(403, "rateLimitExceeded"), fails_with(403, "quotaExceeded")
NOBODY = fails_with(401, "authError", "Invalid Credentials")
NOWHERE = fails_with(404, "notFound", "Not found: Dataset d")
TEMPORARY = (("500", BROKEN), ("503", BUSY), ("the connection cut", cut))
FAULTS = [
    Fault("403 rateLimitExceeded, twice", STARTED, FAST, True, times=TWICE),
    Fault("403 quotaExceeded", UPLOADED, SPENT, False),
    Fault("401", LEDGER, NOBODY, False),
    Fault("404: no dataset", LOOK_UP, NOWHERE, False),
    *(
        Fault(f"{name}, twice, before the step took effect", step, do, True, times=TWICE)
        for (name, do), step in zip(TEMPORARY, STEPS, strict=True)
    ),
    *(
        Fault(f"{name}, after the step took effect", step, do, True, after=True)
        for name, do in TEMPORARY
        for step in STEPS
    ),
    Fault("503 for longer than RETRY_SECONDS", LOOK_UP, BUSY, False, times=ALWAYS),
    Fault("503 for longer than RETRY_SECONDS", UPLOADED, BUSY, False, times=ALWAYS),
]


# One of each kind; `make test-faults` runs the others.
QUICK = {
    ("403 rateLimitExceeded, twice", STARTED),
    ("403 quotaExceeded", UPLOADED),
    ("401", LEDGER),
    ("503, twice, before the step took effect", UPLOADED),
    ("503, after the step took effect", UPLOADED),
    ("the connection cut, after the step took effect", LEDGER),
    ("503 for longer than RETRY_SECONDS", UPLOADED),
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
        assert landed_loads(loader.run, warehouse) in ([], [expected_load(USERS, "x", 0)])
        loader.pass_everything()
        finish(loader.start(*flags))
    assert landed_loads(loader.run, warehouse) == [expected_load(USERS, "x")]
    left = "nothing" if fault.step != LEDGER or fault.recovers else "the users, in raw, once"
    reliability(PART, f"{fault.case}: {fault.step}", outcome, left)


def one_line(errors: str) -> str:
    """Return the line for people, without what differs from run to run."""
    (line,) = for_people(errors)
    line = re.sub(r"http://\S*?/bigquery/v2/\S+?(?=:? )", "URL", line)
    return re.sub(
        r"(?<=randomuser-ledger-)[0-9a-f]{32}|(?<=Job ID: )[0-9a-f]{8}-[-0-9a-f]{27}", "...", line
    )


@pytest.mark.parametrize(
    ("reason", "step", "times"),
    [
        ("rateLimitExceeded", UPLOADED, TWICE),
        pytest.param("backendError", LEDGER, TWICE, marks=pytest.mark.slow_fault),
        pytest.param("rateLimitExceeded", UPLOADED, ALWAYS, marks=pytest.mark.slow_fault),
        ("resourcesExceeded", UPLOADED, (1,)),
        pytest.param("resourcesExceeded", LEDGER, (1,), marks=pytest.mark.slow_fault),
    ],
)
def test_failed_job_is_run_again_under_next_id(
    *,
    loader: ProxiedLoader,
    warehouse: Warehouse,
    reliability: Reliability,
    reason: str,
    step: str,
    times: Sequence[int],
) -> None:
    """A job that ends in a reason that passes is run again by this run, any other by the next."""
    jobs = list[str]()

    def fail() -> Response:
        response = loader.bigquery.fail(loader.bigquery.requests[-1], reason)
        jobs.append(json.loads(response.body)["jobReference"]["jobId"])
        return response

    loader.act_at(step, fail, times=times)
    flags = ("--users", str(USERS), "--load-id", "x")
    process = loader.start(*flags, RETRY_SECONDS="2" if times == ALWAYS else "60")
    output, errors = process.communicate()
    assert [job.rpartition("-")[2] for job in jobs] == [str(n + 1) for n in range(len(jobs))]
    outcome, left = "the loader ran it again under the next id; the load landed, once", "nothing"
    if times == TWICE:
        assert process.returncode == 0 and len(jobs) == 2, errors
    else:
        assert process.returncode == 1 and not output and "Traceback" not in errors, errors
        assert (len(jobs) > 1) is (times == ALWAYS)
        left = "the users, in raw, once" if step == LEDGER else "nothing"
        landed = [expected_load(USERS, "x", 0)] if step == LEDGER else []
        assert landed_loads(loader.run, warehouse) == landed
        loader.pass_everything()
        finish(loader.start(*flags))
        outcome = f"{one_line(errors)}. The next run took the next job id"
    assert landed_loads(loader.run, warehouse) == [expected_load(USERS, "x")]
    often = {TWICE: ", twice", ALWAYS: " for longer than RETRY_SECONDS"}.get(times, "")
    reliability(PART, f"a job that ends in {reason}{often}: {step}", outcome, left)


def test_used_job_id_is_refused(run: Run, warehouse: Warehouse) -> None:
    """As by BigQuery: for a query and for an upload, and whatever became of the first job."""
    finish(run.start("ingest", "--users", "1"))
    bigquery, table = warehouse.client, f"{run.raw}.forgotten"
    config = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", write_disposition="WRITE_APPEND")

    def query(job_id: str, sql: str = "select 1") -> None:
        bigquery.query(sql, job_id=job_id, job_retry=None).result()

    def upload(job_id: str, _: str = "") -> None:
        line = BytesIO(b'{"user_hash": "a", "forgotten_at": "2026-01-01", "receipt": ""}')
        bigquery.load_table_from_file(line, table, job_id=job_id, job_config=config).result()

    for kind, do in ((0, query), (1, upload)):
        do(f"{run.raw}-{kind}")
        for again in (query, upload):
            with pytest.raises(Conflict, match="Already Exists: Job "):
                again(f"{run.raw}-{kind}")
    with pytest.raises(GoogleAPICallError):
        query(f"{run.raw}-failed", "select 1 / 0")
    with pytest.raises(Conflict):
        upload(f"{run.raw}-failed")
    assert bigquery.get_job(f"{run.raw}-1").job_id == f"{run.raw}-1"
    assert warehouse.rows(f"select count(*) from {table}") == [(1,)]


def test_job_of_earlier_run_is_run_again_if_it_ended_before(run: Run, warehouse: Warehouse) -> None:
    settings = Settings.read(
        google_cloud_project=warehouse.project,
        bigquery_emulator_host=warehouse.url,
        raw_dataset=run.raw,
    )
    raw = Raw(settings, "x")

    def start(job_id: str) -> QueryJob:
        return raw.client.query("select 1", job_id=job_id, job_retry=None)

    first = raw.run_once("users", datetime.now(UTC), start)
    just_after = first.ended + timedelta(microseconds=900)  # the end is in whole milliseconds
    assert raw.run_once("users", just_after, start) is None
    later = raw.run_once("users", first.ended + timedelta(seconds=1), start)
    assert (first.job_id[-2:], later.job_id[-2:]) == ("-1", "-2")
