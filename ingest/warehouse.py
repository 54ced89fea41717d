"""The raw dataset of a project: its client, its tables, and the jobs that write to it, run once."""

import hashlib
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from time import monotonic, sleep
from typing import IO, Any

from google.api_core.exceptions import Conflict, GoogleAPICallError, GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery import Client, LoadJob, LoadJobConfig, QueryJob, QueryJobConfig
from google.cloud.bigquery import ScalarQueryParameter as Parameter
from google.cloud.bigquery.retry import DEFAULT_RETRY
from requests import RequestException

from ingest import statements, tables
from ingest.logs import event
from ingest.settings import Settings

log = logging.getLogger(__name__)
CLIENT_ERRORS = (GoogleAPIError, GoogleAuthError, RequestException)  # raised by Google's client
# A job that ended for one of these reasons can succeed when it is run again. Google's client
# retries requests, but not load jobs: github.com/googleapis/python-bigquery/issues/969.
PASSING_REASONS = {"rateLimitExceeded", "jobRateLimitExceeded", "backendError", "internalError"}
# The end of a job is given in whole milliseconds, so it can seem to be before what it was not.
CLOCK_ERROR = timedelta(milliseconds=100)
Values = dict[str, Any]  # of the parameters of a statement
_TYPES = {str: "STRING", int: "INT64", type(None): "INT64", datetime: "TIMESTAMP"}


class LandingError(RuntimeError):
    """BigQuery does not hold what was sent; the text says what was not done."""


def connect(settings: Settings, load_id: str = "") -> Client:
    """Return a client with the default credentials, or with none for an emulator.

    Its jobs have the label `load_id`, in the form that BigQuery accepts, unless it is empty.
    """
    labels = {"load_id": re.sub(r"[^a-z0-9_-]", "_", load_id.lower())[:63]} if load_id else {}
    options: Values = {
        "location": settings.bigquery_location,
        "default_query_job_config": QueryJobConfig(labels=labels),
        "default_load_job_config": LoadJobConfig(labels=labels),
    }
    if emulator := settings.bigquery_emulator_host:
        url = emulator if "://" in emulator else f"http://{emulator}"
        options["client_options"] = {"api_endpoint": url}
        options["credentials"] = AnonymousCredentials()  # type: ignore[no-untyped-call]
    return Client(settings.google_cloud_project, **options)


class Warehouse:
    """The raw dataset of a project."""

    def __init__(self, settings: Settings, load_id: str = "", records: str = "users") -> None:
        """Create a client, with `load_id` as the label of its jobs; it sends no request yet.

        `records`: what the source calls its records, in the names of tables and columns.
        """
        self.client = connect(settings, load_id)
        self.dataset = f"{settings.google_cloud_project}.{settings.raw_dataset}"
        self.records = records
        self.raw, self.loads = f"{self.dataset}.{records}", f"{self.dataset}.loads"
        self._forgotten, self._load_id = f"{self.dataset}.forgotten", load_id
        self._seconds = settings.retry_seconds
        self.retry = DEFAULT_RETRY.with_timeout(self._seconds)
        # An emulator that is down stays down; a network may recover.
        limit = 1 if settings.bigquery_emulator_host else 30
        self.first_call_retry = DEFAULT_RETRY.with_timeout(min(limit, self._seconds))

    def create_tables(self) -> None:
        """Create the dataset and its tables; raise LandingError if they are of an older version."""
        with suppress(NotFound):
            raw = self.client.get_table(self.raw, retry=self.first_call_retry)
            if len(raw.schema) < len(tables.RAW):
                conversion = "docs/upgrade.md has the statements that convert it"
                raise LandingError(f"{self.dataset} is of an earlier version: {conversion}")
            return
        dataset = tables.define_dataset(self.dataset, self.client.location)
        self.client.create_dataset(dataset, exists_ok=True, retry=self.retry)
        create = partial(self.client.create_table, exists_ok=True, retry=self.retry)
        create(tables.define_loads(self.loads, self.records))
        create(tables.define_forgotten(self._forgotten))
        self.query(statements.FORGOTTEN_KEY)
        create(tables.define_records(self.raw))  # the last one: it shows that all is there

    def query(self, sql: str, **values: Any) -> list[Any]:
        """Run a statement with `values` as its parameters and return its rows."""
        return list(self.start_query(sql, values).result(retry=self.retry))

    def start_query(self, sql: str, values: Values, job_id: str | None = None) -> QueryJob:
        """Start a statement with `values` as its parameters."""
        tables = {"raw": self.raw, "loads": self.loads, "forgotten": self._forgotten}
        sql = sql.format(records=self.records, **tables)
        parameters = [Parameter(name, _TYPES[type(value)], value) for name, value in values.items()]
        config = QueryJobConfig(query_parameters=parameters, use_legacy_sql=False)
        return self.client.query(sql, config, job_id, retry=self.retry, job_retry=None)

    def start_load(self, file: IO[bytes], job_id: str) -> LoadJob:
        """Upload a Parquet file of records and start the load job that appends it to raw."""
        config = LoadJobConfig(source_format="PARQUET", schema=tables.RAW)
        config.create_disposition, config.write_disposition = "CREATE_NEVER", "WRITE_APPEND"
        # The retries of load_table_from_file ignore rate limits and count tries, not seconds.
        upload = self.retry(partial(self.client.load_table_from_file, num_retries=0))
        return upload(file, self.raw, rewind=True, job_config=config, job_id=job_id)

    def run_once(
        self, step: str, since: datetime, start: Callable[[str], LoadJob | QueryJob]
    ) -> Any:
        """Run a job that has not succeeded for this load; None if another run's job did.

        BigQuery accepts a job id only once, so the id is the lock. Its number goes up when the job
        with this id failed, or ended before `since`, when what it wrote was not there (any more).
        """
        attempt, deadline = 0, monotonic() + self._seconds
        while True:
            attempt += 1
            job_id, is_ours = self._make_job_id(step, attempt), False
            if not (job := self.find_job(step, attempt)):
                try:
                    job, is_ours = start(job_id), True
                except Conflict:  # another run was faster, or a response was lost
                    job = self.find_job(step, attempt)
            error = self._wait(job)
            if not error and (is_ours or job.ended >= since - CLOCK_ERROR):
                table = step.partition("-")[0]
                log.info("%s written", table, extra=event("written", table=table))
                return job if is_ours else None
            if error and is_ours:
                reason = (job.error_result or {}).get("reason")
                if reason not in PASSING_REASONS or monotonic() > deadline:
                    raise error
                log.warning("%s: %s; the job runs again", step, reason, extra=event("retry"))
                sleep(min(2**attempt, 30, max(deadline - monotonic(), 0)))

    def find_job(self, step: str, attempt: int = 1) -> Any:
        """Return a job of `run_once`, or None; BigQuery forgets an id after about six months."""
        with suppress(NotFound):
            return self.client.get_job(self._make_job_id(step, attempt), retry=self.retry)

    def _make_job_id(self, step: str, attempt: int) -> str:
        digest = hashlib.sha256(f"{self.dataset} {self._load_id}".encode()).hexdigest()[:32]
        return f"randomuser-{step}-{digest}-{attempt}"

    def _wait(self, job: LoadJob | QueryJob) -> GoogleAPICallError | None:
        """Wait until the job has ended, and return the error that it ended with."""
        try:
            job.result(retry=self.retry)
        except GoogleAPICallError as error:
            if job.state != "DONE":  # BigQuery did not answer
                raise
            return error
        return None
